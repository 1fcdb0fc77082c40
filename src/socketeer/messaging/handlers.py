"""Who listens to what. A handler's signature is read once, when it is registered.

A handler may take fewer arguments than are sent, as in JavaScript. A parameter with an annotation
gets a value of that type, converted by msgspec (or by ``model_validate`` where the type has one);
what does not fit raises :class:`~socketeer.errors.InvalidPayload` instead of calling the handler. A
parameter annotated :class:`Ack` gets the function that acknowledges the event.
"""

from __future__ import annotations

import inspect
import logging
import re
import typing
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from operator import is_
from types import SimpleNamespace
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from socketeer.errors import InvalidPayload, UsageError
from socketeer.messaging.payloads import Converter, converter_to, is_convertible

log = logging.getLogger("socketeer")

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)


class Ack:
    """Acknowledges one event, once. Calling it again, or where the client asked for nothing, does nothing.

    Annotate a handler's parameter with this class to get it.
    """

    __slots__ = ("_send",)

    def __init__(self, send: Callable[[tuple[Any, ...]], None] | None) -> None:
        self._send = send

    def __call__(self, *args: Any) -> None:
        """Send ``args`` to whoever waits for the acknowledgement."""
        send, self._send = self._send, None
        if send is not None:
            send(args)

    @property
    def wanted(self) -> bool:
        """Whether the other side waits for it still."""
        return self._send is not None


class Payload(Enum):
    """Which arguments come from a peer: these are converted to what their annotations say."""

    ALL = "all"
    REST = "rest"
    """All but the first, which is ours: the socket, or the name of the event."""
    NONE = "none"
    """The event is our own."""


class _Parameter:
    __slots__ = ("default", "required", "type")

    def __init__(self, parameter: inspect.Parameter, type_: Any) -> None:
        self.default = parameter.default
        self.required = parameter.default is parameter.empty
        self.type = type_
        """Any: take what comes."""


class Signature:
    """What a handler takes and how it is called."""

    __slots__ = (
        "ack_at",
        "ack_name",
        "conversions",
        "converted",
        "exactly",
        "is_async",
        "maximum",
        "ours",
        "parameters",
        "plain",
        "required",
        "takes_ack",
    )

    def __init__(self, function: Function, payload: Payload = Payload.ALL) -> None:
        self.ours = payload is Payload.REST
        """Whether the first argument is none of the peer's."""
        self.is_async = inspect.iscoroutinefunction(_unwrap(function))
        self.ack_at = -1
        self.ack_name: str | None = None
        """Of an acknowledgement that is given by keyword, as after ``*args``."""
        self.maximum = 0
        """Positional parameters; -1 for any number."""
        self.parameters: list[_Parameter] = []
        self.conversions: tuple[tuple[int, Any, Converter], ...] = ()
        """The typed parameters: where each stands, its type, and what makes a value of that type."""
        self._read(function, {} if payload is Payload.NONE else _hints(function))
        self.required = sum(parameter.required for parameter in self.parameters)
        self.takes_ack = self.ack_at >= 0 or self.ack_name is not None
        self.plain = not self.takes_ack and not self.conversions
        """Whether the arguments can be handed over as they come."""
        exactly = self.required if not self.takes_ack and self.required == self.maximum else -1
        self.exactly = exactly if self.plain else -1
        """How many arguments can be handed over with no further look; -1 for no number."""
        self.converted = -1 if self.plain else exactly
        """How many can be handed over once they are converted; -1 for no number."""

    def _read(self, function: Function, hints: dict[str, Any]) -> None:
        for parameter in inspect.signature(function).parameters.values():
            hint = hints.get(parameter.name, Any)
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.maximum = -1
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                if _is_ack(hint):
                    self.ack_at = len(self.parameters)
                else:
                    self._take(parameter, Any if self.ours and not self.parameters else hint)
            elif parameter.kind is parameter.KEYWORD_ONLY and _is_ack(hint):
                self.ack_name = parameter.name
            elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
                raise UsageError(f"handler {function!r}: parameter {parameter.name!r} can never be given")
        if self.maximum == 0:
            self.maximum = len(self.parameters)

    def _take(self, parameter: inspect.Parameter, kind: Any) -> None:
        if kind is not Any:
            conversion = (len(self.parameters), kind, converter_to(kind, parameter.name))
            self.conversions = (*self.conversions, conversion)
        self.parameters.append(_Parameter(parameter, kind))

    def convert(self, args: Sequence[Any]) -> list[Any]:
        """The arguments, each of its parameter's type.

        Raises:
            InvalidPayload: one does not fit its annotation.
        """
        values = list(args)
        for at, kind, convert in self.conversions:
            if at >= len(values):
                break
            value = values[at]
            if type(value) is not kind:
                values[at] = convert(value)
        return values

    def fit(self, args: Sequence[Any], ack: Ack) -> Sequence[Any]:
        """The arguments to call the handler with.

        Raises:
            InvalidPayload: too few came, or one does not fit its annotation.
        """
        count = len(args)
        if count < self.required:
            raise InvalidPayload(
                f"expected at least {self.required - self.ours} arguments, got {count - self.ours}"
            )
        if count > self.maximum >= 0:
            args = args[: self.maximum]
        if self.plain:
            return args
        values = self.convert(args)
        if self.ack_at >= 0:
            values += [parameter.default for parameter in self.parameters[len(values) : self.ack_at]]
            values.insert(self.ack_at, ack)
        return values


def _is_ack(hint: Any) -> bool:
    return hint is Ack or Ack in typing.get_args(hint)  # ``Ack | None`` means the same


def _unwrap(function: Function) -> Function:
    """The function behind a partial, or the ``__call__`` of an object."""
    while isinstance(function, partial):
        function = function.func
    if not inspect.isroutine(function) and hasattr(function, "__call__"):  # noqa: B004
        return typing.cast(Function, function.__call__)
    return function


def _hints(function: Function) -> dict[str, Any]:
    """The annotations; those that cannot be resolved, or that msgspec cannot convert to, count as Any."""
    target = inspect.unwrap(_unwrap(inspect.unwrap(function)))
    names = _closure_names(target)
    try:
        hints = typing.get_type_hints(target, localns=names, include_extras=True)
    except Exception:  # noqa: BLE001 - annotations may hold any expression
        hints = _resolvable_hints(target, names)
    return {name: hint for name, hint in hints.items() if _is_ack(hint) or is_convertible(hint)}


def _resolvable_hints(function: Function, names: dict[str, Any]) -> dict[str, Any]:
    """Each annotation by itself: one that cannot be resolved must not cost the others their meaning."""
    hints: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(alone, getattr(function, "__globals__", {}), names, True)
        except Exception as error:  # noqa: BLE001 - annotations may hold any expression
            log.debug("%r: annotation of %r counts as Any: %r", function, name, error)
    return hints


def _closure_names(function: Function) -> dict[str, Any]:
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None)
    names: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars, cells, strict=True) if code is not None and cells else ():
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return names


class _Known:
    """What is known of all functions made by one ``def``."""

    __slots__ = ("key", "shared", "signature")

    def __init__(self, function: Function, key: tuple[Any, ...], signature: Signature) -> None:
        self.key = key
        self.signature = signature
        self.shared = not _depends_on_closure(function)


def _depends_on_closure(function: Function) -> bool:
    """Whether a name in the annotations may mean another thing in each closure."""
    texts = [each for each in getattr(function, "__annotations__", {}).values() if isinstance(each, str)]
    names = set(re.findall(r"\w+", " ".join(texts)))
    return not names.isdisjoint(function.__code__.co_freevars)


_signatures: WeakKeyDictionary[Any, _Known] = WeakKeyDictionary()


def read_signature(function: Function, payload: Payload = Payload.ALL) -> Signature:
    """The signature of ``function``, read once for all closures made by the same ``def``."""
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__"):  # all that one decorator wraps share its code
        return Signature(function, payload)
    # Annotations and defaults that are constants are the same objects in each closure.
    key = (
        payload,
        inspect.ismethod(function),
        getattr(function, "__defaults__", None),
        *getattr(function, "__annotations__", {}).values(),
    )
    known = _signatures.get(code)
    if known is not None and known.shared and len(known.key) == len(key) and all(map(is_, known.key, key)):
        return known.signature
    signature = Signature(function, payload)
    _signatures[code] = _Known(function, key, signature)
    return signature


class Handler:
    """One listener of one event."""

    __slots__ = ("function", "once", "signature")

    def __init__(self, function: Function, once: bool = False, payload: Payload = Payload.ALL) -> None:
        self.function = function
        self.once = once
        self.signature = read_signature(function, payload)


class HandlerTable:
    """Listeners by event; an event's listeners are a tuple, so that a running dispatch sees no change."""

    __slots__ = ("_once", "_table")

    def __init__(self) -> None:
        self._table: dict[Any, tuple[Handler, ...]] = {}
        self._once = False
        """Whether a listener for one time was ever added: most tables need not look for one."""

    def copy(self) -> HandlerTable:
        """A table of its own with the same listeners; one for one time counts in each table by itself."""
        twin = HandlerTable()
        twin._table = dict(self._table)
        twin._once = self._once
        return twin

    def add(
        self,
        event: str,
        function: Function,
        once: bool = False,
        *,
        first: bool = False,
        payload: Payload = Payload.ALL,
    ) -> None:
        """Listen to ``event``, after those who do already, or with ``first`` before them.

        Raises:
            UsageError: ``function`` cannot be called.
        """
        if not callable(function):
            raise UsageError(f"listener of {event!r}: expected a function, got {function!r}")
        there, handler = self._table.get(event, ()), Handler(function, once, payload)
        self._table[event] = (handler, *there) if first else (*there, handler)
        self._once = self._once or once

    def remove(self, event: str | None, function: Function | None) -> None:
        """Forget a listener, all of an event, or with None all there are."""
        if event is None:
            self._table.clear()
        elif function is None:
            self._table.pop(event, None)
        else:
            self.discard(event, lambda handler: handler.function == function)

    def keep_only(self, event: str) -> None:
        """Forget all listeners but those of ``event``."""
        kept = self._table.get(event)
        self._table = {} if kept is None else {event: kept}

    def discard(self, event: str, matches: Callable[[Handler], bool]) -> None:
        """Forget the first listener of ``event`` that matches."""
        handlers = self._table.get(event, ())
        for at, handler in enumerate(handlers):
            if matches(handler):
                rest = handlers[:at] + handlers[at + 1 :]
                if rest:
                    self._table[event] = rest
                else:
                    del self._table[event]
                return

    def get(self, event: Any) -> tuple[Handler, ...]:
        """The listeners of ``event``. Names from the network are looked up here and nowhere else."""
        return self._table.get(event, ())

    def take(self, event: Any) -> tuple[Handler, ...]:
        """The listeners of ``event``, those for one time removed."""
        handlers = self._table.get(event, ())
        if self._once:
            for handler in handlers:
                if handler.once:
                    self._spend(event, handler)
        return handlers

    def _spend(self, event: Any, handler: Handler) -> None:
        self.discard(event, lambda each: each is handler)

    def names(self) -> list[Any]:
        """The events that somebody listens to."""
        return list(self._table)


NO_HANDLERS: Final = HandlerTable()
"""Stands for the table of who has no listener: most sockets of a server whose namespaces have handlers."""
