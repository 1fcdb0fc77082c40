"""Start a coroutine at once, and make a task of it only if it has to wait.

An ``async def`` handler that finishes without suspending costs no trip through the event loop. Three ways lead there, with
the same outcome: `_eager`, an optional extension; the same steps in Python (:mod:`.handler_task`) on Python 3.11; and
asyncio's own ``Task(..., eager_start=True)`` elsewhere.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

Start = Callable[[Coroutine[Any, Any, Any]], tuple[asyncio.Task[Any] | None, Any]]

#: Tasks of handlers that wait: the event loop itself holds tasks weakly.
_waiting: set[asyncio.Task[Any]] = set()

#: Every way that there is here, the cheapest first.
WAYS: Final[dict[str, Start]] = {}

if sys.version_info < (3, 14):  # where asyncio keeps the current tasks in a dict
    try:
        from socketeer.messaging import _eager
    except ImportError:  # no compiler where it was installed, or another system than Linux
        pass
    else:
        WAYS["native"] = _eager.start

if sys.version_info >= (3, 12):

    def start_task(coroutine: Coroutine[Any, Any, Any]) -> tuple[asyncio.Task[Any] | None, Any]:
        """Run ``coroutine`` until it waits or ends: ``(task, None)`` or ``(None, result)``.

        Raises:
            BaseException: what the coroutine raised before it first waited.
        """
        task = asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)
        if task.done():
            return None, task.result()
        _waiting.add(task)
        task.add_done_callback(_waiting.discard)
        return task, None

    WAYS["task"] = start_task

else:
    from socketeer.messaging import handler_task

    WAYS["python"] = handler_task.start

start: Final[Start] = next(iter(WAYS.values()))
