"""What a socket sends to everybody but its own client."""

from __future__ import annotations

from socketeer.server.socket import Socket
from tests.support.inprocess import Lobby


async def test_others() -> None:
    """Everything that starts at a socket leaves that socket out."""
    lobby = Lobby()
    clients = {}
    for name in ("me", "a", "b", "ab"):
        client, socket = lobby.connected()
        clients[name] = client, socket
        socket.join(list(name))
    me, mine = clients["me"]
    mine.join(["a", "b"])
    mine.broadcast.emit("1")
    mine.to("a").emit("2")
    mine.to("a").to("b").emit("3")
    mine.in_(["a", "b"]).except_("b").emit("4")
    mine.except_("a").emit("5")
    mine.local.emit("6")
    mine.volatile.to("a").emit("7")
    heard = {name: "".join(str(each)[4] for each in client.heard()) for name, (client, _) in clients.items()}
    assert heard == {"me": "", "a": "123467", "b": "1356", "ab": "12367"}
    assert me.heard() == []


async def test_a_handler_that_speaks_to_the_others() -> None:
    lobby = Lobby()

    @lobby.io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("chat message")
        async def chat(text: str) -> str:
            socket.broadcast.emit("chat message", text)
            return "delivered"

    sender, _ = lobby.connected()
    other, _ = lobby.connected()
    assert sender.asks('420["chat message","hi"]') == ['430["delivered"]']
    assert other.heard() == ['42["chat message","hi"]']
