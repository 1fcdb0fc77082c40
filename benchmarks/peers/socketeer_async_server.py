"""Socketeer as in `socketeer_server.py`, with `async def` handlers, which never wait here."""

import sys
from typing import Any

from socketeer import Server, Socket

io = Server()


@io.on("connection")
async def connection(socket: Socket) -> None:
    @socket.on("echo")
    async def echo(text: Any) -> None:
        socket.emit("echo", text)

    @socket.on("bcast")
    async def bcast(text: Any) -> None:
        io.emit("bcast", text)


io.run(host="127.0.0.1", port=int(sys.argv[1]))
