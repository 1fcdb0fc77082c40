"""Handlers are run in order, and what they return is the acknowledgement."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, NamedTuple

import pytest

from socketeer.messaging.handlers import Ack
from tests.messaging.calling import Table
from tests.support.inprocess import soon


class Point(NamedTuple):
    x: int
    y: int


# --- what a handler returns ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "wire"),
    [
        (None, "430[]"),
        ("text", '430["text"]'),
        (0, "430[0]"),
        (False, "430[false]"),
        ([1, 2], "430[[1,2]]"),
        ((1, 2), "430[1,2]"),
        (Point(1, 2), "430[1,2]"),
        ((), "430[]"),
        ((None,), "430[null]"),
        ({"a": {"b": None}}, '430[{"a":{"b":null}}]'),
    ],
)
async def test_what_is_returned_is_the_acknowledgement(result: Any, wire: str) -> None:
    async def at_once() -> Any:
        return result

    async def later() -> Any:
        await asyncio.sleep(0)
        return result

    table = Table()
    table.socket.on("plain", lambda: result)
    table.socket.on("async", at_once)
    table.socket.on("later", later)
    table.socket.on("several", lambda: result)
    table.socket.on("several", lambda: None)
    assert table.client.asks('420["plain"]') == [wire]
    assert table.client.asks('420["async"]') == [wire]
    assert table.client.asks('420["several"]') == [wire]
    assert table.client.asks('420["later"]') == []
    await table.client.hears(wire)


async def test_binary_is_acknowledged_as_such() -> None:
    table = Table()
    table.socket.on("x", lambda: {"a": [b"\x00", b"\x01"]})
    assert table.client.asks('4212["x"]') == [
        '462-12[{"a":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]}]',
        b"\x00",
        b"\x01",
    ]


async def test_nothing_is_sent_to_who_did_not_ask() -> None:
    table = Table()
    table.socket.on("x", lambda *args: "unasked")
    assert table.client.asks('42["x"]') == []


async def test_nobody_acknowledges_what_nobody_listens_to() -> None:
    table = Table()
    assert table.client.asks('420["unknown"]') == []
    assert table.lives()


async def test_plain_function_that_returns_a_coroutine() -> None:
    """As a lambda around an async function does."""
    table = Table()

    async def work(text: str) -> str:
        await asyncio.sleep(0)
        return text + "!"

    table.socket.on("x", lambda text: work(text.lower()))
    table.client.say('420["x","Quiet"]')
    await table.client.hears('430["quiet!"]')


async def test_partial_of_an_async_function() -> None:
    table = Table()

    async def work(prefix: str, text: str) -> str:
        return prefix + text

    table.socket.on("x", functools.partial(work, ">"))
    assert table.client.asks('420["x","quiet"]') == ['430[">quiet"]']


async def test_the_end_of_the_socket_before_the_answer() -> None:
    """The handler goes on, and what it returns goes nowhere."""
    table = Table()
    gate, done = asyncio.Event(), asyncio.Event()

    async def handler() -> str:
        await gate.wait()
        done.set()
        return "nobody hears"

    table.socket.on("x", handler)
    table.client.say('420["x"]')
    table.client.vanish()
    gate.set()
    await soon(done)
    await asyncio.sleep(0)
    assert table.client.heard() == []
    assert table.errors == []


# --- the acknowledgement by hand ----------------------------------------------------------------


async def test_ack_parameter() -> None:
    table = Table()

    def handler(text: str, ack: Ack) -> str:
        ack(text, b"\x01")
        ack("twice")
        return "what is returned does not count"

    table.socket.on("x", handler)
    assert table.client.asks('420["x","hi"]') == ['461-0["hi",{"_placeholder":true,"num":0}]', b"\x01"]


async def test_ack_parameter_kept_for_later() -> None:
    table = Table()
    kept: list[Ack] = []

    def handler(ack: Ack) -> None:
        kept.append(ack)

    table.socket.on("x", handler)
    assert table.client.asks('420["x"]') == []
    kept[0]("later")
    assert table.client.heard() == ['430["later"]']


@pytest.mark.parametrize("turns", [0, 1])
async def test_what_is_returned_is_no_answer_where_the_ack_is_a_parameter(turns: int) -> None:
    table = Table()
    kept: list[Ack] = []
    over = asyncio.Event()

    async def handler(ack: Ack) -> str:
        kept.append(ack)
        for _ in range(turns):
            await asyncio.sleep(0)
        over.set()
        return "not sent"

    table.socket.on("x", handler)
    table.client.say('420["x"]')
    await soon(over)
    await asyncio.sleep(0)
    assert table.client.heard() == []
    assert kept[0].wanted


async def test_ack_parameter_where_the_client_asked_for_nothing() -> None:
    table = Table()
    wanted: list[bool] = []

    def handler(ack: Ack) -> None:
        wanted.append(ack.wanted)
        ack("into the void")

    table.socket.on("x", handler)
    assert table.client.asks('42["x"]') == []
    assert table.client.asks('420["x"]') == ['430["into the void"]']
    assert wanted == [False, True]


async def test_ack_by_keyword_after_any_number_of_arguments() -> None:
    table = Table()

    def handler(*args: Any, ack: Ack) -> None:
        ack(len(args))

    table.socket.on("x", handler)
    assert table.client.asks('420["x",1,2,3]') == ["430[3]"]


# --- several handlers ---------------------------------------------------------------------------


async def test_several_handlers_in_their_order() -> None:
    table = Table()
    order: list[str] = []
    for name in ("first", "second", "third"):
        table.socket.on("x", functools.partial(order.append, name))
    table.client.say('42["x"]')
    assert order == ["first", "second", "third"]


async def test_the_first_result_is_the_acknowledgement() -> None:
    table = Table()
    for result in (None, "second", "third"):
        table.socket.on("x", lambda result=result: result)
    assert table.client.asks('420["x"]') == ['430["second"]']


async def test_several_handlers_and_no_result() -> None:
    table = Table()
    gate = asyncio.Event()

    async def last() -> None:
        await gate.wait()

    table.socket.on("x", lambda: None)
    table.socket.on("x", last)
    assert table.client.asks('420["x"]') == []
    gate.set()
    await table.client.hears("430[]")


async def test_a_handler_that_takes_the_ack_answers_for_all() -> None:
    table = Table()

    def by_hand(ack: Ack) -> None:
        ack("by hand")

    table.socket.on("x", by_hand)
    table.socket.on("x", lambda: "returned")
    assert table.client.asks('420["x"]') == ['430["by hand"]']


@pytest.mark.parametrize("turns", [0, 1])
async def test_what_it_returns_is_no_answer_for_the_others_either(turns: int) -> None:
    table = Table()
    over, gate = asyncio.Event(), asyncio.Event()

    async def by_hand(ack: Ack) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        over.set()
        return "not sent"

    async def returns() -> str:
        await gate.wait()
        return "sent"

    table.socket.on("x", by_hand)
    table.socket.on("x", returns)
    table.client.say('420["x"]')
    await soon(over)
    await asyncio.sleep(0)
    gate.set()
    await table.client.hears('430["sent"]')


async def test_one_that_raises_does_not_stop_the_next() -> None:
    table = Table()
    table.socket.on("x", lambda: 1 / 0)
    table.socket.on("x", lambda: "still")
    assert table.client.asks('420["x"]') == ['430["still"]']
    assert [where for where, _ in table.errors] == ["socket", "x"]


# --- order --------------------------------------------------------------------------------------


async def test_async_handlers_start_in_order_and_overlap() -> None:
    table = Table()
    steps: list[str] = []
    gates = {number: asyncio.Event() for number in range(3)}

    async def handler(number: int) -> int:
        steps.append(f"{number} starts")
        await gates[number].wait()
        steps.append(f"{number} ends")
        return number

    table.socket.on("x", handler)
    assert table.client.asks('420["x",0]', '421["x",1]', '422["x",2]') == []
    assert steps == ["0 starts", "1 starts", "2 starts"]
    for number in (2, 0, 1):
        gates[number].set()
        await table.client.hears(f"43{number}[{number}]")
    assert steps[3:] == ["2 ends", "0 ends", "1 ends"]


async def test_handlers_that_do_not_wait_are_over_before_the_next_packet() -> None:
    table = Table()
    steps: list[str] = []

    async def handler(number: int) -> None:
        steps.append(f"async {number}")
        table.socket.emit("seen", number)

    table.socket.on("async", handler)
    table.socket.on("plain", lambda number: steps.append(f"plain {number}"))
    answers = table.client.asks('42["async",1]', '42["plain",2]', '42["async",3]')
    assert steps == ["async 1", "plain 2", "async 3"]
    assert answers == ['42["seen",1]', '42["seen",3]']


async def test_no_task_for_a_handler_that_does_not_wait() -> None:
    table = Table()

    async def handler() -> str:
        return "at once"

    table.socket.on("x", handler)
    before = asyncio.all_tasks()
    assert table.client.asks('420["x"]') == ['430["at once"]']
    assert asyncio.all_tasks() == before


# --- once, off ----------------------------------------------------------------------------------


async def test_once() -> None:
    table = Table()
    table.socket.once("x", lambda: "the first time")
    assert table.client.asks('420["x"]', '421["x"]') == ['430["the first time"]']


async def test_once_that_calls_itself_forth_again() -> None:
    table = Table()
    calls: list[int] = []

    def handler(number: int) -> None:
        calls.append(number)
        if number == 1:
            table.client.say('42["x",2]')

    table.socket.once("x", handler)
    table.client.say('42["x",1]')
    assert calls == [1]


async def test_off_in_the_midst_of_an_event() -> None:
    """Those that were there when the event came are called, as in JavaScript."""
    table = Table()
    calls: list[str] = []

    def second() -> None:
        calls.append("second")

    def first() -> None:
        calls.append("first")
        table.socket.off("x", second)

    table.socket.on("x", first)
    table.socket.on("x", second)
    table.client.say('42["x"]', '42["x"]')
    assert calls == ["first", "second", "first"]


async def test_as_a_decorator() -> None:
    table = Table()

    @table.socket.on("x")
    def handler(value: int) -> int:
        return value + 1

    @table.socket.once("y")
    def other() -> str:
        return "once"

    assert handler(1) == 2
    assert table.client.asks('420["x",1]', '421["y"]', '422["y"]') == ["430[2]", '431["once"]']
