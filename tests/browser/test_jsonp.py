"""JSONP in a real browser, by the official client of Socket.IO 2, which is told to use nothing else.

In Node.js that client has no JSONP, for want of a document. The official server is held to the same.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from interop.harness import HERE, Process, Servers, install, official_servers, our_servers
from tests.support import requirements

if TYPE_CHECKING:
    from playwright.sync_api import Page

TEXTS = [
    "plain",
    "žluťoučký 😀𝄞",
    "quotes \" and ' and \\",
    "a\nb\r\nc \\n \\\\n \\\n",
    "\u2028\u2029\u0000\u001e",
    "</script></textarea><!-- & &amp; %41 +",
    "5:hello3:b4A",
]

#: Talks to the server of the interop scenarios; says what came back, over which transports and requests.
TALK = """async ({ url, transports, texts }) => {
    const socket = io(url, { forceJSONP: true, transports, query: { tag: "jsonp" }, reconnection: false });
    const failed = new Promise((_, reject) => {
        for (const name of ["connect_error", "error"]) socket.on(name, (error) => reject(new Error(error.message ?? String(error))));
    });
    const happens = (emitter, name) => Promise.race([failed, new Promise((done) => emitter.once(name, done))]);
    const ask = (...args) => Promise.race([failed, new Promise((done) => socket.emit(...args, done))]);
    await happens(socket, "connect");
    const echoed = [];
    for (const text of texts) {
        const back = happens(socket, "echo");
        socket.emit("echo", text);
        echoed.push(await back);
    }
    const { content } = await ask("ack", { content: new Uint8Array([0, 127, 128, 255]).buffer });
    if (transports.length > 1 && socket.io.engine.transport.name !== "websocket") {
        await happens(socket.io.engine, "upgrade");
    }
    const { id, transport } = await ask("describe");
    const same = id === socket.id;
    socket.close();
    return { echoed, bytes: [...new Uint8Array(content)], same, transport, xhr: performance.getEntriesByType("resource")
        .filter(({ initiatorType }) => initiatorType === "xmlhttprequest").length };
}"""


@pytest.fixture(scope="module")
def script() -> str:
    """The browser's client of Socket.IO 2."""
    try:
        install(requirements.npm())
    except subprocess.CalledProcessError as error:
        requirements.missing("what interop/package-lock.json names", f"npm ci failed: {error.stderr}")
    return (HERE / "node_modules/socket.io-client-v2/dist/socket.io.js").read_text()


@pytest.fixture(scope="module", params=["official", "ours"])
def server(request: pytest.FixtureRequest, script: str) -> Iterator[tuple[Process, str]]:
    """A server that allows Engine.IO 3, and its URL."""
    assert script
    servers: Servers = official_servers(requirements.node()) if request.param == "official" else our_servers()
    yield servers.get("eio3_page")
    servers.stop()


@pytest.fixture(scope="module")
def port(script: str) -> Iterator[int]:
    """Where a page is that has the client. The server allows it as ``localhost``, not as ``127.0.0.1``."""
    body = f"<!doctype html><meta charset=utf-8><title>JSONP</title><script>{script}</script><body></body>"

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("referrer-policy", self.path.rpartition("/")[2])
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield site.server_port
        site.shutdown()
        thread.join()


@pytest.mark.parametrize("transports", [["polling"], ["polling", "websocket"]], ids=["polling", "upgrade"])
def test_a_page_talks_by_scripts_and_forms(
    server: tuple[Process, str], port: int, tab: Callable[[], Page], transports: list[str]
) -> None:
    page = tab()
    page.goto(f"http://localhost:{port}/origin")
    asked: list[tuple[str, str]] = []
    page.on("request", lambda request: asked.append((request.resource_type, request.url)))
    said: dict[str, Any] = page.evaluate(TALK, {"url": server[1], "transports": transports, "texts": TEXTS})
    assert said == {
        "echoed": TEXTS,
        "bytes": [0, 127, 128, 255],
        "same": True,
        "transport": transports[-1],
        "xhr": 0,
    }
    polls = [(kind, url) for kind, url in asked if "transport=polling" in url]
    kinds = {kind for kind, _ in polls}  # script elements, and forms in a frame
    assert kinds == {"script", "document"} or (kinds == {"script"} and "websocket" in transports)
    assert all("&j=0" in url for _, url in polls)


@pytest.mark.parametrize(
    ("host", "policy"), [("127.0.0.1", "strict-origin-when-cross-origin"), ("localhost", "no-referrer")]
)
@pytest.mark.parametrize("server", ["ours"], indirect=True)
def test_a_page_that_is_not_allowed_or_hides_itself(
    server: tuple[Process, str], port: int, tab: Callable[[], Page], host: str, policy: str
) -> None:
    """It is refused, which the official server leaves to the browser; but a page may read what its scripts bring."""
    from playwright.sync_api import Error

    page = tab()
    page.goto(f"http://{host}:{port}/{policy}")
    process, url = server
    process.forget()
    with pytest.raises(Error, match="jsonp poll error"):
        page.evaluate(TALK, {"url": url, "transports": ["polling"], "texts": []})
    refused = process.find(lambda entry: entry.get("kind") == "connection_error")
    assert (refused["tag"], refused["code"]) == ("jsonp", 4)
