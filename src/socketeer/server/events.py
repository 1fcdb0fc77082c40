"""Handlers for all sockets of a namespace: written as functions, or as the methods of a class.

Each is called with the socket first, and is kept once, however many sockets there are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Final, overload

from socketeer.errors import ReservedEventError, UsageError
from socketeer.messaging.handlers import F, HandlerTable, Payload
from socketeer.messaging.listening import Listening

#: Events that the server itself tells; a client that sends one of these names reaches no listener.
LOCAL_EVENTS: Final = frozenset({"disconnect", "disconnecting", "error"})
#: Told by the namespace, of a socket that has come.
WELCOME_EVENTS: Final = ("connect", "connection")

_RESERVED: Final = frozenset({"connect", "connect_error", "newListener", "removeListener"})
_MARK: Final = "__socketeer_events__"
_PREFIX: Final = "on_"


def check_listenable(event: str) -> None:
    """Refuse to listen for what cannot come.

    Raises:
        ReservedEventError: nobody can send an event of that name.
    """
    if event in _RESERVED:
        raise ReservedEventError(f'"{event}" is a reserved event name: no client can send it')


@overload
def event(name: F) -> F: ...
@overload
def event(name: str) -> Callable[[F], F]: ...
def event(name: str | F) -> F | Callable[[F], F]:
    """Mark a method of a :class:`Namespace` as the handler of an event whose name is no identifier.

    ::

        class Chat(Namespace):
            @event("chat message")
            def say(self, socket, text: str): ...

    Without a name, the method's own is the event's: ``@event def ping(self, socket)``.
    """
    if not isinstance(name, str):
        return _mark(name, _spelt(name.__name__))
    return lambda function: _mark(function, name)


def _mark(function: F, name: str) -> F:
    if isinstance(function, staticmethod | classmethod) or not callable(function):
        raise UsageError(
            f"@event({name!r}): expected a function, got {function!r}; @staticmethod and @classmethod stand above"
        )
    setattr(function, _MARK, (*getattr(function, _MARK, ()), name))
    return function


class SharedListening(Listening):
    """Whoever has handlers for the events of many sockets."""

    __slots__ = ()

    def _shared_place(self, event: str) -> tuple[HandlerTable, Payload]:
        """Where a handler of all sockets' ``event`` belongs, and what it is given from a peer."""
        raise NotImplementedError

    @overload
    def event(self, name: F) -> F: ...
    @overload
    def event(self, name: str) -> Callable[[F], F]: ...
    @overload
    def event(self, name: str, handler: F) -> F: ...
    def event(self, name: str | F, handler: F | None = None) -> F | Callable[[F], F]:
        """Call a handler at this event of each socket of the namespace, with the socket first; a decorator.

        ::

            @io.event
            def ping(socket):  # the event is the function's name
                return "pong"

            @io.event("chat message")
            async def chat(socket, text: str):
                socket.broadcast.emit("chat message", text)

        What holds for ``socket.on`` holds here: what it returns is the acknowledgement, annotations
        check the payload (not the first parameter, which is the socket). There are ``connection(socket)``
        and ``connect(socket)`` too, ``disconnecting(socket, reason)``,
        ``disconnect(socket, reason, description)`` and ``error(socket, exception)``. These handlers come
        before those of the socket's own, and cost a connection nothing.

        Raises:
            ReservedEventError: no client can send an event of that name.
            UsageError: the function's name looks like a misspelt ``connection`` or the like.
        """
        if not isinstance(name, str):
            return self.event(_spelt(name.__name__), name)
        table, payload = self._shared_place(name)
        if handler is None:
            return lambda function: self.event(name, function)
        table.add(name, handler, payload=payload)
        return handler


def _spelt(name: str) -> str:
    """The name of a function, as the name of an event: a misspelt one would never be called, in silence.

    Raises:
        UsageError: it is nearly the name of an event that the server tells.
    """
    known = (*WELCOME_EVENTS, *LOCAL_EVENTS)
    close = [] if name in known else get_close_matches(name, known, 1, 0.85)
    if close:
        raise UsageError(
            f"handler {name!r}: expected {close[0]!r}? For an event that clients send, give its name: "
            f"event({name!r})"
        )
    return name


def handler_methods(cls: type, base: type) -> tuple[tuple[str, str], ...]:
    """The handlers among the methods of ``cls``, below ``base``: each event and the method's name.

    ``on_<event>`` is one, and what :func:`event` has marked.

    Raises:
        ReservedEventError: one is named like an event that no client can send.
        UsageError: one is misspelt, is no function, or stands where ``base`` has a method that the
            server calls.
    """
    return tuple(
        (event, method)
        for method in _own_names(cls, base)
        for event in _events_of(cls, base, method, f"{cls.__name__}.{method}")
    )


def _own_names(cls: type, base: type) -> Iterator[str]:
    names: dict[str, None] = {}
    for each in reversed(cls.__mro__):
        if each not in base.__mro__:
            names |= dict.fromkeys(name for name in vars(each) if not name.startswith("__"))
    return iter(names)


def _events_of(cls: type, base: type, method: str, where: str) -> tuple[str, ...]:
    """The events that a method handles; none, for most."""
    if _is_taken(base, method):
        raise UsageError(
            f"{where}: the server needs {base.__name__}.{method} as it is. The handler of an event is called "
            f'"on_" and the event\'s name, or has any other name and the mark @event("...")'
        )
    value = getattr(cls, method)
    # A method that takes the place of a marked one handles what that one did.
    marks = (getattr(getattr(each, method, None), _MARK, ()) for each in cls.__mro__)
    events = next(filter(None, marks), ())
    if not events and method.startswith(_PREFIX):
        events = (_event_in(method, where),)
    if events and not callable(value):
        raise UsageError(f"{where}: expected a method, got {value!r}")
    for each in events:
        if each not in WELCOME_EVENTS:
            _check_listenable(each, where)
    return events


def _is_taken(base: type, name: str) -> bool:
    if name.startswith("_"):
        return name != "_make_adapter" and hasattr(base, name)  # that one is there to be replaced
    member = inspect.getattr_static(base, name, None)
    return bool(getattr(getattr(member, "fget", member), "__final__", False))


def _event_in(method: str, where: str) -> str:
    name = method.removeprefix(_PREFIX)
    if name in {"", "any", "any_outgoing"}:
        raise UsageError(
            f"{where}: expected the name of an event after {_PREFIX!r}; catch-alls belong to sockets, as in "
            f'socket.on_any(...), and for an event of that name there is @event("{name}")'
        )
    try:
        return _spelt(name)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _check_listenable(name: str, where: str) -> None:
    try:
        check_listenable(name)
    except ReservedEventError as error:
        raise ReservedEventError(f"{where}: {error}") from None
