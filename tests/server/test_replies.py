"""Acknowledgements of many, gathered: who is counted, who is late, who has gone."""

from __future__ import annotations

import asyncio

import pytest

from socketeer.engine.timers import TimerWheel
from socketeer.errors import AckTimeout
from socketeer.server.replies import Replies
from tests.support.clock import FakeClock


def ask(count: int) -> Replies:
    replies = Replies()
    for _ in range(count):
        replies.expect()
    return replies


async def test_all_answer_in_their_own_order() -> None:
    replies = ask(3)
    for args in (["b", "only the first counts"], [], [{"c": 1}]):
        replies.answered(args)
    assert await replies.wait(TimerWheel(FakeClock()), None) == ["b", None, {"c": 1}]


async def test_nobody_was_asked() -> None:
    assert await ask(0).wait(TimerWheel(FakeClock()), 5) == []


async def test_one_who_answers_before_the_next_is_asked() -> None:
    replies = ask(1)
    replies.answered([1])
    replies.expect()
    waiting = asyncio.create_task(replies.wait(TimerWheel(FakeClock()), None))
    await asyncio.sleep(0)
    assert not waiting.done()
    replies.answered([2])
    assert await waiting == [1, 2]


async def test_nobody_waits_for_one_who_has_gone() -> None:
    replies = ask(2)
    replies.gone()
    replies.answered([1])
    assert await replies.wait(TimerWheel(FakeClock()), None) == [1]


async def test_with_a_time_out_one_who_has_gone_is_late() -> None:
    replies = ask(2)
    replies.gone()
    replies.answered([1])
    with pytest.raises(AckTimeout) as caught:
        await replies.wait(TimerWheel(FakeClock()), 5)
    assert caught.value.responses == [1]


async def test_late() -> None:
    clock = FakeClock()
    wheel = TimerWheel(clock)
    replies = ask(2)
    replies.answered([1])
    waiting = asyncio.create_task(replies.wait(wheel, 5))
    await asyncio.sleep(0)
    clock.advance(5.1)
    with pytest.raises(AckTimeout) as caught:
        await waiting
    assert caught.value.responses == [1]
    replies.answered([2])  # too late to matter
