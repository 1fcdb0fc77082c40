"""A task for a coroutine whose first step has been made already, or is just being made.

:class:`HandlerTask` is asyncio's own ``Task``. While a coroutine makes its first step it is there, as the current task,
but not initialised, which costs next to nothing. Only when the coroutine has to wait is it initialised, and
is an ordinary task from then on: the same object, so that whoever has asked for the current task and kept it
(``asyncio.timeout``, ``TaskGroup``, anyio's scopes) has the right one. What asyncio's ``Task`` does not answer before it is
initialised, this class does.

Tasks that nobody has kept are used again. docs/decisions/0013-async-handlers.md has the reasons and the figures.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from asyncio.tasks import _register_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from itertools import count
from types import CoroutineType
from typing import Any, NoReturn
from weakref import getweakrefcount

_numbers = count(1)

#: Tasks of handlers that wait: the event loop itself holds tasks weakly.
_waiting: set[asyncio.Task[Any]] = set()

_spares: list[HandlerTask] = []
_MOST_SPARES = 16

_super: Any = asyncio.Task


class HandlerTask(asyncio.Task[Any]):
    """What ``asyncio.current_task()`` returns in a handler.

    Attributes:
        first: the coroutine while it makes its first step; None before and afterwards.
        home: the loop meanwhile.
        touched: whether it has been told something meanwhile that is to be remembered.
    """

    __slots__ = ("callbacks", "first", "home", "touched")

    first: Coroutine[Any, Any, Any] | None
    home: asyncio.AbstractEventLoop | None
    touched: bool
    callbacks: list[tuple[Callable[..., object], Context | None]] | None

    # --- what asyncio's does not answer before it is initialised ---------------------------------

    def get_loop(self) -> Any:
        if self.first is not None:
            return self.home
        try:
            return super().get_loop()
        except RuntimeError:  # a spare one, that nobody knows but `asyncio.all_tasks`
            return None

    def get_coro(self) -> Any:
        if self.first is not None:
            return self.first
        coroutine: Any = super().get_coro()
        return coroutine.coroutine if type(coroutine) is Rest else coroutine

    def get_name(self) -> str:
        name: str | None = super().get_name()
        if name is None:
            name = f"Handler-{next(_numbers)}"
            self.set_name(name)
        return name

    def set_name(self, value: object, /) -> None:
        self.touched = True
        super().set_name(value)

    def get_context(self) -> Context:
        if self.first is not None:
            return copy_context()
        context: Context = _super.get_context(self)  # from Python 3.12 on
        return context

    def cancel(self, msg: Any = None) -> bool:
        self.touched = True
        return super().cancel(msg)

    def result(self) -> Any:
        self._not_yet()
        return super().result()

    def exception(self) -> BaseException | None:
        self._not_yet()
        return super().exception()

    def _not_yet(self) -> None:
        if self.first is not None:
            raise asyncio.InvalidStateError("the handler makes its first step")

    def get_stack(self, *, limit: int | None = None) -> list[Any]:
        if self.first is None:
            return super().get_stack(limit=limit)
        return [self.first.cr_frame] if isinstance(self.first, CoroutineType) else []

    def print_stack(self, *, limit: int | None = None, file: Any = None) -> None:
        if self.first is None:
            super().print_stack(limit=limit, file=file)
            return
        for frame in self.get_stack():
            traceback.print_stack(frame, limit, file)

    def add_done_callback(self, fn: Callable[..., object], /, *, context: Context | None = None) -> None:
        if self.first is None:
            super().add_done_callback(fn, context=context)
            return
        self.touched = True
        if self.callbacks is None:
            self.callbacks = []
        self.callbacks.append((fn, context))

    def remove_done_callback(self, fn: Callable[..., object], /) -> int:
        if self.first is None:
            return super().remove_done_callback(fn)
        before = self.callbacks or []
        self.callbacks = [each for each in before if each[0] != fn]
        return len(before) - len(self.callbacks)

    def __repr__(self) -> str:
        return super().__repr__() if self.first is None else f"<HandlerTask, first step of {self.first!r}>"

    # --- its life -------------------------------------------------------------------------------

    def initialise(
        self, coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop, context: Context | None
    ) -> None:
        """Become an ordinary task, which runs ``coroutine``; what has been asked of it meanwhile holds."""
        cancelled, must, message = self.cancelling(), self._must_cancel, self._cancel_message  # type: ignore[attr-defined]
        name, callbacks = _super.get_name(self), self.callbacks
        self.first = self.home = self.callbacks = None
        _super.__init__(self, coroutine, loop=loop, name=name, context=context)
        for _ in range(max(cancelled, int(must))):
            self.cancel(message)
        while self.cancelling() > cancelled:
            self.uncancel()
        for function, in_context in callbacks or ():
            super().add_done_callback(function, context=in_context)
        _waiting.add(self)
        super().add_done_callback(_waiting.discard)


def take_task() -> HandlerTask:
    """A task that is not initialised."""
    try:
        return _spares.pop()
    except IndexError:
        task = HandlerTask.__new__(HandlerTask)
        task.first = task.home = task.callbacks = None
        task.touched = False
        _register_task(task)
        return task


def go_on(
    task: HandlerTask,
    coroutine: Coroutine[Any, Any, Any],
    waited_for: Any,
    loop: asyncio.AbstractEventLoop,
    context: Context,
) -> tuple[asyncio.Task[Any], None]:
    """The first step has ended in waiting: the task is one from now on."""
    task.initialise(Rest(coroutine, waited_for), loop, context)
    return task, None


def finish(
    task: HandlerTask, kept: bool, loop: asyncio.AbstractEventLoop, result: Any, error: BaseException | None
) -> Any:
    """The first step was the last, and the task may not be used again: somebody has it, or has told it something.

    Raises:
        BaseException: ``error``; or CancelledError, where the task was cancelled meanwhile.
    """
    if error is None and task._must_cancel:  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio's own
        error = asyncio.CancelledError(task._cancel_message or "")  # type: ignore[attr-defined]  # noqa: SLF001
    if (kept or task.callbacks) and isinstance(error, (Exception, asyncio.CancelledError, type(None))):
        # Who has kept it gets to know the end as of any task, a turn of the loop later.
        while task.cancelling():
            task.uncancel()
        task.initialise(_outcome(result, error), loop, None)
        asyncio.Task.add_done_callback(task, _retrieve)
    if error is not None:
        raise error
    return result


async def _outcome(result: Any, error: BaseException | None) -> Any:
    if error is not None:
        raise error
    return result


def _retrieve(task: asyncio.Future[Any]) -> None:
    """Whoever started the handler has its exception already."""
    if not task.cancelled():
        task.exception()


def put_back(task: HandlerTask) -> None:
    """Nobody has it: it can be used again."""
    if len(_spares) < _MOST_SPARES:
        _spares.append(task)


class Rest(Coroutine[Any, Any, Any]):
    """The rest of a coroutine whose first step has been made, as something that a task can run."""

    __slots__ = ("_begun", "_waited_for", "coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waited_for: Any) -> None:
        self.coroutine = coroutine
        self._waited_for = waited_for
        self._begun = False
        if asyncio.isfuture(waited_for):
            # A future that was yielded is marked so until a task takes it; others may await it before that.
            waited_for._asyncio_future_blocking = False  # noqa: SLF001

    def __getattr__(self, name: str) -> Any:
        return getattr(self.coroutine, name)  # its name and its frame, for who prints the task

    def __await__(self) -> Generator[Any, None, Any]:
        raise TypeError("it is a task's")

    def send(self, value: Any) -> Any:
        return self.coroutine.send(value) if self._begun else self._begin()

    def throw(self, error: Any, *_: Any) -> Any:
        if not self._begun:
            # The task was cancelled before its first turn: it would have cancelled what it waits for.
            waited_for = self._begin()
            if asyncio.isfuture(waited_for) and waited_for.cancel(*error.args):
                return waited_for
        return self.coroutine.throw(error)

    def close(self) -> None:
        self.coroutine.close()

    def _begin(self) -> Any:
        """What the first step waited for, as it was yielded."""
        self._begun = True
        waited_for, self._waited_for = self._waited_for, None
        if asyncio.isfuture(waited_for):
            waited_for._asyncio_future_blocking = True  # noqa: SLF001
        return waited_for


if sys.version_info < (3, 14):
    from asyncio.tasks import _current_tasks  # type: ignore[attr-defined]

    def start(coroutine: Coroutine[Any, Any, Any]) -> tuple[asyncio.Task[Any] | None, Any]:
        """Run ``coroutine`` until it waits or ends: ``(task, None)`` or ``(None, result)``.

        Raises:
            BaseException: what the coroutine raised before it first waited.
        """
        loop = asyncio.get_running_loop()
        task = take_task()
        task.first, task.home = coroutine, loop
        context = copy_context()
        outer = _current_tasks.get(loop)
        _current_tasks[loop] = task
        result = error = None
        try:
            waited_for = context.run(coroutine.send, None)
        except StopIteration as stop:
            result = stop.value
        except BaseException as raised:  # noqa: BLE001 - it is raised again
            error = raised
        else:
            _restore(loop, outer)
            return go_on(task, coroutine, waited_for, loop, context)
        _restore(loop, outer)
        kept = sys.getrefcount(task) > 2 or getweakrefcount(task) > 1
        if task.touched or kept:
            return None, finish(task, kept, loop, result, error)
        task.first = task.home = None
        put_back(task)
        if error is not None:
            _raise(error)
        return None, result

    def _restore(loop: asyncio.AbstractEventLoop, outer: Any) -> None:
        if outer is None:
            del _current_tasks[loop]
        else:
            _current_tasks[loop] = outer


def _raise(error: BaseException) -> NoReturn:
    try:
        raise error
    finally:
        del error  # its traceback has this frame: no cycle
