"""The tutorial's page on http://localhost:5174: another port than the server's, so another origin.

A project of your own gets the client by `npm install socket.io-client`. Here it is the one that the demo
fetches and keeps, so that this runs as it is.
"""

import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from socketeer.cli import client_files

CLIENT = "socket.io.esm.min.js"
FILES = {
    "/": ("text/html; charset=utf-8", Path(__file__).with_suffix(".html").read_bytes()),
    f"/{CLIENT}": ("text/javascript; charset=utf-8", client_files.load().read(CLIENT)),
}


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, body = FILES.get(self.path, ("text/plain", None))
        self.send_response(404 if body is None else 200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body or b"Not Found")

    def log_message(self, *_):
        """Nobody needs a line for each file."""


port = int(sys.argv[1]) if len(sys.argv) > 1 else 5174
with ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
    print(f"http://localhost:{server.server_port}", flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()
