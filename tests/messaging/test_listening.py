"""``on``, ``off`` and their like, the same for sockets, namespaces and servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

import pytest

from socketeer import Namespace, ReservedEventError, Socket, UsageError
from socketeer.messaging.handlers import NO_HANDLERS
from socketeer.messaging.listening import Listening
from socketeer.server.server import BaseServer
from tests.support.inprocess import Lobby


def first() -> None: ...
def second() -> None: ...
def third() -> None: ...


def socket_of(lobby: Lobby) -> Listening:
    return lobby.connected()[1]


def namespace_of(lobby: Lobby) -> Listening:
    return lobby.io.of("/chat")


def server_of(lobby: Lobby) -> Listening:
    return lobby.io


@pytest.fixture(params=[socket_of, namespace_of, server_of], ids=["socket", "namespace", "server"])
async def listening(request: pytest.FixtureRequest) -> Listening:
    make: Callable[[Lobby], Listening] = request.param
    return make(Lobby())


async def test_who_listens_in_which_order(listening: Listening) -> None:
    listening.on("a", first)
    listening.once("a", second)
    listening.prepend("a", third)
    listening.on("b", first)
    assert listening.listeners("a") == [third, first, second]
    assert listening.listeners("b") == [first]
    assert listening.listeners("c") == []
    assert [listening.listener_count(event) for event in "abc"] == [3, 1, 0]
    assert [listening.has_listeners(event) for event in "abc"] == [True, True, False]
    assert listening.event_names() == ["a", "b"]


async def test_forgetting_one_or_all_of_an_event_or_all(listening: Listening) -> None:
    for event in "ab":
        for handler in (first, second, first):
            listening.on(event, handler)
    listening.off("a", first)
    assert listening.listeners("a") == [second, first]
    listening.off("a", third)
    listening.off("unknown", first)
    listening.off("unknown")
    listening.off("a")
    assert listening.event_names() == ["b"]
    listening.off()
    assert listening.event_names() == []


async def test_each_is_a_decorator_and_gives_the_function_back(listening: Listening) -> None:
    @listening.on("a")
    def one(text: str) -> int:
        return 1

    @listening.once("a")
    def two(text: str) -> int:
        return 2

    @listening.prepend("a")
    async def three(text: str) -> int:
        return 3

    assert listening.listeners("a") == [three, one, two]
    assert_type(one("x"), int)
    assert_type(two("x"), int)
    assert_type(await three("x"), int)
    assert listening.on("a", one) is one
    assert listening.once("a", one) is one
    assert listening.prepend("a", one) is one


async def test_what_is_given_out_may_be_changed(listening: Listening) -> None:
    listening.on("a", first)
    listening.listeners("a").clear()
    listening.event_names().clear()
    assert listening.listeners("a") == [first]


async def test_what_cannot_be_called(listening: Listening) -> None:
    wrong: Any = "text"
    with pytest.raises(UsageError, match="listener of 'a': expected a function"):
        listening.on("a", wrong)
    assert not listening.has_listeners("a")


async def test_a_server_listens_in_its_main_namespace() -> None:
    lobby = Lobby()
    lobby.io.on("connection", first)
    lobby.io.sockets.on("connection", second)
    assert lobby.io.listeners("connection") == lobby.io.sockets.listeners("connection") == [first, second]
    lobby.io.sockets.off("connection", first)
    assert lobby.io.listeners("connection") == [second]


async def test_the_order_is_the_order_of_calls() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    seen: list[str] = []
    socket.on("x", lambda: seen.append("on"))
    socket.prepend("x", lambda: seen.append("prepended"))
    socket.once("x", lambda: seen.append("once"))
    client.say('42["x"]', '42["x"]')
    assert seen == ["prepended", "on", "once", "prepended", "on"]
    assert socket.listener_count("x") == 2


async def test_prepended_for_once() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    seen: list[str] = []
    socket.on("x", lambda: seen.append("on"))
    socket.prepend_once("x", lambda: seen.append("prepended"))

    @socket.prepend_once("x")
    def _() -> None:
        seen.append("first")

    client.say('42["x"]', '42["x"]')
    assert seen == ["first", "prepended", "on", "on"]
    assert socket.listener_count("x") == 1


async def test_a_prepended_handler_answers_first() -> None:
    lobby = Lobby()
    client, socket = lobby.connected()
    socket.on("x", lambda: "second")
    socket.prepend("x", lambda: "first")
    assert client.asks('421["x"]') == ['431["first"]']


@pytest.mark.parametrize("event", ["connect", "connect_error", "newListener", "removeListener"])
async def test_nobody_sends_these_to_a_socket(event: str) -> None:
    _, socket = Lobby().connected()
    for listen in (socket.on, socket.once, socket.prepend):
        with pytest.raises(ReservedEventError):
            listen(event, first)
        with pytest.raises(ReservedEventError):
            listen(event)
    assert socket.event_names() == []


async def test_a_socket_without_listeners_has_no_table() -> None:
    lobby = Lobby()
    _, one = lobby.connected()
    _, other = lobby.connected()
    assert one._handlers is other._handlers is NO_HANDLERS
    one.off()
    one.off("x", first)
    one.off_any()
    one.off_any_outgoing()
    one.on("x", first)
    assert one.event_names() == ["x"]
    assert other.event_names() == NO_HANDLERS.names() == []
    assert other._watch is None


def test_the_three_that_listen() -> None:
    assert all(issubclass(each, Listening) for each in (Socket, Namespace, BaseServer))
