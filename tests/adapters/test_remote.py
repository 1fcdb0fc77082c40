"""Sockets as nodes tell each other of them."""

from __future__ import annotations

from socketeer.adapters.messages import FetchedSocket
from socketeer.adapters.remote import describe, details
from socketeer.server.server import BaseServer
from socketeer.testing.inprocess import WireClient


async def test_a_socket_is_the_same_there() -> None:
    io = BaseServer()
    socket = WireClient(io).connect("/", {"token": "t"})
    socket.data["n"] = 1
    socket.join("a")
    there, said = details(describe(socket)), socket.handshake
    assert (there.id, there.rooms, there.data) == (socket.id, {socket.id, "a"}, {"n": 1})
    for name in ("headers", "query", "auth", "url", "address", "time", "issued", "secure", "xdomain"):
        assert getattr(there.handshake, name) == getattr(said, name), name
    await io.close()


def test_what_is_odd_or_missing_is_left_out() -> None:
    odd = {"headers": 1, "url": None, "issued": "x", "secure": "yes", "auth": {"a": 1}}
    there = details(FetchedSocket("id", odd, ["id", 7]))
    handshake = there.handshake
    assert (there.rooms, there.data) == ({"id", "7"}, None)
    assert (handshake.headers, handshake.url, handshake.issued, handshake.secure) == ({}, "", 0, False)
    assert handshake.auth == {"a": 1}
