"""Socketeer, through its public names only and with every option at its default."""

import sys
from typing import Any

from socketeer import Server, Socket

io = Server()


@io.on("connection")
def connection(socket: Socket) -> None:
    # Any, not str: an annotation would have the payload validated, which no peer does.
    @socket.on("echo")
    def echo(text: Any) -> None:
        socket.emit("echo", text)

    @socket.on("bcast")
    def bcast(text: Any) -> None:
        io.emit("bcast", text)


io.run(host="127.0.0.1", port=int(sys.argv[1]))
