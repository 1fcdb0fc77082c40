"""Those who wait to be joined, and what a refusal says."""

from __future__ import annotations

import asyncio

import pytest

from socketeer.client.joining import Waiters, refusal_of


async def test_all_who_wait_are_told() -> None:
    waiters: Waiters[int] = Waiters()
    waiting = [asyncio.create_task(waiters.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    waiters.resolve(1)
    waiters.resolve(2)
    assert await asyncio.gather(*waiting) == [1, 1]


async def test_all_who_wait_are_told_of_a_failure() -> None:
    waiters: Waiters[int] = Waiters()
    waiting = asyncio.create_task(waiters.wait())
    await asyncio.sleep(0)
    waiters.fail(LookupError("gone"))
    with pytest.raises(LookupError):
        await waiting


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    waiters: Waiters[int] = Waiters()
    waiting = asyncio.create_task(waiters.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiters._futures == []


async def test_who_gives_up_in_the_moment_of_the_answer() -> None:
    waiters: Waiters[int] = Waiters()
    waiting = asyncio.create_task(waiters.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    waiters.resolve(1)
    await asyncio.wait([waiting])
    assert waiting.cancelled()


@pytest.mark.parametrize(
    ("data", "message", "more"),
    [
        ({"message": "no", "data": {"code": 1}}, "no", {"code": 1}),
        ({"message": "no"}, "no", None),
        ({}, "connection refused", None),
        ("a string", "a string", None),
        (None, "connection refused", None),
    ],
)
def test_refusals(data: object, message: str, more: object) -> None:
    refusal = refusal_of(data)
    assert (refusal.message, refusal.data) == (message, more)
