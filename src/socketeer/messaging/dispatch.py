"""Run the handlers of an event, send what they return as its acknowledgement, and mind what they raise.

``def`` handlers run inline, as JavaScript's do. ``async def`` handlers are started in order of
arrival and may overlap at their awaits; one that does not wait costs no task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, Protocol

from socketeer.errors import InvalidPayload
from socketeer.messaging.eager import start
from socketeer.messaging.handlers import Ack, Handler

log = logging.getLogger("socketeer")

#: Told of an exception that a handler let out: the exception and the event.
OnError = Callable[[Exception, Any], None]


def pack(result: Any) -> tuple[Any, ...]:
    """What a handler returned, as the arguments of an acknowledgement."""
    if result is None:
        return ()
    return result if isinstance(result, tuple) else (result,)


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
    done = None if ack is None else _acknowledgement(handlers, ack)
    for handler in handlers:
        run_handler(handler, event, args, ack, done, on_error)


def run_for(
    socket: Any,
    common: Sequence[Handler],
    own: Sequence[Handler],
    event: Any,
    args: Sequence[Any],
    ack: Ack | None,
    on_error: OnError,
) -> None:
    """Call the handlers that many sockets have in common, with the socket first, then the socket's own.

    The acknowledgement is one: the first result of all of them.
    """
    done = None if ack is None else _acknowledgement((*common, *own), ack)
    with_socket = (socket, *args)
    for handler in common:
        run_handler(handler, event, with_socket, ack, done, on_error)
    for handler in own:
        run_handler(handler, event, args, ack, done, on_error)


def _acknowledgement(handlers: Iterable[Handler], ack: Ack) -> Callable[[Any], None] | None:
    """What takes the results of these handlers; None if all of them acknowledge by hand."""
    answering = sum(not handler.signature.takes_ack for handler in handlers)
    return _Acknowledger(ack, answering).ended if answering else None


class Answering(Protocol):
    """Who sends acknowledgements."""

    def send_ack(self, ack_id: int, args: Sequence[Any]) -> None:
        """Acknowledge an event of the other side."""
        ...


class _AckSender:
    """Sends one acknowledgement; not a closure, which would hold the packet as well."""

    __slots__ = ("_id", "_socket")

    def __init__(self, socket: Answering, ack_id: int) -> None:
        self._socket = socket
        self._id = ack_id

    def __call__(self, args: Sequence[Any]) -> None:
        self._socket.send_ack(self._id, args)


def make_ack(socket: Answering, ack_id: int | None) -> Ack | None:
    """What acknowledges an event; None where none is asked for."""
    return None if ack_id is None else Ack(_AckSender(socket, ack_id))


class _ResultSender:
    """Acknowledges an event by what its only handler returns."""

    __slots__ = ("_id", "_socket")

    def __init__(self, socket: Answering, ack_id: int) -> None:
        self._socket = socket
        self._id = ack_id

    def __call__(self, result: Any) -> None:
        self._socket.send_ack(self._id, pack(result))


def run_only(
    socket: Answering,
    handler: Handler,
    event: Any,
    args: Sequence[Any],
    ack_id: int | None,
    on_error: OnError,
) -> None:
    """Call the only handler that an event has: what :func:`run_handlers` does, by the shortest way."""
    if ack_id is None:
        run_handler(handler, event, args, None, None, on_error)
    elif handler.signature.takes_ack:
        run_handler(handler, event, args, make_ack(socket, ack_id), None, on_error)
    else:
        run_handler(handler, event, args, None, _ResultSender(socket, ack_id), on_error)


def run_catch_alls(
    handlers: Iterable[Handler], args: Sequence[Any], ack: Ack | None, on_error: OnError
) -> None:
    """Call catch-all listeners: ``args`` are the event's name and its arguments. What they return is of no use."""
    for handler in handlers:
        run_handler(handler, args[0], args, ack, None, on_error)


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
        if len(args) == signature.exactly:
            result = handler.function(args[0]) if signature.exactly == 1 else handler.function(*args)
        elif len(args) == signature.converted:
            result = handler.function(*signature.convert(args))
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
