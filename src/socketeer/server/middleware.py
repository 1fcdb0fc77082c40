"""Run middlewares one after the other; each refuses by raising.

https://socket.io/docs/v4/middlewares/. As long as none of them has to wait, all of it happens at
once, in the same turn as the packet that asked for it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from socketeer.messaging.eager import start

#: ``(socket)`` for a namespace, ``(args)`` for a socket; plain or async.
Middleware = Callable[[Any], Any]

#: Called once all middlewares have let it pass (None) or one has raised (what it raised).
Verdict = Callable[[Exception | None], None]


def run_middlewares(middlewares: Sequence[Middleware], subject: Any, verdict: Verdict) -> None:
    """Ask each middleware about ``subject``, then call ``verdict``, now or later, once."""
    try:
        task, _ = start(_ask(tuple(middlewares), subject))
    except asyncio.CancelledError:  # it awaited what somebody else has cancelled
        verdict(_cancelled())
        return
    except Exception as error:  # noqa: BLE001 - whatever a middleware raises is its refusal
        verdict(error)
        return
    if task is None:
        verdict(None)
    else:
        task.add_done_callback(lambda done: verdict(_error_of(done)))


async def _ask(middlewares: Sequence[Middleware], subject: Any) -> None:
    for middleware in middlewares:
        result = middleware(subject)
        if inspect.isawaitable(result):
            await result


def _cancelled() -> Exception:
    return TimeoutError("the middleware was cancelled")


def _error_of(task: asyncio.Task[None]) -> Exception | None:
    if task.cancelled():
        return _cancelled()
    error = task.exception()
    return error if isinstance(error, Exception) or error is None else RuntimeError(repr(error))
