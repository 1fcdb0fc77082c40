"""Local events of the engine: plain functions that are told what happens, or may change headers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, overload

from socketeer.errors import UsageError

log = logging.getLogger("socketeer")

Listener = Callable[..., Any]
L = TypeVar("L", bound=Listener)

NOBODY: Final[dict[str, list[tuple[Listener, bool]]]] = {}


class Emitter:
    """Listeners by event. They are called at once and in order, so they must be plain functions."""

    __slots__ = ("_listeners",)

    name: ClassVar = "engine"
    """What it is called in messages."""
    events: ClassVar[frozenset[str]] = frozenset()
    """What one can listen to."""

    def __init__(self) -> None:
        # One for all until somebody listens: there is an emitter for each session.
        self._listeners = NOBODY

    if TYPE_CHECKING:  # the compiler takes the first of one name

        @overload
        def on(self, event: str) -> Callable[[L], L]: ...

        @overload
        def on(self, event: str, listener: L) -> L: ...

    def on(self, event: str, listener: L | None = None) -> L | Callable[[L], L]:
        """Call ``listener`` at each ``event``; also a decorator.

        Raises:
            UsageError: there is no such event, or the listener is an ``async def``, which nobody would
                wait for here.
        """
        return self._add(event, listener, False)

    if TYPE_CHECKING:  # the compiler takes the first of one name

        @overload
        def once(self, event: str) -> Callable[[L], L]: ...

        @overload
        def once(self, event: str, listener: L) -> L: ...

    def once(self, event: str, listener: L | None = None) -> L | Callable[[L], L]:
        """As :meth:`on`, for the next time only."""
        return self._add(event, listener, True)

    def _add(self, event: str, listener: L | None, once: bool) -> L | Callable[[L], L]:
        if listener is None:
            return lambda function: self._add(event, function, once)  # type: ignore[return-value]
        if event not in self.events:
            known = ", ".join(sorted(self.events))
            raise UsageError(f"{self.name}.on: there is no event {event!r}, but {known}")
        if inspect.iscoroutinefunction(listener):
            raise UsageError(f"listener of {event!r}: expected a plain function, got an async one")
        if self._listeners is NOBODY:
            self._listeners = {}
        self._listeners.setdefault(event, []).append((listener, once))
        self._listeners_changed()
        return listener

    def off(self, event: str, listener: Listener | None = None) -> None:
        """Forget ``listener``, or all of that event."""
        listeners = self._listeners.get(event, [])
        if listener is None:
            listeners.clear()
        else:
            found = next((each for each in listeners if each[0] == listener), None)
            if found is not None:
                listeners.remove(found)
        self._listeners_changed()

    def listens(self, *events: str) -> bool:
        """Whether anybody listens to one of these."""
        return any(self._listeners.get(event) for event in events)

    def _listeners_changed(self) -> None:
        """Called when somebody has begun to listen, or has ceased to."""

    def emit(self, event: str, *args: Any) -> None:
        """Call the listeners of ``event``; one that raises is logged and the others go on."""
        for listener, once in tuple(self._listeners.get(event, ())):
            if once:
                self.off(event, listener)
            try:
                listener(*args)
            except Exception:
                log.exception("a listener of %s.on(%r) failed", self.name, event)
