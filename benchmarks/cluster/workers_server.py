"""The server of `workers.py`: as many workers as the argument says; 0 for a server without any."""

import sys
from typing import Any

from socketeer import Server, Socket

io = Server()


@io.on("connection")
def connection(socket: Socket) -> None:
    # Any, not str: an annotation would have the payload validated.
    @socket.on("echo")
    def echo(text: Any) -> None:
        socket.emit("echo", text)

    @socket.on("bcast")
    def bcast(text: Any) -> None:
        io.emit("bcast", text)


io.run(port=0, workers=int(sys.argv[1]) or None, ready=lambda url: print(url, flush=True))
