"""Acknowledgements waited for, by id, with their time-outs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.timers import TimerWheel
from socketeer.errors import AckTimeout, SocketDisconnected
from socketeer.messaging.acks import AckTable, Reply, unpack
from socketeer.messaging.dispatch import pack
from tests.support.clock import FakeClock
from tests.support.inprocess import DEADLINE


class Waits:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def answered(self, args: list[Any]) -> None:
        self.told.append(args)

    def gone(self) -> None:
        self.told.append("gone")


def test_an_answer_reaches_who_waits_for_its_id() -> None:
    table = AckTable()
    first, second = Waits(), Waits()
    table.add(0, first)
    table.add(1, second)
    assert len(table) == 2
    table.resolve(1, ["one", 2])
    assert (first.told, second.told) == ([], [["one", 2]])
    assert len(table) == 1


def test_an_answer_counts_once() -> None:
    table = AckTable()
    waits = Waits()
    table.add(7, waits)
    table.resolve(7, [1])
    table.resolve(7, [2])
    assert waits.told == [[1]]


def test_unknown_ids_are_ignored() -> None:
    table = AckTable()
    waits = Waits()
    table.add(7, waits)
    table.resolve(8, [1])
    table.forget(9)
    assert (waits.told, len(table)) == ([], 1)


def test_forgotten() -> None:
    table = AckTable()
    waits = Waits()
    table.add(7, waits)
    table.forget(7)
    table.resolve(7, [1])
    table.fail_all()
    assert (waits.told, len(table)) == ([], 0)


def test_everybody_hears_that_the_socket_has_gone_once() -> None:
    table = AckTable()
    first, second = Waits(), Waits()
    table.add(0, first)
    table.add(1, second)
    table.fail_all()
    table.fail_all()
    table.resolve(0, [1])
    assert (first.told, second.told, len(table)) == (["gone"], ["gone"], 0)


async def test_who_asks_anew_when_the_socket_goes_is_not_forgotten() -> None:
    table = AckTable()
    later = Waits()

    class Again(Waits):
        def gone(self) -> None:
            table.add(1, later)

    table.add(0, Again())
    table.fail_all()
    assert (later.told, len(table)) == ([], 1)


@pytest.mark.parametrize(
    ("args", "value"),
    [
        ([], None),
        ([None], None),
        (["one"], "one"),
        ([[1, 2]], [1, 2]),
        ([1, 2], (1, 2)),
        ([None, 1], (None, 1)),
    ],
)
async def test_reply(args: list[Any], value: Any) -> None:
    reply = Reply()
    waiting = asyncio.ensure_future(reply.wait(TimerWheel(FakeClock()), None))
    reply.answered(args)
    async with asyncio.timeout(DEADLINE):
        assert await waiting == value


async def test_reply_that_is_there_before_anyone_waits() -> None:
    reply = Reply()
    reply.answered(["early"])
    assert await reply.wait(TimerWheel(FakeClock()), 5) == "early"


async def test_only_the_first_of_all_that_may_happen_counts() -> None:
    clock = FakeClock()
    reply = Reply()
    waiting = asyncio.ensure_future(reply.wait(TimerWheel(clock), 5))
    await asyncio.sleep(0)
    reply.answered([1])
    reply.answered([2])
    reply.gone()
    clock.advance(6)
    assert await waiting == 1


async def test_reply_of_a_socket_that_goes() -> None:
    reply = Reply()
    waiting = asyncio.ensure_future(reply.wait(TimerWheel(FakeClock()), 5))
    reply.gone()
    reply.gone()
    with pytest.raises(SocketDisconnected, match="socket has been disconnected"):
        await waiting


async def test_reply_that_is_late() -> None:
    clock = FakeClock()
    reply = Reply()
    waiting = asyncio.ensure_future(reply.wait(TimerWheel(clock), 5))
    await asyncio.sleep(0)
    clock.advance(4.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)
    with pytest.raises(AckTimeout, match="operation has timed out") as caught:
        await waiting
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.responses == []
    reply.answered(["too late"])


async def test_without_a_timeout_it_waits_for_ever() -> None:
    clock = FakeClock()
    reply = Reply()
    waiting = asyncio.ensure_future(reply.wait(TimerWheel(clock), None))
    await asyncio.sleep(0)
    clock.advance(1_000_000)
    await asyncio.sleep(0)
    assert not waiting.done()
    reply.answered([])
    assert await waiting is None


async def test_the_timer_goes_with_the_answer() -> None:
    wheel = TimerWheel(FakeClock())
    reply = Reply()
    waiting = asyncio.ensure_future(reply.wait(wheel, 5))
    await asyncio.sleep(0)
    assert timers(wheel) == 1
    reply.answered([])
    await waiting
    assert timers(wheel) == 0


def timers(wheel: TimerWheel) -> int:
    """How many are set."""
    return sum(map(len, wheel._buckets.values()))


async def test_no_longer_waiting() -> None:
    """Its caller was cancelled: the timer goes with it, and an answer finds nobody."""
    clock = FakeClock()
    wheel = TimerWheel(clock)
    reply = Reply()
    waiting = asyncio.ensure_future(reply.wait(wheel, 5))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert timers(wheel) == 0
    reply.answered([1])


@pytest.mark.parametrize(
    ("result", "args"),
    [
        (None, ()),
        ((), ()),
        ((1, 2), (1, 2)),
        ((None,), (None,)),
        ([1, 2], ([1, 2],)),
        ("text", ("text",)),
        (0, (0,)),
        (False, (False,)),
    ],
)
def test_what_a_handler_returned_as_arguments(result: Any, args: tuple[Any, ...]) -> None:
    assert pack(result) == args


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers()), st.booleans()))
def test_one_value_comes_back_as_it_went(value: Any) -> None:
    assert unpack(list(pack(value))) == value


@given(st.lists(st.integers(), min_size=2))
def test_several_values_come_back_as_a_tuple(values: list[int]) -> None:
    assert unpack(list(pack(tuple(values)))) == tuple(values)


def test_a_table_that_was_never_used_holds_nothing() -> None:
    table = AckTable()
    table.resolve(1, [])
    table.forget(1)
    table.fail_all()
    assert len(table) == 0
    assert table._waiters is None
