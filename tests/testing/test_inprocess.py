"""The client without a network. (Most tests of the server use it as well, which is its larger test.)"""

from __future__ import annotations

import pytest

from socketeer.server.server import BaseServer
from socketeer.testing.inprocess import WireClient, make_request


async def test_words_in_and_words_out() -> None:
    io = BaseServer()
    client = WireClient(io)
    socket = client.connect()
    assert client.welcome == {"sid": socket.id}

    @socket.on("x")
    def x(data: bytes) -> int:
        socket.emit("got", data)
        return 5

    assert client.asks('451-7["x",{"_placeholder":true,"num":0}]', b"\x01") == [
        '451-["got",{"_placeholder":true,"num":0}]',
        b"\x01",
        "437[5]",
    ]


async def test_connecting_leaves_the_rest_to_be_heard() -> None:
    io = BaseServer()
    io.of("/a").on("connection", lambda socket: socket.emit("hello", socket.handshake.auth))
    client = WireClient(io, make_request("&q=1"))
    socket = client.connect("/a", {"n": 1})
    assert socket.handshake.query["q"] == "1"
    assert client.heard() == ['42/a,["hello",{"n":1}]']
    assert client.heard() == []


async def test_what_does_not_come() -> None:
    io = BaseServer()
    client = WireClient(io)
    client.connect().emit("x")
    with pytest.raises(AssertionError):
        await client.hears('42["y"]')


async def test_refused() -> None:
    io = BaseServer()

    @io.use
    def nobody(socket: object) -> None:
        raise RuntimeError

    with pytest.raises(AssertionError, match="expected 40"):
        WireClient(io).connect()


async def test_ends() -> None:
    io = BaseServer()
    client, other = WireClient(io), WireClient(io)
    socket = client.connect()
    client.vanish()
    assert (socket.connected, client.ended(), other.ended()) == (False, True, False)
    other.connect().disconnect(close=True)
    assert other.ended()
    assert other.asks('42["late"]') == ["41"]
