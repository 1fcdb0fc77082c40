"""Listening to events: what sockets, namespaces and servers have in common, and what sockets have besides.

https://socket.io/docs/v4/listening-to-events/, in Python's spelling: ``prependListener`` is
``prepend``, ``prependOnceListener`` is ``prepend_once``, ``eventNames`` is ``event_names``; ``off`` does what
``removeListener`` and ``removeAllListeners`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from socketeer.messaging.dispatch import log_handler_error, run_catch_alls
from socketeer.messaging.handlers import NO_HANDLERS, Ack, F, Function, Handler, HandlerTable, Payload

_ANY: Final = "any event"
_ANY_OUTGOING: Final = "any outgoing event"

M = TypeVar("M", bound=Callable[[Any], Any])
"""A middleware."""


class Manner(Enum):
    """How a listener is added; the value is the method's name."""

    ALWAYS = "on"
    ONCE = "once"
    FIRST = "prepend"
    FIRST_ONCE = "prepend_once"


class Listening:
    """Whoever has listeners. What their events are, the classes say."""

    __slots__ = ()

    def _tables(self) -> tuple[HandlerTable, ...]:
        """Where listeners are."""
        raise NotImplementedError

    def _place(self, event: str) -> tuple[HandlerTable, Payload]:
        """Where a listener of ``event`` belongs, and what it is given from a peer.

        Raises:
            ReservedEventError: there is no such event.
        """
        raise NotImplementedError

    if TYPE_CHECKING:  # the compiler takes the first of one name

        @overload
        def on(self, event: str) -> Callable[[F], F]: ...

        @overload
        def on(self, event: str, handler: F) -> F: ...

    def on(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Call ``handler`` at each ``event``; also a decorator.

        Raises:
            ReservedEventError: there is no event of that name to listen to.
            UsageError: ``handler`` cannot be called, or wants what can never be given.
        """
        return self._listen(event, handler, Manner.ALWAYS)

    if TYPE_CHECKING:  # the compiler takes the first of one name

        @overload
        def once(self, event: str) -> Callable[[F], F]: ...

        @overload
        def once(self, event: str, handler: F) -> F: ...

    def once(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """As :meth:`on`, for the next time only."""
        return self._listen(event, handler, Manner.ONCE)

    if TYPE_CHECKING:  # the compiler takes the first of one name

        @overload
        def prepend(self, event: str) -> Callable[[F], F]: ...

        @overload
        def prepend(self, event: str, handler: F) -> F: ...

    def prepend(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """As :meth:`on`, but before the listeners that are there."""
        return self._listen(event, handler, Manner.FIRST)

    if TYPE_CHECKING:  # the compiler takes the first of one name

        @overload
        def prepend_once(self, event: str) -> Callable[[F], F]: ...

        @overload
        def prepend_once(self, event: str, handler: F) -> F: ...

    def prepend_once(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """As :meth:`once`, but before the listeners that are there."""
        return self._listen(event, handler, Manner.FIRST_ONCE)

    def _listen(self, event: str, handler: F | None, manner: Manner) -> F | Callable[[F], F]:
        table, payload = self._place(event)
        if handler is None:
            return lambda function: self._listen(event, function, manner)  # type: ignore[return-value]
        once = manner in (Manner.ONCE, Manner.FIRST_ONCE)
        first = manner in (Manner.FIRST, Manner.FIRST_ONCE)
        table.add(event, handler, once, first=first, payload=payload)
        return handler

    def off(self, event: str | None = None, handler: Function | None = None) -> None:
        """Forget a listener, all of an event, or all there are."""
        for table in self._tables():
            table.remove(event, handler)

    def listeners(self, event: str) -> list[Function]:
        """The listeners of ``event``, in the order in which they are called."""
        return [handler.function for table in self._tables() for handler in table.get(event)]

    def listener_count(self, event: str) -> int:
        """How many listen to ``event``."""
        return len(self.listeners(event))

    def has_listeners(self, event: str) -> bool:
        """Whether anybody listens to ``event``."""
        return bool(self.listeners(event))

    def event_names(self) -> list[str]:
        """The events that somebody listens to, each once."""
        return list(dict.fromkeys(name for table in self._tables() for name in table.names()))


class Watch:
    """What looks at the events of one socket before its listeners do. Most sockets have none."""

    __slots__ = ("catch_alls", "failing", "middlewares", "taps")

    def __init__(self) -> None:
        self.catch_alls = HandlerTable()
        self.middlewares: tuple[Callable[[Any], Any], ...] = ()
        self.taps: tuple[Callable[[Sequence[Any], Ack | None], None], ...] = ()
        """Queues that take each incoming event, its name first, behind the catch-alls."""
        self.failing = False
        """Whether the failure of an outgoing catch-all is being told; what is emitted then may fail again."""

    @property
    def incoming(self) -> tuple[Handler, ...]:
        """The catch-alls of incoming events."""
        return self.catch_alls.get(_ANY)

    @property
    def outgoing(self) -> tuple[Handler, ...]:
        """The catch-alls of outgoing events."""
        return self.catch_alls.get(_ANY_OUTGOING)


class CatchAlls(Listening):
    """A socket's listeners, on either side: by event, and catch-all in both directions.

    A catch-all is called with the name of the event and its arguments; it may take fewer. What it
    returns is no acknowledgement, but a parameter annotated :class:`Ack` gets the event's. Those of
    incoming events come before everything else, those of outgoing events hear what is emitted, also
    to many sockets at once, whether or not it can be sent. Acknowledgements are no events.
    See https://socket.io/docs/v4/listening-to-events/#catch-all-listeners.
    """

    __slots__ = ()

    def _catch(self, direction: str, handler: F, *, first: bool) -> F:
        raise NotImplementedError

    def _forget(self, direction: str, handler: Function | None) -> None:
        raise NotImplementedError

    def _caught(self, direction: str) -> list[Function]:
        raise NotImplementedError

    def on_any(self, handler: F) -> F:
        """Call ``handler(event, *args)`` at each event that comes in, before all else; also a decorator."""
        return self._catch(_ANY, handler, first=False)

    def prepend_any(self, handler: F) -> F:
        """As :meth:`on_any`, but before the catch-alls that are there."""
        return self._catch(_ANY, handler, first=True)

    def off_any(self, handler: Function | None = None) -> None:
        """Forget a catch-all of incoming events, or all of them."""
        self._forget(_ANY, handler)

    def listeners_any(self) -> list[Function]:
        """The catch-alls of incoming events, in the order in which they are called."""
        return self._caught(_ANY)

    def on_any_outgoing(self, handler: F) -> F:
        """Call ``handler(event, *args)`` at each event that is emitted to the other side; also a decorator."""
        return self._catch(_ANY_OUTGOING, handler, first=False)

    def prepend_any_outgoing(self, handler: F) -> F:
        """As :meth:`on_any_outgoing`, but before the catch-alls that are there."""
        return self._catch(_ANY_OUTGOING, handler, first=True)

    def off_any_outgoing(self, handler: Function | None = None) -> None:
        """Forget a catch-all of outgoing events, or all of them."""
        self._forget(_ANY_OUTGOING, handler)

    def listeners_any_outgoing(self) -> list[Function]:
        """The catch-alls of outgoing events, in the order in which they are called."""
        return self._caught(_ANY_OUTGOING)


class SocketListening(CatchAlls):
    """The listeners that a socket keeps."""

    __slots__ = ("_handlers", "_watch")

    def __init__(self) -> None:
        self._handlers = NO_HANDLERS
        self._watch: Watch | None = None

    def _tables(self) -> tuple[HandlerTable, ...]:
        return (self._handlers,)

    def _own_handlers(self) -> HandlerTable:
        if self._handlers is NO_HANDLERS:
            self._handlers = HandlerTable()
        return self._handlers

    def _own_watch(self) -> Watch:
        if self._watch is None:
            self._watch = Watch()
        return self._watch

    def _let_go(self) -> None:
        """The end: leave the listeners that nothing can reach any more. Most hold the socket, as it holds them.

        Those of ``error`` stay, for an ``async def`` handler that runs still may fail; so do catch-alls for what is
        emitted to nobody.
        """
        if self._handlers is not NO_HANDLERS:
            self._handlers.keep_only("error")
        if self._watch is not None and not self._watch.outgoing:
            self._watch = None

    def _catch_alls_changed(self) -> None:
        """Some have come or gone."""

    def _handler_failed(self, error: Exception, event: Any) -> None:
        """A listener has let an exception out."""
        raise NotImplementedError

    def hear_outgoing(self, args: Sequence[Any]) -> None:
        """Tell the outgoing catch-alls of an event: its name and its arguments."""
        if self._watch is not None:
            run_catch_alls(self._watch.outgoing, args, None, self._outgoing_failed)

    def _outgoing_failed(self, error: Exception, event: Any) -> None:
        watch = self._own_watch()
        if watch.failing:  # an `error` listener emits, and the catch-all fails at that again
            log_handler_error(error, event, repr(self))
            return
        watch.failing = True
        try:
            self._handler_failed(error, event)
        finally:
            watch.failing = False

    def _catch(self, direction: str, handler: F, *, first: bool) -> F:
        payload = Payload.REST if direction is _ANY else Payload.NONE
        self._own_watch().catch_alls.add(direction, handler, first=first, payload=payload)
        self._catch_alls_changed()
        return handler

    def _forget(self, direction: str, handler: Function | None) -> None:
        if self._watch is not None:
            self._watch.catch_alls.remove(direction, handler)
            self._catch_alls_changed()

    def _caught(self, direction: str) -> list[Function]:
        watch = self._watch
        return [] if watch is None else [each.function for each in watch.catch_alls.get(direction)]
