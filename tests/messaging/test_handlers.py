"""Who listens to what, and with which arguments a handler is called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from socketeer.errors import InvalidPayload, UsageError
from socketeer.messaging.handlers import NO_HANDLERS, Ack, Handler, HandlerTable, Payload, read_signature
from tests.messaging.calling import Recorder, call

# --- how many -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "sent", "expected"),
    [
        (lambda: "none", (1, 2), "none"),
        (lambda a: [a], (1, 2, 3), [1]),
        (lambda a, b: [a, b], (1, 2), [1, 2]),
        (lambda a, b=9: [a, b], (1,), [1, 9]),
        (lambda a, b=9: [a, b], (1, 2, 3), [1, 2]),
        (lambda *args: list(args), (), []),
        (lambda *args: list(args), (1, 2, 3), [1, 2, 3]),
        (lambda a, *rest: [a, rest], (1, 2, 3), [1, (2, 3)]),
        (lambda a, /, b: [a, b], (1, 2), [1, 2]),
        (lambda a, *, option=3: [a, option], (1, 2), [1, 3]),
        (lambda a, **options: [a, options], (1, 2), [1, {}]),
    ],
)
def test_arguments_by_number(function: Callable[..., Any], sent: Any, expected: Any) -> None:
    assert call(function, *sent) == expected


@pytest.mark.parametrize(
    ("function", "sent", "at_least"),
    [(lambda a: a, (), 1), (lambda a, b: a, (1,), 2), (lambda a, b, c=1, *rest: a, (1,), 2)],
)
def test_too_few_arguments(function: Callable[..., Any], sent: Any, at_least: int) -> None:
    with pytest.raises(InvalidPayload, match=f"at least {at_least} arguments, got {len(sent)}"):
        call(function, *sent)


def test_parameter_that_can_never_be_given() -> None:
    def handler(text: str, *, option: int) -> None: ...

    with pytest.raises(UsageError, match="option"):
        Handler(handler)


@pytest.mark.parametrize("listener", [None, "text", 3])
def test_listener_that_cannot_be_called(listener: Any) -> None:
    with pytest.raises(UsageError, match=r"listener of 'chat': expected a function"):
        HandlerTable().add("chat", listener)


class Room:
    """Handlers in every form that can be called."""

    def method(self, a: int, b: int = 2) -> list[Any]:
        return [type(self), a, b]

    @classmethod
    def of_class(cls, a: int) -> list[Any]:
        return [cls, a]

    @staticmethod
    def static(a: int) -> list[Any]:
        return [a]

    def __call__(self, a: int) -> list[Any]:
        return ["called", a]

    async def waiting(self, a: int) -> list[Any]:
        return ["waited", a]


def test_methods() -> None:
    room = Room()
    assert call(room.method, 1, 5, 7) == [Room, 1, 5]
    assert call(Room.of_class, 1, 2) == [Room, 1]
    assert call(Room.static, 1, 2) == [1]
    assert call(room, 1, 2) == ["called", 1]


def test_method_and_the_function_behind_it() -> None:
    """They have one code object, and different parameters."""
    room = Room()
    assert call(room.method, 1) == [Room, 1, 2]
    assert len(read_signature(Room.method).parameters) == 3
    assert len(read_signature(room.method).parameters) == 2


def test_partial() -> None:
    def handler(room: str, a: int, b: int = 2) -> list[Any]:
        return [room, a, b]

    assert call(functools.partial(handler, "lobby"), 1, 5, 7) == ["lobby", 1, 5]
    with pytest.raises(InvalidPayload):
        call(functools.partial(handler, "lobby"), "no number")


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (Room().waiting, True),
        (functools.partial(Room.waiting, Room()), True),
        (Room().method, False),
        (Room(), False),
        (lambda: None, False),
    ],
)
def test_async_is_seen_through(function: Callable[..., Any], is_async: bool) -> None:
    assert Handler(function).signature.is_async is is_async


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as everyone writes them."""

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        return function(*args, **options)

    return wrapper


def test_decorated_handlers_keep_their_own_signatures() -> None:
    """All functions that one decorator wraps share one code object."""

    @logged
    def one(a):  # type: ignore[no-untyped-def]
        return [a]

    @logged
    def two(a, b):  # type: ignore[no-untyped-def]
        return [a, b]

    @logged
    def number(a: int) -> list[Any]:
        return [a]

    assert call(one, 1, 2, 3) == [1]
    assert call(two, 1, 2, 3) == [1, 2]
    assert call(number, 1, 2, 3) == [1]
    with pytest.raises(InvalidPayload):
        call(number, "text")


# --- read once ----------------------------------------------------------------------------------


def test_closures_of_one_def_are_read_once() -> None:
    assert read_signature(lambda a: a) is not read_signature(lambda a, b: a)
    one, two = make_untyped(1), make_untyped(2)
    assert read_signature(one) is read_signature(two)
    assert (call(one, "x"), call(two, "x")) == ((1, "x"), (2, "x"))


def make_untyped(result: Any) -> Callable[..., Any]:
    def handler(a, b=None):  # type: ignore[no-untyped-def]
        return (result, a)

    return handler


def make_typed(kind: Any) -> Callable[..., Any]:
    def handler(value: kind) -> Any:  # pyright: ignore[reportInvalidTypeForm]
        return kind, value

    return handler


def test_closures_whose_annotation_differs_are_not_mixed_up() -> None:
    number, text = make_typed(int), make_typed(str)
    assert call(number, 1) == (int, 1)
    assert call(text, "one") == (str, "one")
    with pytest.raises(InvalidPayload):
        call(number, "one")
    with pytest.raises(InvalidPayload):
        call(text, 1)


# --- the acknowledgement as a parameter ---------------------------------------------------------


def ack_last(a: int, ack: Ack) -> list[Any]:
    ack("answer")
    return [a]


def ack_first(ack: Ack, a: int) -> list[Any]:
    ack("answer")
    return [a]


def ack_after_an_option(a: int, b: int = 9, ack: Ack = Ack(None)) -> list[Any]:  # noqa: B008
    ack("answer")
    return [a, b]


def ack_by_name(a: int, *, ack: Ack) -> list[Any]:
    ack("answer")
    return [a]


def ack_after_any_number(*args: int, ack: Ack) -> list[Any]:
    ack("answer")
    return list(args)


def ack_or_none(a: int, ack: Ack | None = None) -> list[Any]:
    assert ack is not None
    ack("answer")
    return [a]


@pytest.mark.parametrize(
    ("function", "sent", "expected"),
    [
        (ack_last, (1,), [1]),
        (ack_last, (1, 2, 3), [1]),
        (ack_first, (1, 2), [1]),
        (ack_after_an_option, (1,), [1, 9]),
        (ack_after_an_option, (1, 2, 3), [1, 2]),
        (ack_by_name, (1, 2), [1]),
        (ack_after_any_number, (), []),
        (ack_after_any_number, (1, 2, 3), [1, 2, 3]),
        (ack_or_none, (1, 2), [1]),
    ],
)
def test_ack_parameter(function: Callable[..., Any], sent: Any, expected: Any) -> None:
    recorder = Recorder()
    assert call(function, *sent, ack=recorder.ack) == expected
    assert recorder.sent == [("answer",)]


def test_ack_is_sent_once() -> None:
    recorder = Recorder()
    wanted = [recorder.ack.wanted]
    recorder.ack(1, 2)
    wanted.append(recorder.ack.wanted)
    recorder.ack(3)
    assert recorder.sent == [(1, 2)]
    assert wanted == [True, False]


def test_ack_that_nobody_waits_for() -> None:
    ack = Ack(None)
    assert not ack.wanted
    ack("into the void")


# --- whose the first argument is -----------------------------------------------------------------


def test_the_first_argument_may_be_ours() -> None:
    def handler(socket: int, number: int = 0) -> list[Any]:
        return [socket, number]

    signature = Handler(handler, payload=Payload.REST).signature
    assert signature.fit(["no number", 1], Ack(None)) == ["no number", 1]
    with pytest.raises(InvalidPayload, match="argument 'number'"):
        signature.fit(["no number", "text"], Ack(None))
    with pytest.raises(InvalidPayload, match="argument 'socket'"):
        Handler(handler).signature.fit(["text"], Ack(None))


def test_an_acknowledgement_may_stand_before_it() -> None:
    def handler(ack: Ack, socket: int, number: int) -> None: ...

    ack = Ack(None)
    assert Handler(handler, payload=Payload.REST).signature.fit(["ours", 1], ack) == [ack, "ours", 1]


def test_what_is_ours_is_not_counted_to_the_peer() -> None:
    def handler(socket: Any, one: Any, two: Any) -> None: ...

    with pytest.raises(InvalidPayload, match="at least 2 arguments, got 1"):
        Handler(handler, payload=Payload.REST).signature.fit(["ours", 1], Ack(None))


def test_one_function_in_several_places() -> None:
    def handler(value: int) -> None: ...

    assert Handler(handler, payload=Payload.ALL).signature.parameters[0].type is int
    for payload in (Payload.REST, Payload.NONE):
        assert Handler(handler, payload=payload).signature.parameters[0].type is Any
    assert Handler(handler, payload=Payload.ALL).signature.parameters[0].type is int


# --- the table ----------------------------------------------------------------------------------


def first() -> None: ...
def second() -> None: ...


def functions(handlers: tuple[Handler, ...]) -> list[Any]:
    return [handler.function for handler in handlers]


def test_listeners_in_the_order_of_registration() -> None:
    table = HandlerTable()
    table.add("chat", second)
    table.add("chat", first)
    table.add("chat", second)
    assert functions(table.get("chat")) == [second, first, second]
    assert table.get("else") == ()
    assert table.names() == ["chat"]


def test_one_that_comes_first() -> None:
    table = HandlerTable()
    table.add("chat", first, first=True)
    table.add("chat", second, first=True)
    table.add("chat", first, once=True)
    assert functions(table.take("chat")) == [second, first, first]
    assert functions(table.get("chat")) == [second, first]


def test_nobodys_table_stays_empty() -> None:
    NO_HANDLERS.remove(None, None)
    NO_HANDLERS.remove("chat", first)
    assert NO_HANDLERS.take("chat") == ()
    assert NO_HANDLERS.names() == []


def test_once() -> None:
    table = HandlerTable()
    table.add("chat", first, once=True)
    table.add("chat", second)
    table.add("chat", first, once=True)
    assert functions(table.take("chat")) == [first, second, first]
    assert functions(table.take("chat")) == [second]
    assert functions(table.take("chat")) == [second]


def test_once_alone_leaves_nothing() -> None:
    table = HandlerTable()
    table.add("chat", first, once=True)
    assert functions(table.take("chat")) == [first]
    assert table.names() == []


def test_remove() -> None:
    table = HandlerTable()
    for event, function in (("a", first), ("a", second), ("a", first), ("b", first), ("c", first)):
        table.add(event, function)
    table.remove("a", first)
    assert functions(table.get("a")) == [second, first]
    table.remove("a", first)
    table.remove("a", first)
    assert functions(table.get("a")) == [second]
    table.remove("b", None)
    table.remove("unknown", None)
    table.remove("unknown", first)
    assert table.names() == ["a", "c"]
    table.remove(None, None)
    assert table.names() == []


def test_removing_a_bound_method() -> None:
    table = HandlerTable()
    room = Room()
    table.add("chat", room.method)
    table.remove("chat", Room().method)
    assert len(table.get("chat")) == 1
    table.remove("chat", room.method)
    assert table.get("chat") == ()


def test_a_dispatch_that_runs_sees_no_change() -> None:
    table = HandlerTable()
    table.add("chat", first)
    running = table.take("chat")
    table.add("chat", second)
    table.remove("chat", first)
    assert functions(running) == [first]
