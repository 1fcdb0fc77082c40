"""A coroutine that finishes at once costs no task; one that waits behaves as any other task does."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self

import pytest

from socketeer.messaging.eager import WAYS
from tests.messaging import calling
from tests.messaging.calling import waits
from tests.messaging.ways import NAMES, way

start = WAYS["native" if "native" in WAYS else next(iter(WAYS))]


@pytest.fixture(autouse=True, params=NAMES)
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this holds whichever way a coroutine is started."""
    chosen = way(request.param)
    monkeypatch.setitem(globals(), "start", chosen)
    monkeypatch.setattr(calling, "start", chosen)


LEVEL: ContextVar[str] = ContextVar("LEVEL", default="outer")


class Scheduled:
    """Counts what is put on the loop's queue while it looks."""

    def __init__(self) -> None:
        self.calls = 0
        self._loop = asyncio.get_running_loop()
        self._real = self._loop.call_soon

    def __enter__(self) -> Self:
        def counting(*args: Any, **keywords: Any) -> asyncio.Handle:
            self.calls += 1
            return self._real(*args, **keywords)

        self._loop.call_soon = counting  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon = self._real  # type: ignore[method-assign]


# --- what does not wait -------------------------------------------------------------------------


async def test_no_task_and_no_turn_of_the_loop() -> None:
    async def handler() -> str:
        return "at once"

    before = asyncio.all_tasks()
    with Scheduled() as scheduled:
        assert start(handler()) == (None, "at once")
    assert asyncio.all_tasks() == before
    assert scheduled.calls == 0


async def test_awaiting_what_does_not_suspend_is_no_waiting() -> None:
    async def inner() -> int:
        return 1

    async def handler() -> int:
        lock = asyncio.Lock()
        async with lock:
            pass
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(2)
        return await inner() + await done

    assert start(handler()) == (None, 3)


async def test_a_coroutine_that_waits_has_been_counted() -> None:
    """The counter itself can count."""

    async def handler() -> None:
        await asyncio.sleep(0)

    with Scheduled() as scheduled:
        task, _ = start(handler())
    assert scheduled.calls > 0
    assert task is not None
    assert task in asyncio.all_tasks()
    await task


async def test_raising_before_waiting() -> None:
    async def handler() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        start(handler())


async def test_raising_before_waiting_leaves_the_current_task_alone() -> None:
    async def handler() -> None:
        raise LookupError

    mine = asyncio.current_task()
    with suppress(LookupError):
        start(handler())
    assert asyncio.current_task() is mine
    async with asyncio.timeout(5):
        await asyncio.sleep(0)


async def test_cancelled_error_before_waiting() -> None:
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone.cancel()

    async def handler() -> None:
        await gone

    with pytest.raises(asyncio.CancelledError):
        start(handler())


# --- what waits ---------------------------------------------------------------------------------


async def test_runs_at_once_up_to_where_it_waits() -> None:
    steps = []
    gate = asyncio.Event()

    async def handler() -> str:
        steps.append("before")
        await gate.wait()
        steps.append("after")
        return "done"

    task, result = start(handler())
    assert steps == ["before"]
    assert task is not None
    assert result is None
    assert not task.done()
    gate.set()
    assert await task == "done"
    assert steps == ["before", "after"]


async def test_raising_after_waiting() -> None:
    async def handler() -> None:
        await asyncio.sleep(0)
        raise LookupError("later")

    with pytest.raises(LookupError, match="later"):
        await waits(handler())


async def test_waiting_many_times() -> None:
    async def handler() -> int:
        total = 0
        for number in range(100):
            await asyncio.sleep(0)
            total += number
        return total

    assert await waits(handler()) == 4950


async def test_bare_yield_then_a_future() -> None:
    async def handler() -> list[str]:
        found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(found.set_result, "found")
        return [await found]

    assert await waits(handler()) == ["found"]


async def test_two_that_wait_for_the_same_future() -> None:
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handler() -> str:
        return await shared

    first, _ = start(handler())
    second, _ = start(handler())
    third = asyncio.create_task(handler())
    asyncio.get_running_loop().call_soon(shared.set_result, "all")
    assert first is not None
    assert second is not None
    async with asyncio.timeout(5):
        assert [await first, await second, await third] == ["all"] * 3


async def test_future_that_is_done_before_the_task_gets_its_turn() -> None:
    soon: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handler() -> str:
        return await soon

    task, _ = start(handler())
    soon.set_result("done already")
    assert task is not None
    assert await task == "done already"


async def test_the_loop_keeps_no_task_and_we_do() -> None:
    """Nobody holds the task but us, nor what it waits for; a collection must not end it."""
    done = asyncio.Event()
    waits_for: list[weakref.ref[asyncio.Future[None]]] = []

    async def handler() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waits_for.append(weakref.ref(future))
        await future
        done.set()

    start(handler())
    await asyncio.sleep(0)
    gc.collect()
    future = waits_for[0]()
    assert future is not None
    future.set_result(None)
    async with asyncio.timeout(5):
        await done.wait()


# --- the current task ---------------------------------------------------------------------------


async def test_current_task_is_its_own_from_beginning_to_end() -> None:
    mine = asyncio.current_task()
    seen = []

    async def handler() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    await waits(handler())
    assert None not in seen
    assert mine not in seen
    assert seen[0] is seen[1] is seen[2]
    assert asyncio.current_task() is mine


async def test_current_task_has_what_libraries_ask_of_it() -> None:
    async def handler() -> list[Any]:
        task = asyncio.current_task()
        assert task is not None
        early = [task.done(), task.cancelling(), bool(task.get_name()), task.get_coro() is not None]
        await asyncio.sleep(0)
        late = [task.done(), task.cancelling(), bool(task.get_name()), task.get_coro() is not None]
        return [early, late]

    assert await waits(handler()) == [[False, 0, True, True]] * 2


async def test_outside_of_any_task() -> None:
    """A transport calls from the loop itself, where there is no current task."""
    done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    seen: list[Any] = []

    async def handler() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        done.set_result(seen)

    def callback() -> None:
        start(handler())
        seen.append(asyncio.current_task())

    asyncio.get_running_loop().call_soon(callback)
    async with asyncio.timeout(5):
        task, none = await done
    assert task is not None
    assert none is None


async def test_inside_another() -> None:
    """A handler whose emit starts a handler."""
    order = []

    async def inner() -> str:
        order.append(asyncio.current_task())
        await asyncio.sleep(0)
        order.append(asyncio.current_task())
        return "inner"

    async def outer() -> str:
        order.append(asyncio.current_task())
        task, _ = start(inner())
        order.append(asyncio.current_task())
        assert task is not None
        result: str = await task
        return result

    assert await waits(outer()) == "inner"
    outer_task, inner_task, again, inner_later = order
    assert outer_task is again
    assert inner_task is inner_later
    assert outer_task is not inner_task


async def test_awaiting_the_current_task_of_another() -> None:
    gate = asyncio.Event()
    found: list[asyncio.Task[Any]] = []

    async def handler() -> str:
        task = asyncio.current_task()
        assert task is not None
        found.append(task)
        await gate.wait()
        return "worth waiting for"

    start(handler())
    gate.set()
    async with asyncio.timeout(5):
        assert await found[0] == "worth waiting for"


# --- context variables --------------------------------------------------------------------------


async def test_context_is_a_copy() -> None:
    async def at_once() -> str:
        LEVEL.set("inner")
        return LEVEL.get()

    async def later() -> list[str]:
        seen = [LEVEL.get()]
        LEVEL.set("inner")
        await asyncio.sleep(0)
        seen.append(LEVEL.get())
        return seen

    LEVEL.set("mine")
    assert start(at_once()) == (None, "inner")
    assert LEVEL.get() == "mine"
    task, _ = start(later())
    assert LEVEL.get() == "mine"
    LEVEL.set("changed meanwhile")
    assert task is not None
    assert await task == ["mine", "inner"]


async def test_context_variable_is_reset_where_it_was_set() -> None:
    """A token belongs to one context: a step run in another one could not reset it."""

    async def handler() -> str:
        token = LEVEL.set("inner")
        await asyncio.sleep(0)
        LEVEL.reset(token)
        return LEVEL.get()

    LEVEL.set("mine")
    assert await waits(handler()) == "mine"
