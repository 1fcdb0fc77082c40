"""A coroutine that was started eagerly can be cancelled, and libraries that build on tasks find one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from socketeer.messaging.eager import start
from tests.messaging.calling import waits


@asynccontextmanager
async def recorded(steps: list[str]) -> AsyncIterator[None]:
    """Cleans up by waiting, which a coroutine that is thrown away cannot do."""
    try:
        yield
    finally:
        await asyncio.sleep(0)
        steps.append("cleaned up")


async def test_cancelled_before_the_task_has_had_a_turn() -> None:
    steps: list[str] = []

    async def handler() -> None:
        async with recorded(steps):
            await asyncio.Event().wait()

    task, _ = start(handler())
    assert task is not None
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task
    assert task.cancelled()
    assert steps == ["cleaned up"]


async def test_cancelled_while_it_waits() -> None:
    steps: list[str] = []

    async def handler() -> None:
        async with recorded(steps):
            await asyncio.Event().wait()

    task, _ = start(handler())
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["cleaned up"]


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_cancelling_reaches_what_it_waits_for(turns: int) -> None:
    child = asyncio.ensure_future(asyncio.Event().wait())

    async def handler() -> None:
        await child

    task, _ = start(handler())
    assert task is not None
    for _turn in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert child.cancelled()


@pytest.mark.parametrize("turns", [0, 1])
async def test_cancellation_may_be_caught(turns: int) -> None:
    async def handler() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "stayed"

    task, _ = start(handler())
    assert task is not None
    for _turn in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    assert await task == "stayed"


async def test_cancelling_oneself_before_the_first_await() -> None:
    steps: list[str] = []

    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        assert task.cancelling() == 1
        async with recorded(steps):
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await waits(handler())
    assert steps == ["cleaned up"]


async def test_cancelling_oneself_and_taking_it_back() -> None:
    async def handler() -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        task.uncancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return task.cancelling()

    assert await waits(handler()) == 0


async def test_cancelled_through_the_current_task_it_gave_away() -> None:
    found: list[asyncio.Task[Any]] = []

    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        found.append(task)
        await asyncio.Event().wait()

    task, _ = start(handler())
    assert task is not None
    found[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- what libraries build on it -----------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 0.001])
async def test_timeout_that_expires(seconds: float) -> None:
    async def handler() -> str:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            return "late"
        return "in time"

    assert await waits(handler()) == "late"


async def test_timeout_that_does_not_expire() -> None:
    async def handler() -> str:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return "in time"

    assert await waits(handler()) == "in time"


async def test_timeout_without_any_waiting() -> None:
    async def handler() -> str:
        async with asyncio.timeout(5):  # noqa: ASYNC100 - that it does not wait is the point
            return "in time"

    assert start(handler()) == (None, "in time")


async def test_wait_for() -> None:
    async def handler() -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        return await asyncio.wait_for(asyncio.sleep(0, "in time"), 5)

    assert await waits(handler()) == "in time"


async def test_task_group() -> None:
    async def handler() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, number)) for number in range(3)]
        return [task.result() for task in tasks]

    assert await waits(handler()) == [0, 1, 2]


async def test_task_group_whose_child_fails() -> None:
    async def fails() -> None:
        raise LookupError("child")

    async def handler() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                await asyncio.Event().wait()
        except* LookupError:
            pass
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return "caught"

    assert await waits(handler()) == "caught"


async def test_gather_is_cancelled_as_a_whole() -> None:
    children = [asyncio.ensure_future(asyncio.Event().wait()) for _ in range(2)]

    async def handler() -> None:
        await asyncio.gather(*children)

    task, _ = start(handler())
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(child.cancelled() for child in children)


async def test_anyio_scope_around_the_first_await() -> None:
    """httpx, starlette and many more enter a scope, wait, and leave it: in the same task, or anyio refuses."""

    async def handler() -> str:
        with anyio.fail_after(5):
            await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(0.001):
            await anyio.sleep_forever()
        answer: str = await anyio.to_thread.run_sync(lambda: "from a thread")
        return answer

    assert await waits(handler()) == "from a thread"


async def test_anyio_scope_that_is_cancelled_before_the_first_await() -> None:
    async def handler() -> str:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()
        return "left"

    assert await waits(handler()) == "left"


async def test_anyio_task_group() -> None:
    async def handler() -> list[int]:
        seen: list[int] = []

        async def child(number: int) -> None:
            await anyio.lowlevel.checkpoint()
            seen.append(number)

        async with anyio.create_task_group() as group:
            group.start_soon(child, 1)
            group.start_soon(child, 2)
        return seen

    assert sorted(await waits(handler())) == [1, 2]
