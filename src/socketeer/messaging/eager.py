"""Start a coroutine at once, and make a task of it only if it has to wait.

An ``async def`` handler that finishes without suspending costs no trip through the event loop. From
Python 3.12 on that is ``Task(..., eager_start=True)``. On 3.11 the first step is run here, with a
stand-in for the current task. It stays the current task in all later steps, because libraries keep
the task that they find and compare it later (``asyncio.timeout``, anyio's scopes); what is asked of
it goes to the real task, once there is one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
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
        """What ``asyncio.current_task()`` returns in a coroutine that was started here, on Python 3.11."""

        __slots__ = ("__weakref__", "_cancelled", "_coroutine", "_message", "_name", "task")

        def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
            self._coroutine = coroutine
            self._cancelled = 0
            self._message: Any = None
            self._name: str | None = None
            self.task: asyncio.Task[Any] | None = None
            """The real task, from the moment on when the coroutine first waits."""

        def __getattr__(self, name: str) -> Any:
            if self.task is not None:
                return getattr(self.task, name)
            if name == "_fut_waiter":  # anyio looks at these two
                return None
            if name == "_must_cancel":
                return self._cancelled > 0
            raise AttributeError(f"{name!r} of a handler's task before it has first waited")

        def __await__(self) -> Generator[Any, None, Any]:
            if self.task is None:
                raise RuntimeError("a task cannot await itself")
            return self.task.__await__()

        def become(self, task: asyncio.Task[Any]) -> None:
            self.task = task
            if self._name is not None:
                task.set_name(self._name)
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
            if self.task is not None:
                return self.task.get_name()
            return repr(self._coroutine) if self._name is None else self._name

        def set_name(self, value: object) -> None:
            self._name = str(value)
            if self.task is not None:
                self.task.set_name(self._name)

    class _Rest(Coroutine[Any, Any, Any]):
        """The rest of a coroutine whose first step has been made, as something that a task can run."""

        __slots__ = ("_begun", "_coroutine", "_stand_in", "_waited_for")

        def __init__(self, coroutine: Coroutine[Any, Any, Any], stand_in: Any, waited_for: Any) -> None:
            self._coroutine = coroutine
            self._stand_in = stand_in
            self._waited_for = waited_for
            self._begun = False
            if asyncio.isfuture(waited_for):
                # A future that was yielded is marked so until a task takes it; others may await it before that.
                waited_for._asyncio_future_blocking = False  # noqa: SLF001

        def __getattr__(self, name: str) -> Any:
            return getattr(self._coroutine, name)  # its name and its frame, for who prints the task

        def __await__(self) -> Generator[Any, None, Any]:
            raise TypeError("it is a task's")

        def send(self, value: Any) -> Any:
            if not self._begun:
                return self._begin()
            return self._step(self._coroutine.send, value)

        def throw(self, error: Any, *_: Any) -> Any:
            if not self._begun:
                # The task was cancelled before its first turn: it would have cancelled what it waits for.
                waited_for = self._begin()
                if asyncio.isfuture(waited_for) and waited_for.cancel(*error.args):
                    return waited_for
            return self._step(self._coroutine.throw, error)

        def close(self) -> None:
            self._coroutine.close()

        def _begin(self) -> Any:
            """What the first step waited for, as it was yielded."""
            self._begun = True
            waited_for, self._waited_for = self._waited_for, None
            if asyncio.isfuture(waited_for):
                waited_for._asyncio_future_blocking = True  # noqa: SLF001
            return waited_for

        def _step(self, step: Callable[[Any], Any], value: Any) -> Any:
            loop = asyncio.get_running_loop()
            task = self._stand_in.task
            _leave_task(loop, task)
            _enter_task(loop, self._stand_in)
            try:
                return step(value)
            finally:
                _leave_task(loop, self._stand_in)
                _enter_task(loop, task)

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
        task = _keep(loop.create_task(_Rest(coroutine, stand_in, waited_for), context=context))
        stand_in.become(task)
        return task, None
