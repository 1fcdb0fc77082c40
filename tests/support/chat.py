"""The tutorial's chat, which can also be told to break all connections."""

from __future__ import annotations

from socketeer import Server, Socket

io = Server()


@io.event("chat message")
async def chat(socket: Socket, text: str) -> str:
    socket.broadcast.emit("chat message", text)
    return "delivered"


@io.event
def leave(socket: Socket) -> None:
    for other in list(socket.nsp.sockets.values()):
        if other is not socket:
            other.conn.close()
