"""What a task is, a handler's is too: on both loops, whichever way it is started, before and after it first waits."""

from __future__ import annotations

import asyncio
import gc
import io
import sys
import weakref
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from socketeer.integrations.hosting import loop_factory
from socketeer.messaging import handler_task
from socketeer.messaging.eager import Start
from tests.messaging.ways import NAMES, way

Scenario = Callable[[Start], Coroutine[Any, Any, None]]

LEVEL: ContextVar[str] = ContextVar("LEVEL", default="outer")


def me() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def ends(started: tuple[asyncio.Task[Any] | None, Any]) -> Any:
    """The result of what was started, which has to wait."""
    task, _ = started
    assert task is not None
    async with asyncio.timeout(10):
        return await task


# --- the scenarios ------------------------------------------------------------------------------


async def it_is_a_task_from_the_first_step_on(start: Start) -> None:
    async def handler() -> list[Any]:
        seen: list[Any] = []
        for _ in range(10):
            task = me()
            seen.append((task, isinstance(task, asyncio.Task), task in asyncio.all_tasks(), task.done()))
            seen.append((task.get_loop() is asyncio.get_running_loop(), task.get_name(), task.cancelling()))
            await asyncio.sleep(0)
        return seen

    seen = await ends(start(handler()))
    assert len(set(seen[0::2])) == 1
    assert len(set(seen[1::2])) == 1
    task, is_task, listed, done = seen[0]
    assert (is_task, listed, done) == (True, True, False)
    assert seen[1][0] is True
    assert task.done()
    assert task not in asyncio.all_tasks()


async def it_is_listed_once(start: Start) -> None:
    """Cancelling all others is how a program ends."""
    before = asyncio.all_tasks()

    async def handler() -> tuple[int, int]:
        early = len(asyncio.all_tasks() - {me()} - before)
        await asyncio.sleep(0)
        return early, len(asyncio.all_tasks() - {me()} - before)

    assert await ends(start(handler())) == (0, 0)


async def a_handler_that_does_not_wait_leaves_nothing(start: Start) -> None:
    before = asyncio.all_tasks()

    async def handler() -> bool:
        return me() in asyncio.all_tasks()

    for _ in range(5):
        assert start(handler()) == (None, True)
    assert asyncio.all_tasks() == before


async def a_timeout_fires_on_the_first_wait_and_on_a_later_one(start: Start) -> None:
    async def handler(steps: int) -> str:
        try:
            async with asyncio.timeout(0.01):
                for _ in range(steps):
                    await asyncio.sleep(0)
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            assert me().cancelling() == 0
            await asyncio.sleep(0)
            return "late"
        return "never"

    for steps in (0, 1, 9):
        assert await ends(start(handler(steps))) == "late"


async def a_timeout_that_is_over_already(start: Start) -> None:
    async def handler() -> str:
        try:
            async with asyncio.timeout(-1):
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        except TimeoutError:
            return "late"
        return "never"

    assert await ends(start(handler())) == "late"


async def a_timeout_within_the_first_step_does_no_harm(start: Start) -> None:
    async def handler() -> str:
        async with asyncio.timeout(10):  # noqa: ASYNC100 - that is the case
            return "in time"

    assert start(handler()) == (None, "in time")


async def a_task_group(start: Start) -> None:
    async def handler() -> list[int]:
        async def double(number: int) -> int:
            await asyncio.sleep(0)
            return 2 * number

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(double(number)) for number in range(3)]
        return [task.result() for task in tasks]

    assert await ends(start(handler())) == [0, 2, 4]


async def a_task_group_that_fails(start: Start) -> None:
    async def handler() -> str:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise LookupError("no")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.get_running_loop().create_future()
        except* LookupError:
            assert me().cancelling() == 0
        await asyncio.sleep(0)
        return "went on"

    assert await ends(start(handler())) == "went on"


async def cancelled_while_it_waits(start: Start) -> None:
    steps: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as error:
            steps.append(str(error))
            raise

    for turns in (0, 3):
        task, _ = start(handler())
        assert task is not None
        for _ in range(turns):
            await asyncio.sleep(0)
        assert task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
    assert steps == ["enough", "enough"]


async def it_cancels_itself_in_the_first_step(start: Start) -> None:
    async def handler() -> None:
        task = me()
        task.cancel("myself")
        assert task.cancelling() == 1
        await asyncio.sleep(0)
        raise AssertionError("it is not to come here")

    task, _ = start(handler())
    assert task is not None
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def it_takes_a_cancellation_back_in_the_first_step(start: Start) -> None:
    async def handler() -> int:
        task = me()
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            task.uncancel()
        await asyncio.sleep(0)
        return task.cancelling()

    assert await ends(start(handler())) == 0


async def it_has_a_name_and_callbacks_from_the_first_step_on(start: Start) -> None:
    called: list[object] = []

    async def handler() -> str:
        task = me()
        task.set_name("Porthos")
        task.add_done_callback(called.append)
        task.add_done_callback(print)
        assert task.remove_done_callback(print) == 1
        await asyncio.sleep(0)
        return task.get_name()

    task, _ = start(handler())
    assert task is not None
    assert await task == "Porthos"
    await asyncio.sleep(0)
    assert called == [task]


async def who_has_kept_it_is_told_of_the_end(start: Start) -> None:
    kept: list[asyncio.Task[Any]] = []
    called: list[object] = []

    async def handler(fails: bool) -> str:
        kept.append(me())
        me().add_done_callback(called.append)
        if fails:
            raise LookupError("no")
        return "yes"

    assert start(handler(False)) == (None, "yes")
    with pytest.raises(LookupError):
        start(handler(True))
    async with asyncio.timeout(10):
        assert await kept[0] == "yes"
        with pytest.raises(LookupError):
            await kept[1]
        await asyncio.sleep(0)
    assert called == kept
    assert kept[0] is not kept[1]
    assert me() not in kept


async def a_library_may_keep_something_for_each_task(start: Start) -> None:
    """As anyio does: of one handler's task the next handler's must know nothing."""
    memory: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    async def handler() -> int:
        memory[me()] = memory.get(me(), 0) + 1
        return memory[me()]

    assert [start(handler())[1] for _ in range(4)] == [1] * 4


async def what_it_says_of_itself(start: Start) -> None:
    async def handler() -> list[Any]:
        found: list[Any] = []
        for _ in range(2):
            task: Any = me()
            with pytest.raises(asyncio.InvalidStateError):
                task.result()
            with pytest.raises(asyncio.InvalidStateError):
                task.exception()
            found.append(("handler" in repr(task), task.get_coro().__qualname__.endswith("handler")))
            assert any(frame.f_code.co_name == "handler" for frame in task.get_stack())
            task.print_stack(file=io.StringIO())
            if sys.version_info >= (3, 12):
                assert task.get_context()[LEVEL] == "mine"
            await asyncio.sleep(0)
        return found

    LEVEL.set("mine")
    assert await ends(start(handler())) == [(True, True)] * 2


async def context_variables_stay_within(start: Start) -> None:
    async def at_once() -> str:
        before = LEVEL.get()
        LEVEL.set("inner")
        return before

    async def later() -> list[str]:
        seen = [LEVEL.get()]
        token = LEVEL.set("inner")
        await asyncio.sleep(0)
        seen.append(LEVEL.get())
        LEVEL.reset(token)
        return [*seen, LEVEL.get()]

    LEVEL.set("mine")
    assert [start(at_once())[1] for _ in range(3)] == ["mine"] * 3
    assert await ends(start(later())) == ["mine", "inner", "mine"]
    assert LEVEL.get() == "mine"


async def one_within_another(start: Start) -> None:
    async def inner() -> asyncio.Task[Any]:
        return me()

    async def outer() -> None:
        mine = me()
        _, other = start(inner())
        assert other is not mine
        assert me() is mine
        await asyncio.sleep(0)
        assert me() is mine

    await ends(start(outer()))


async def an_exception_before_and_after_the_first_wait(start: Start) -> None:
    async def handler(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise LookupError("no")

    mine = me()
    with pytest.raises(LookupError):
        start(handler(0))
    assert me() is mine
    with pytest.raises(LookupError):
        await ends(start(handler(3)))


SCENARIOS: list[Scenario] = [
    it_is_a_task_from_the_first_step_on,
    it_is_listed_once,
    a_handler_that_does_not_wait_leaves_nothing,
    a_timeout_fires_on_the_first_wait_and_on_a_later_one,
    a_timeout_that_is_over_already,
    a_timeout_within_the_first_step_does_no_harm,
    a_task_group,
    a_task_group_that_fails,
    cancelled_while_it_waits,
    it_cancels_itself_in_the_first_step,
    it_takes_a_cancellation_back_in_the_first_step,
    it_has_a_name_and_callbacks_from_the_first_step_on,
    who_has_kept_it_is_told_of_the_end,
    a_library_may_keep_something_for_each_task,
    what_it_says_of_itself,
    context_variables_stay_within,
    one_within_another,
    an_exception_before_and_after_the_first_wait,
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_as_any_task(scenario: Scenario, loop: str, name: str) -> None:
    start = way(name)
    with asyncio.Runner(loop_factory=loop_factory() if loop == "uvloop" else None) as runner:
        runner.run(scenario(start))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "task"])
def test_a_task_that_nobody_has_is_used_again_and_keeps_nothing(name: str) -> None:
    start = way(name)

    class Thing:
        pass

    things: list[weakref.ref[Thing]] = []

    async def handler(thing: Thing) -> int:
        things.append(weakref.ref(thing))
        return id(me())

    async def main() -> set[int]:
        return {start(handler(Thing()))[1] for _ in range(10)}

    assert len(asyncio.run(main())) == 1
    gc.collect()
    assert [thing for thing in things if thing() is not None] == []
    assert all(task.first is None and task.home is None for task in handler_task._spares)


@pytest.mark.parametrize("name", NAMES)
def test_the_end_of_the_loop_cancels_handlers_that_wait(name: str) -> None:
    start = way(name)
    ended: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("cancelled" if sys.exc_info()[0] is asyncio.CancelledError else "otherwise")

    async def main() -> None:
        start(handler())
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ended == ["cancelled"]


def test_without_a_loop() -> None:
    async def handler() -> None: ...

    for name in NAMES:
        coroutine = handler()
        with pytest.raises(RuntimeError, match="no running event loop"):
            way(name)(coroutine)
        coroutine.close()
