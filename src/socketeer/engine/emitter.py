"""Local events of the engine: plain functions that are told what happens, or may change headers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeVar, overload

from socketeer.errors import UsageError

log = logging.getLogger("socketeer")

Listener = Callable[..., Any]
L = TypeVar("L", bound=Listener)


class Emitter:
    """Listeners by event. They are called at once and in order, so they must be plain functions."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}

    @overload
    def on(self, event: str) -> Callable[[L], L]: ...
    @overload
    def on(self, event: str, listener: L) -> L: ...
    def on(self, event: str, listener: L | None = None) -> L | Callable[[L], L]:
        """Call ``listener`` at each ``event``; also a decorator.

        Raises:
            UsageError: the listener is an ``async def``, which nobody would wait for here.
        """
        if listener is None:
            return lambda function: self.on(event, function)
        if inspect.iscoroutinefunction(listener):
            raise UsageError(f"listener of {event!r}: expected a plain function, got an async one")
        self._listeners.setdefault(event, []).append(listener)
        return listener

    def off(self, event: str, listener: Listener | None = None) -> None:
        """Forget ``listener``, or all of that event."""
        if listener is None:
            self._listeners.pop(event, None)
        elif listener in self._listeners.get(event, ()):
            self._listeners[event].remove(listener)

    def emit(self, event: str, *args: Any) -> None:
        """Call the listeners of ``event``; one that raises is logged and the others go on."""
        for listener in tuple(self._listeners.get(event, ())):
            try:
                listener(*args)
            except Exception:
                log.exception("a listener of engine.on(%r) failed", event)
