"""Namespaces above an Engine.IO server: options, and the end."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from socketeer.errors import OptionError
from socketeer.options import Cors, Limits
from socketeer.protocol.parser import Parser
from socketeer.server.server import BaseServer
from socketeer.server.socket import Socket
from tests.support.inprocess import Lobby, Poller

# --- options ------------------------------------------------------------------------------------


def test_a_misspelt_option() -> None:
    options: dict[str, Any] = {"ping_intervall": 5}
    with pytest.raises(TypeError, match="ping_intervall"):
        BaseServer(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"connect_timeout": 0},
        {"ping_interval": -1},
        {"transports": ["carrier pigeon"]},
        {"max_http_buffer_size": 0},
        {"path": "socket.io"},
        {"cors": 7},
    ],
)
def test_an_option_out_of_its_range(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        BaseServer(**options)


async def test_options_reach_those_who_keep_them() -> None:
    io = BaseServer(
        path="/chat/",
        ping_interval=1,
        ping_timeout=2,
        connect_timeout=3,
        limits=Limits(max_attachments=1),
        cors={"origin": "http://localhost:5174"},
    )
    assert io.options.connect_timeout == 3
    assert io.engine.options.path == "/chat"
    assert (io.engine.options.ping_interval, io.engine.options.ping_timeout) == (1, 2)
    assert isinstance(io.parser, Parser)
    assert io.parser.max_attachments == 1
    assert isinstance(io.engine.options.cors, Cors)
    assert io.engine.options.cors.origin == "http://localhost:5174"


# --- namespaces ---------------------------------------------------------------------------------


async def test_namespaces_by_name() -> None:
    io = Lobby().io
    assert io.of("/") is io.of("") is io.sockets
    assert io.of("chat") is io.of("/chat")
    assert io.of("/chat") is not io.of("/chat/")


async def test_all_namespaces_to_read() -> None:
    io = BaseServer()
    found = io.namespaces
    chat = io.of("/chat")
    parent = io.of(re.compile("^/room-"))
    assert dict(found) == {"/": io.sockets, "/chat": chat}
    assert {nsp.server for nsp in (*found.values(), parent)} == {io}
    child = io.of("/room-1")
    assert (found["/room-1"], child.server) == (child, io)
    unwritable: Any = found
    with pytest.raises(TypeError):
        unwritable["/other"] = chat


async def test_new_namespaces_are_told_once() -> None:
    io = Lobby().io
    told: list[str] = []
    io.on("new_namespace", lambda nsp: told.append(nsp.name))
    io.of("/chat")
    io.of("/chat")
    io.of("news")
    io.of("/")
    assert told == ["/chat", "/news"]


async def test_the_main_namespace_at_hand() -> None:
    lobby = Lobby()
    io = lobby.io
    seen: list[str] = []

    @io.use
    def middleware(socket: Socket) -> None:
        seen.append("use")

    @io.on("connection")
    def on(socket: Socket) -> None:
        seen.append("on")

    @io.once("connection")
    def once(socket: Socket) -> None:
        seen.append("once")

    io.on("connect", lambda socket: seen.append("connect"))
    io.once("connect", lambda socket: seen.append("connect once"))
    client, _ = lobby.connected()
    assert seen == ["use", "connect", "connect once", "on", "once"]
    io.off("connection", on)
    io.off("connect")
    lobby.connected()
    assert seen[5:] == ["use"]
    io.emit("x")
    io.send("hi")
    io.to("nowhere").emit("x")
    assert client.heard() == ['42["x"]', '42["message","hi"]']


# --- the end ------------------------------------------------------------------------------------


async def test_closing() -> None:
    lobby = Lobby()
    reasons: list[str] = []
    clients = []
    for namespace in ("/", "/chat"):
        client, socket = lobby.connected(namespace)
        socket.on("disconnect", reasons.append)
        clients.append(client)
    idle = lobby.client()
    await lobby.io.close()
    assert reasons == ["server shutting down"] * 2
    assert all(client.ended() for client in (*clients, idle))
    assert [client.heard() for client in clients] == [[], []]
    assert lobby.io.engine.clients_count == 0
    await lobby.io.close()


async def test_closing_with_a_poll_waiting() -> None:
    lobby = Lobby()
    poller = Poller(lobby.io)
    socket = await poller.open()
    reasons: list[str] = []
    socket.on("disconnect", reasons.append)
    poll = asyncio.ensure_future(poller.poll())
    await asyncio.sleep(0)
    await lobby.io.close()
    assert reasons == ["server shutting down"]
    async with asyncio.timeout(5):
        assert await poll == ["1"]


async def test_nobody_is_let_in_after_the_end() -> None:
    lobby = Lobby()
    await lobby.io.close()
    response = await Poller(lobby.io).get()
    assert response.status == 503


async def test_listeners_of_the_end_may_make_namespaces() -> None:
    lobby = Lobby()
    _, socket = lobby.connected()
    socket.on("disconnect", lambda reason: lobby.io.of("/statistics").emit("one less"))
    await lobby.io.close()
    assert socket.disconnected
