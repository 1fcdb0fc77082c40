"""Catch-all listeners of a socket, in both directions."""

from __future__ import annotations

import asyncio
import logging
from functools import wraps
from typing import Any, assert_type

import pytest

from socketeer import Ack, InvalidPayload, UsageError
from tests.messaging.calling import Table
from tests.support.inprocess import Client, Lobby, soon


class Heard:
    """A client, and what a catch-all of each direction has heard of it."""

    def __init__(self, namespace: str = "/") -> None:
        self.lobby = Lobby()
        self.client: Client
        self.client, self.socket = self.lobby.connected(namespace)
        self.incoming: list[tuple[Any, ...]] = []
        self.outgoing: list[tuple[Any, ...]] = []
        self.socket.on_any(self.hear_in)
        self.socket.on_any_outgoing(self.hear_out)

    def hear_in(self, *args: Any) -> str:
        self.incoming.append(args)
        return "no acknowledgement"

    def hear_out(self, *args: Any) -> None:
        self.outgoing.append(args)


# --- in -----------------------------------------------------------------------------------------


async def test_each_event_with_its_arguments() -> None:
    heard = Heard()
    heard.socket.on("known", lambda *args: None)
    heard.client.say(
        '42["known",1,{"a":[2]}]', '42["unknown"]', '451-["binary",{"_placeholder":true,"num":0}]', b"\x01"
    )
    assert heard.incoming == [("known", 1, {"a": [2]}), ("unknown",), ("binary", b"\x01")]


async def test_a_client_may_say_error_but_it_reaches_no_error_listener() -> None:
    heard = Heard()
    heard.socket.on("error", lambda *args: pytest.fail("forged"))
    heard.client.say('42["error","forged"]', "42")
    assert heard.incoming == [("error", "forged")]
    assert heard.client.ended() is False


async def test_acknowledgements_are_no_events() -> None:
    heard = Heard()
    waiting = asyncio.ensure_future(heard.socket.emit_with_ack("ask"))
    await heard.client.hears('420["ask"]')
    heard.client.say('430["answer"]')
    assert await waiting == "answer"
    heard.socket.on("x", lambda: "answer")
    assert heard.client.asks('421["x"]') == ['431["answer"]']
    assert heard.incoming == [("x",)]
    assert heard.outgoing == [("ask",)]


async def test_what_it_returns_is_no_acknowledgement() -> None:
    heard = Heard()
    assert heard.client.asks('421["nobody else"]') == []
    heard.socket.on("x", lambda: None)
    assert heard.client.asks('422["x"]') == ["432[]"]


async def test_it_may_take_the_acknowledgement_and_give_it_once() -> None:
    heard = Heard()

    @heard.socket.on_any
    def answer(event: str, ack: Ack) -> None:
        if event == "mine":
            ack("from the catch-all")

    heard.socket.on("mine", lambda: "too late")
    heard.socket.on("yours", lambda: "from the handler")
    assert heard.client.asks('421["mine"]', '422["yours"]', '42["mine"]') == [
        '431["from the catch-all"]',
        '432["from the handler"]',
    ]


async def test_the_order_catch_alls_then_middlewares_then_handlers() -> None:
    heard = Heard()
    steps: list[Any] = []

    @heard.socket.use
    def middleware(args: list[Any]) -> None:
        steps.append(("middleware", *args))
        args[:] = ["other", 2]

    heard.socket.on_any(lambda *args: steps.append(("second", *args)))
    heard.socket.prepend_any(lambda *args: steps.append(("first", *args)))
    heard.socket.on("x", lambda *args: pytest.fail("the middleware has made another event of it"))
    heard.socket.on("other", lambda *args: steps.append(("handler", *args)))
    heard.client.say('42["x",1]')
    assert steps == [("first", "x", 1), ("second", "x", 1), ("middleware", "x", 1), ("handler", 2)]


async def test_it_hears_what_a_middleware_refuses() -> None:
    heard = Heard()

    @heard.socket.use
    def refuse(args: list[Any]) -> None:
        raise ValueError("no")

    heard.socket.on("x", lambda: pytest.fail("refused"))
    heard.client.say('42["x"]')
    assert heard.incoming == [("x",)]


@pytest.mark.parametrize(
    ("catch_all", "expected"),
    [
        (lambda: (), ()),
        (lambda event: (event,), ("x",)),
        (lambda event, one: (event, one), ("x", 1)),
        (lambda event, one, two, three=3: (event, one, two, three), ("x", 1, 2, 3)),
        (lambda event, *rest: (event, rest), ("x", (1, 2))),
    ],
)
async def test_it_may_take_fewer_arguments(catch_all: Any, expected: Any) -> None:
    heard = Heard()
    seen: list[Any] = []

    @heard.socket.on_any
    @wraps(catch_all)
    def told(*args: Any) -> None:
        seen.append(catch_all(*args))

    heard.client.say('42["x",1,2]')
    assert seen == [expected]


async def test_annotations_check_the_arguments_but_not_the_name(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    seen: list[Any] = []

    @table.socket.on_any
    def catch_all(event: int, number: int) -> None:
        seen.append((event, number))

    table.socket.on("x", seen.append)
    table.client.say('42["x",1]', '42["x","text"]', '42["y"]')
    assert seen == [("x", 1), 1, "text"], "the event goes on to the others"
    assert [type(error) for _, error in table.errors] == [InvalidPayload] * 4
    assert "at least 1 arguments, got 0" in str(table.errors[-1][1])
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


async def test_async_ones_start_in_order() -> None:
    heard = Heard()
    steps: list[str] = []
    go = asyncio.Event()
    over = asyncio.Event()

    @heard.socket.on_any
    async def slow(event: str) -> None:
        steps.append(f"slow {event}")
        await go.wait()
        steps.append(f"slow {event} ends")
        over.set()

    @heard.socket.on_any
    async def quick(event: str) -> None:
        steps.append(f"quick {event}")

    heard.socket.on("x", lambda: steps.append("handler"))
    heard.client.say('42["x"]')
    assert steps == ["slow x", "quick x", "handler"]
    go.set()
    await soon(over)
    assert steps[3:] == ["slow x ends"]


@pytest.mark.parametrize("waits", [False, True])
async def test_one_that_raises(waits: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, reaches `error` of the socket and of the namespace, and the event goes on."""
    table = Table()
    seen: list[str] = []
    failed = asyncio.Event()
    table.socket.on("error", failed.set)

    @table.socket.on_any
    async def fails(event: str) -> None:
        if waits:
            await asyncio.sleep(0)
        raise LookupError(event)

    table.socket.on_any(lambda event: seen.append(f"any {event}"))
    table.socket.on("x", lambda: seen.append("handler"))
    table.client.say('42["x"]')
    await soon(failed)
    assert seen == ["any x", "handler"]
    assert [(event, str(error)) for event, error in table.errors] == [("socket", "x"), ("x", "x")]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    table.socket.off_any()
    assert table.lives()


async def test_one_that_disconnects() -> None:
    heard = Heard()
    heard.socket.on_any(lambda event: heard.socket.disconnect())
    heard.socket.on("x", lambda: pytest.fail("it is gone"))
    heard.client.say('42["x"]')
    assert heard.socket.disconnected


async def test_coming_and_going() -> None:
    heard = Heard()

    def other(event: str) -> None: ...

    @heard.socket.prepend_any
    def first(event: str) -> int:
        return 1

    assert_type(first("x"), int)
    heard.socket.on_any(other)
    assert heard.socket.listeners_any() == [first, heard.hear_in, other]
    heard.socket.off_any(first)
    heard.socket.off_any(first)
    assert heard.socket.listeners_any() == [heard.hear_in, other]
    heard.socket.off()
    heard.client.say('42["x"]')
    heard.socket.off_any()
    heard.client.say('42["y"]')
    assert heard.incoming == [("x",)], "off() is about listeners by name"
    assert heard.socket.listeners_any() == []
    assert heard.socket.listeners_any_outgoing() == [heard.hear_out]
    assert heard.socket.event_names() == []


async def test_one_added_while_an_event_is_told_hears_the_next() -> None:
    heard = Heard()
    seen: list[str] = []

    @heard.socket.on_any
    def adds(event: str) -> None:
        heard.socket.off_any(adds)
        heard.socket.on_any(seen.append)

    heard.client.say('42["x"]', '42["y"]')
    assert seen == ["y"]


async def test_what_cannot_be_called() -> None:
    heard = Heard()
    wrong: Any = None
    with pytest.raises(UsageError, match="listener of 'any event': expected a function, got None"):
        heard.socket.on_any(wrong)
    with pytest.raises(UsageError, match="listener of 'any outgoing event'"):
        heard.socket.prepend_any_outgoing(wrong)


# --- out ----------------------------------------------------------------------------------------


async def test_what_is_emitted_in_every_way() -> None:
    heard = Heard()
    socket = heard.socket
    socket.emit("plain", 1, b"\x02")
    socket.send("hello")
    socket.compress(False).emit("flagged")
    asked = asyncio.ensure_future(socket.emit_with_ack("asked", timeout=5))
    await asyncio.sleep(0)
    heard.client.say("430[]")
    await asked
    assert heard.outgoing == [("plain", 1, b"\x02"), ("message", "hello"), ("flagged",), ("asked",)]
    assert len(heard.client.heard()) == 5


async def test_broadcasts_reach_the_catch_alls_of_their_receivers() -> None:
    heard = Heard("/chat")
    nsp = heard.socket.nsp
    other, _ = heard.lobby.connected("/chat")
    third, unheard = heard.lobby.connected("/chat")
    heard.socket.join("room")
    heard.lobby.io.of("/chat").emit("all", 1)
    heard.lobby.io.of("/chat").to("room").volatile.emit("room", 2)
    heard.lobby.io.of("/chat").except_("room").emit("others")
    heard.socket.broadcast.emit("not me")
    unheard.broadcast.emit("from another", 3)
    asked = asyncio.ensure_future(heard.lobby.io.of("/chat").to("room").emit_with_ack("asked", timeout=5))
    await asyncio.sleep(0)
    heard.client.say("43/chat,0[]")
    await asked
    assert heard.outgoing == [("all", 1), ("room", 2), ("from another", 3), ("asked",)]
    assert len(other.heard()) == len(third.heard()) + 1 == 4
    assert set(nsp.overheard) == {heard.socket.id}


async def test_it_is_told_before_the_packet_leaves() -> None:
    heard = Heard()
    sent: list[int] = []
    heard.socket.on_any_outgoing(lambda: sent.append(len(heard.client.carrier.sent)))
    heard.socket.emit("x")
    heard.lobby.io.emit("x")
    heard.socket.volatile.emit("x")
    assert sent == [0, 1, 2]


async def test_it_hears_what_is_dropped_as_well() -> None:
    """As with the official server: what is emitted, whether or not it can be sent."""
    heard = Heard()
    heard.client.carrier.busy = True
    heard.socket.volatile.emit("dropped")
    heard.lobby.io.volatile.emit("dropped for all")
    heard.socket.disconnect()
    heard.client.heard()
    heard.socket.emit("too late")
    heard.socket.volatile.emit("too late, volatile")
    heard.lobby.io.emit("to those who are there")
    assert [args[0] for args in heard.outgoing] == [
        "dropped",
        "dropped for all",
        "too late",
        "too late, volatile",
    ]
    assert heard.client.heard() == []


async def test_coming_and_going_outwards() -> None:
    heard = Heard()
    seen: list[str] = []

    @heard.socket.prepend_any_outgoing
    def first(event: str) -> None:
        seen.append(event)

    assert heard.socket.listeners_any_outgoing() == [first, heard.hear_out]
    heard.socket.emit("a")
    heard.socket.off_any_outgoing(first)
    heard.socket.emit("b")
    heard.socket.off_any_outgoing()
    heard.socket.emit("c")
    heard.lobby.io.emit("d")
    assert (seen, heard.outgoing) == (["a"], [("a",), ("b",)])
    assert heard.client.heard() == ['42["a"]', '42["b"]', '42["c"]', '42["d"]']
    assert heard.socket.direct
    assert not heard.lobby.io.sockets.overheard


async def test_those_of_the_gone_are_forgotten() -> None:
    heard = Heard()
    nsp = heard.lobby.io.sockets
    assert nsp.overheard == {heard.socket.id}
    heard.client.vanish()
    assert nsp.overheard == set()
    heard.socket.on_any_outgoing(lambda: None)
    assert nsp.overheard == set()
    assert not heard.socket.direct


async def test_one_of_a_client_that_is_refused() -> None:
    lobby = Lobby()

    @lobby.io.use
    def middleware(socket: Any) -> None:
        socket.on_any_outgoing(heard.append)
        socket.emit("early")
        raise ValueError("no")

    heard: list[str] = []
    client = lobby.client()
    assert client.asks("40")[0] == '42["early"]'
    assert heard == ["early"]
    assert lobby.io.sockets.overheard == set()


async def test_one_that_raises_does_not_keep_the_event(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    seen: list[str] = []

    @table.socket.on_any_outgoing
    def fails(event: str) -> None:
        raise LookupError(event)

    table.socket.on_any_outgoing(seen.append)
    table.socket.emit("a")
    table.lobby.io.emit("b")
    assert table.client.heard() == ['42["a"]', '42["b"]']
    assert seen == ["a", "b"]
    assert [str(error) for _, error in table.errors] == ["a", "a", "b", "b"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


async def test_one_that_raises_at_what_its_error_listener_emits(caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()

    @heard.socket.on_any_outgoing
    def fails(event: str) -> None:
        raise LookupError(event)

    heard.socket.on("error", lambda error: heard.socket.emit("failed", str(error)))
    heard.socket.emit("x")
    assert heard.client.heard() == ['42["failed","x"]', '42["x"]']
    assert len(caplog.records) == 2


async def test_an_argument_is_not_converted() -> None:
    heard = Heard()
    seen: list[Any] = []

    @heard.socket.on_any_outgoing
    def catch_all(event: str, value: int) -> None:
        seen.append(value)

    heard.socket.emit("x", "text")
    assert seen == ["text"]
