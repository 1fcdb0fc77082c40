"""Run the handlers of an event, send what they return as its acknowledgement, and mind what they raise.

``def`` handlers run inline, as JavaScript's do. ``async def`` handlers are started in order of
arrival and may overlap at their awaits; one that does not wait costs no task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from types import CoroutineType
from typing import Any

from socketeer.errors import InvalidPayload
from socketeer.messaging.acks import pack
from socketeer.messaging.eager import start
from socketeer.messaging.handlers import Ack, Handler

log = logging.getLogger("socketeer")

#: Told of an exception that a handler let out: the exception and the event.
OnError = Callable[[Exception, Any], None]


class _Acknowledger:
    """Sends the first result that is not None; or, when all handlers have ended without one, nothing as the result."""

    __slots__ = ("_ack", "_left")

    def __init__(self, ack: Ack, left: int) -> None:
        self._ack = ack
        self._left = left

    def ended(self, result: Any) -> None:
        self._left -= 1
        if result is not None or self._left == 0:
            self._ack(*pack(result))


def run_handlers(
    handlers: Sequence[Handler], event: Any, args: Sequence[Any], ack: Ack | None, on_error: OnError
) -> None:
    """Call the handlers of one event in their order. Nothing is raised; errors go to ``on_error``."""
    done: Callable[[Any], None] | None = None
    if ack is not None:
        answering = sum(not handler.signature.takes_ack for handler in handlers)
        if answering:
            done = _Acknowledger(ack, answering).ended
    for handler in handlers:
        run_handler(handler, event, args, ack, done, on_error)


def run_handler(
    handler: Handler,
    event: Any,
    args: Sequence[Any],
    ack: Ack | None,
    done: Callable[[Any], None] | None,
    on_error: OnError,
) -> None:
    """Call one handler; ``done`` gets its result once it has one, unless the handler takes the ack itself."""
    signature = handler.signature
    try:
        if signature.plain and len(args) == signature.required == signature.maximum:
            result = handler.function(*args)
        else:
            given = ack or _NO_ACK
            by_name = {} if signature.ack_name is None else {signature.ack_name: given}
            result = handler.function(*signature.fit(args, given), **by_name)
        if signature.is_async or type(result) is CoroutineType:  # a plain function may return one, too
            task, result = start(result)
            if task is not None:
                finish = None if signature.takes_ack else done
                task.add_done_callback(partial(_finish, event, finish, on_error))
                return
        if done is not None and not signature.takes_ack:
            done(result)
    except Exception as error:  # noqa: BLE001 - whatever a handler lets out
        on_error(error, event)
    except asyncio.CancelledError:
        log.warning("a handler of %.100r was cancelled", event)


def _finish(
    event: Any, done: Callable[[Any], None] | None, on_error: OnError, task: asyncio.Task[Any]
) -> None:
    if task.cancelled():
        log.debug("a handler of %.100r was cancelled", event)
        return
    error = task.exception()
    try:
        if error is not None:
            if not isinstance(error, Exception):
                return  # KeyboardInterrupt and SystemExit have gone their own way already
            on_error(error, event)
        elif done is not None:
            done(task.result())
    except Exception as failure:  # noqa: BLE001 - the result cannot be sent
        on_error(failure, event)


_NO_ACK = Ack(None)


def log_handler_error(error: Exception, event: Any, where: str) -> None:
    """One line for what the peer did wrong, a traceback for what the handler did."""
    if isinstance(error, InvalidPayload):
        log.warning("event %.100r from %s: %.300r", event, where, str(error))
    else:
        log.error("handler of event %.100r from %s failed", event, where, exc_info=error)
