"""Start a coroutine at once, and make a task of it only if it has to wait.

An ``async def`` handler that finishes without suspending costs no trip through the event loop. From
Python 3.12 on that is ``Task(..., eager_start=True)``. On 3.11 the first step is run here, with a
stand-in for the current task that hands on to the real one what was asked of it meanwhile
(``asyncio.timeout`` keeps the task it finds and cancels it later).
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from typing import Any

#: Tasks of handlers that wait: the event loop itself holds tasks weakly.
_waiting: set[asyncio.Task[Any]] = set()


def _keep(task: asyncio.Task[Any]) -> asyncio.Task[Any]:
    _waiting.add(task)
    task.add_done_callback(_waiting.discard)
    return task


if sys.version_info >= (3, 12):

    def start(coroutine: Coroutine[Any, Any, Any]) -> tuple[asyncio.Task[Any] | None, Any]:
        """Run ``coroutine`` until it waits or ends: ``(task, None)`` or ``(None, result)``.

        Raises:
            BaseException: what the coroutine raised before it first waited.
        """
        task = asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)
        if task.done():
            return None, task.result()
        return _keep(task), None

else:
    from asyncio.tasks import _enter_task, _leave_task

    class _StandIn:
        """What ``asyncio.current_task()`` returns during the first step on Python 3.11."""

        __slots__ = ("__weakref__", "_cancelled", "_coroutine", "_message", "task")

        def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
            self._coroutine = coroutine
            self._cancelled = 0
            self._message: Any = None
            self.task: asyncio.Task[Any] | None = None

        def __getattr__(self, name: str) -> Any:
            if self.task is None:
                raise AttributeError(f"{name!r} of a handler's task before it has first waited")
            return getattr(self.task, name)

        def become(self, task: asyncio.Task[Any]) -> None:
            self.task = task
            for _ in range(self._cancelled):
                task.cancel(self._message)

        def cancel(self, msg: Any = None) -> bool:
            if self.task is not None:
                return self.task.cancel(msg)
            self._cancelled += 1
            self._message = msg
            return True

        def uncancel(self) -> int:
            if self.task is not None:
                return self.task.uncancel()
            self._cancelled = max(0, self._cancelled - 1)
            return self._cancelled

        def cancelling(self) -> int:
            return self._cancelled if self.task is None else self.task.cancelling()

        def done(self) -> bool:
            return self.task is not None and self.task.done()

        def get_coro(self) -> Coroutine[Any, Any, Any]:
            return self._coroutine

        def get_name(self) -> str:
            return repr(self._coroutine) if self.task is None else self.task.get_name()

    @types.coroutine
    def _go_on(coroutine: Coroutine[Any, Any, Any], waited_for: Any) -> Generator[Any, Any, Any]:
        """The rest of a coroutine that has been started already, as something a task can run."""
        while True:
            thrown: BaseException | None = None
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - it goes on into the coroutine
                thrown = error
            try:
                waited_for = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration as stop:
                return stop.value

    def start(coroutine: Coroutine[Any, Any, Any]) -> tuple[asyncio.Task[Any] | None, Any]:
        """Run ``coroutine`` until it waits or ends: ``(task, None)`` or ``(None, result)``.

        Raises:
            BaseException: what the coroutine raised before it first waited.
        """
        loop = asyncio.get_running_loop()
        stand_in: Any = _StandIn(coroutine)
        outer = asyncio.current_task(loop)
        context = copy_context()
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, stand_in)
        try:
            waited_for = context.run(coroutine.send, None)
        except StopIteration as stop:
            return None, stop.value
        finally:
            _leave_task(loop, stand_in)
            if outer is not None:
                _enter_task(loop, outer)
        task = _keep(loop.create_task(_go_on(coroutine, waited_for), context=context))
        stand_in.become(task)
        return task, None
