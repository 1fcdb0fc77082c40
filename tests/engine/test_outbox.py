from __future__ import annotations

import asyncio

import pytest

from socketeer.engine.outbox import Outbox
from socketeer.options import Backpressure
from socketeer.protocol.frame import Message
from tests.engine.fakes import settle

MARKS = Backpressure(high_water=10, low_water=5, max_bytes=20)


def message(size: int) -> Message:
    return Message(b"4" * size)


def test_messages_leave_in_the_order_in_which_they_came() -> None:
    outbox = Outbox(MARKS)
    messages = [message(1), Message(b"451-[]", [b"\x01"]), message(2)]
    for each in messages:
        assert outbox.append(each)
    assert len(outbox) == 3
    assert all(taken is each for taken, each in zip(outbox.take(), messages, strict=True))
    assert len(outbox) == 0
    assert outbox.take() == []


def test_what_was_taken_does_not_grow() -> None:
    outbox = Outbox(MARKS)
    outbox.append(message(1))
    taken = outbox.take()
    outbox.append(message(2))
    assert taken == [message(1)]
    assert outbox.take() == [message(2)]


def test_an_empty_one_is_false() -> None:
    outbox = Outbox(MARKS)
    assert not outbox
    outbox.append(message(0))
    assert outbox


def test_it_counts_the_bytes_it_holds() -> None:
    outbox = Outbox(MARKS)
    assert outbox.held == 0
    outbox.append(message(3))
    outbox.append(Message("4\u00e9".encode(), [b"12", b"3"]))
    assert outbox.held == 3 + 3 + 3
    outbox.take()
    assert outbox.held == 0


@pytest.mark.parametrize(
    ("sizes", "room"), [((20,), True), ((21,), False), ((10, 10), True), ((10, 10, 1), False)]
)
def test_it_says_when_it_holds_too_much(sizes: tuple[int, ...], room: bool) -> None:
    outbox = Outbox(MARKS)
    assert [outbox.append(message(size)) for size in sizes] == [True] * (len(sizes) - 1) + [room]


@pytest.mark.parametrize("size", [0, 10])
async def test_up_to_the_high_water_mark_nobody_waits(size: int) -> None:
    outbox = Outbox(MARKS)
    outbox.append(message(size))
    waiting = asyncio.create_task(outbox.drained())
    await settle()
    assert waiting.done()


async def test_above_it_everybody_waits_until_the_queue_is_taken() -> None:
    outbox = Outbox(MARKS)
    outbox.append(message(11))
    waiting = [asyncio.create_task(outbox.drained()) for _ in range(3)]
    await settle()
    assert not any(each.done() for each in waiting)
    outbox.append(message(1))
    await settle()
    assert not any(each.done() for each in waiting)
    outbox.take()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)


async def test_who_gives_up_waiting_is_in_nobodys_way() -> None:
    outbox = Outbox(MARKS)
    outbox.append(message(11))
    impatient = asyncio.create_task(outbox.drained())
    patient = asyncio.create_task(outbox.drained())
    await settle()
    impatient.cancel()
    await settle()
    outbox.take()
    async with asyncio.timeout(5):
        await patient
    assert impatient.cancelled()


async def test_it_fills_again() -> None:
    outbox = Outbox(MARKS)
    for _ in range(3):
        outbox.append(message(11))
        waiting = asyncio.create_task(outbox.drained())
        await settle()
        assert not waiting.done()
        outbox.take()
        async with asyncio.timeout(5):
            await waiting
