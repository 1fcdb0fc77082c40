"""Namespaces made when they are asked for: who makes them, and what they inherit."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest

from socketeer.errors import ConnectionRefused, UsageError
from socketeer.server.dynamic import ParentNamespace
from socketeer.server.namespace import Namespace
from socketeer.server.socket import Socket
from tests.support.dynamic import DYNAMIC, children, invalid, join, names
from tests.support.inprocess import Lobby

# --- by pattern -------------------------------------------------------------------------------------


async def test_by_pattern() -> None:
    lobby = Lobby()
    made: list[Namespace] = []
    lobby.io.on("new_namespace", made.append)
    parent = lobby.io.of(DYNAMIC)
    assert isinstance(parent, ParentNamespace)
    assert children(parent) == []
    first, second = join(lobby.client(), "/dyn-1"), join(lobby.client(), "/dyn-2")
    again = join(lobby.client(), "/dyn-1")
    assert first.nsp is again.nsp is lobby.io.of("/dyn-1")
    assert made == [first.nsp, second.nsp], "announced once each"
    assert children(parent) == [first.nsp, second.nsp]
    assert parent.sockets == {}


@pytest.mark.parametrize("name", ["/nope", "/dyn-", "/x/dyn-1", "/dyn-1/", "/Dyn-1", "/__proto__"])
async def test_a_name_that_does_not_fit(name: str) -> None:
    lobby = Lobby()
    parent = lobby.io.of(DYNAMIC)
    client = lobby.client()
    assert client.asks(f"40{name},") == invalid(name)
    assert not client.ended()
    assert children(parent) == []
    assert names(lobby.io) == ["/"]


async def test_a_pattern_may_match_anywhere() -> None:
    """As JavaScript's `test`: neither the beginning nor the end must fit."""
    lobby = Lobby()
    lobby.io.of(re.compile("room"))
    join(lobby.client(), "/a-room-upstairs")


async def test_a_line_feed_at_the_end_fits_no_pattern() -> None:
    """JavaScript's `$` does not match before it."""
    assert DYNAMIC.search("/dyn-1\n")
    lobby = Lobby()
    lobby.io.of(DYNAMIC)
    lobby.io.of(re.compile("dyn"))
    assert lobby.client().asks("40/dyn-1\n,") == invalid("/dyn-1\n")
    assert names(lobby.io) == ["/"]


async def test_parents_are_asked_in_the_order_of_their_registration() -> None:
    lobby = Lobby()
    asked: list[str] = []

    def never(name: str, auth: dict[str, Any]) -> bool:
        asked.append(name)
        return False

    lobby.io.of(never)
    first = lobby.io.of(re.compile("^/dyn-a"))
    second = lobby.io.of(re.compile("^/dyn-"))
    lobby.io.of(lambda name, auth: pytest.fail("another has taken it"))
    assert join(lobby.client(), "/dyn-a").nsp in first.children
    assert join(lobby.client(), "/dyn-b").nsp in second.children
    assert asked == ["/dyn-a", "/dyn-b"]
    assert [parent.name for parent in (first, second)] == ["/_1", "/_2"]


# --- by function ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_by_function(is_async: bool) -> None:
    """It sees the name and the auth, which is empty where the client sent none."""
    lobby = Lobby()
    asked: list[Any] = []

    def plain(name: str, auth: dict[str, Any]) -> bool:
        asked.append((name, auth))
        return auth.get("member") is True

    async def later(name: str, auth: dict[str, Any]) -> bool:
        return plain(name, auth)

    parent = lobby.io.of(later if is_async else plain)
    client = lobby.client()
    assert client.asks("40/tenant-1,") == invalid("/tenant-1")
    assert client.asks('40/tenant-1,{"member":1}') == invalid("/tenant-1")
    socket = join(client, "/tenant-1", '{"member":true,"more":[1]}')
    assert asked == [
        ("/tenant-1", {}),
        ("/tenant-1", {"member": 1}),
        ("/tenant-1", {"member": True, "more": [1]}),
    ]
    assert socket.handshake.auth == {"member": True, "more": [1]}
    assert children(parent) == [socket.nsp]


async def test_a_function_is_asked_once_for_a_name() -> None:
    """Once the namespace is there, its middlewares decide; as in the official server."""
    lobby = Lobby()
    lobby.io.of(lambda name, auth: auth.get("member") is True)
    join(lobby.client(), "/tenant", '{"member":true}')
    join(lobby.client(), "/tenant")


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_a_function_that_fails(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and the next parent is asked."""
    lobby = Lobby()

    def plain(name: str, auth: dict[str, Any]) -> bool:
        raise LookupError("no table")

    async def later(name: str, auth: dict[str, Any]) -> bool:
        return plain(name, auth)

    lobby.io.of(later if is_async else plain)
    second = lobby.io.of(DYNAMIC)
    client = lobby.client()
    name = "/\x1b[31m" + "x" * 1000
    assert client.asks(f"40{name},") == invalid(name)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 200
    assert join(client, "/dyn-1").nsp in second.children


async def test_a_function_that_refuses_by_raising(caplog: pytest.LogCaptureFixture) -> None:
    lobby = Lobby()

    def refuse(name: str, auth: dict[str, Any]) -> bool:
        raise ConnectionRefused("members only")

    lobby.io.of(refuse)
    assert lobby.client().asks("40/x,") == invalid("/x")
    assert caplog.records == []


@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
async def test_a_function_that_is_cancelled(late: bool) -> None:
    lobby = Lobby()
    future = asyncio.get_running_loop().create_future()

    async def wait(name: str, auth: dict[str, Any]) -> bool:
        return bool(await future)

    lobby.io.of(wait)
    client = lobby.client()
    if not late:
        future.cancel()
    client.say("40/x,")
    future.cancel()
    await client.hears(*invalid("/x"))
    assert names(lobby.io) == ["/"]
    client.connect()


# --- what a child inherits --------------------------------------------------------------------------


async def test_middlewares_and_listeners_are_inherited() -> None:
    lobby = Lobby()
    seen: list[str] = []
    parent = lobby.io.of(DYNAMIC, lambda socket: seen.append(f"given to of() {socket.nsp.name}"))

    @parent.use
    def middleware(socket: Socket) -> None:
        seen.append(f"middleware {socket.nsp.name}")
        if socket.handshake.auth:
            raise ConnectionRefused("no auth please")

    @parent.on("connection")
    def connection(socket: Socket) -> None:
        seen.append(f"connection {socket.nsp.name}")

    parent.on("connect", lambda: seen.append("connect"))
    client = lobby.client()
    join(client, "/dyn-1")
    assert seen == ["middleware /dyn-1", "given to of() /dyn-1", "connect", "connection /dyn-1"]
    assert client.asks('40/dyn-2,{"a":1}') == ['44/dyn-2,{"message":"no auth please"}']


async def test_what_is_added_later_is_not_inherited() -> None:
    lobby = Lobby()
    seen: list[str] = []
    parent = lobby.io.of(DYNAMIC)
    parent.on("connection", lambda: seen.append("first"))
    join(lobby.client(), "/dyn-1")
    parent.on("connection", lambda: seen.append("second"))
    parent.use(lambda socket: seen.append("middleware"))
    lobby.io.of("/dyn-1").on("connection", lambda: seen.append("of the child"))
    join(lobby.client(), "/dyn-1")
    assert seen == ["first", "first", "of the child"]
    seen.clear()
    join(lobby.client(), "/dyn-2")
    assert seen == ["middleware", "first", "second"]
    seen.clear()
    parent.off("connection")
    join(lobby.client(), "/dyn-2")
    join(lobby.client(), "/dyn-3")
    assert seen == ["middleware", "first", "second", "middleware"]


async def test_once_is_once_in_each_child() -> None:
    lobby = Lobby()
    seen: list[str] = []
    lobby.io.of(DYNAMIC).once("connection", lambda socket: seen.append(socket.nsp.name))
    for name in ("/dyn-1", "/dyn-1", "/dyn-2", "/dyn-2"):
        join(lobby.client(), name)
    assert seen == ["/dyn-1", "/dyn-2"]


async def test_errors_of_a_child_reach_the_parents_listener() -> None:
    lobby = Lobby()
    told: list[Any] = []
    parent = lobby.io.of(DYNAMIC)
    parent.on("error", lambda error, socket, event: told.append((type(error), socket, event)))
    client = lobby.client()
    socket = join(client, "/dyn-1")
    socket.on("x", lambda: 1 / 0)
    client.say('42/dyn-1,["x"]')
    assert told == [(ZeroDivisionError, socket, "x")]


# --- of(name) ---------------------------------------------------------------------------------------


async def test_of_a_name_that_fits_a_pattern() -> None:
    """A namespace that is there stays what it is; a new one belongs to the first pattern that fits."""
    lobby = Lobby()
    made: list[str] = []
    lobby.io.on("new_namespace", lambda nsp: made.append(nsp.name))
    static = lobby.io.of("/dyn-0")
    lobby.io.of(lambda name, auth: pytest.fail("a function wants a client's auth"))
    parent = lobby.io.of(DYNAMIC)
    lobby.io.of(re.compile("dyn"))
    parent.use(lambda socket: None)
    child = lobby.io.of("dyn-1")
    assert lobby.io.of("/dyn-0") is static
    assert lobby.io.of("/dyn-1") is child
    assert lobby.io.of("/other") is not child
    assert made == ["/dyn-0", "/dyn-1", "/other"]
    assert children(parent) == [child]
    assert child._middlewares == parent._middlewares


@pytest.mark.parametrize("name", ["/chat", "/dyn-1"])
async def test_of_a_name_with_a_listener(name: str) -> None:
    lobby = Lobby()
    seen: list[Any] = []
    lobby.io.of(DYNAMIC)
    nsp = lobby.io.of(name, seen.append)
    nsp.on("connection", lambda socket: seen.append("connection"))
    assert lobby.io.of(name, lambda: seen.append("and another")) is nsp
    socket = join(lobby.client(), name)
    assert seen == [socket, "and another", "connection"]


@pytest.mark.parametrize("what", [7, None, re.compile(b"^/dyn")], ids=["number", "None", "bytes"])
async def test_of_anything_else(what: Any) -> None:
    with pytest.raises(UsageError, match="expected a name, a compiled pattern of str, or a function"):
        Lobby().io.of(what)


async def test_a_parent_is_no_namespace_for_clients() -> None:
    lobby = Lobby()
    parent = lobby.io.of(DYNAMIC)
    assert repr(parent) == "<ParentNamespace '/_0' 0 children>"
    assert lobby.client().asks("40/_0,") == invalid("/_0")
    assert lobby.io.of("/_0") is not parent
