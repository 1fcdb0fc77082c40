"""What a handler's annotations make of a payload: a value of that type, or a misfit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from socketeer.errors import InvalidPayload
from socketeer.messaging.handlers import Ack, Handler, Payload
from tests.messaging.calling import Recorder, call

Seen = list[tuple[Any, ...]]


@dataclass
class Point:
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)


class Talk(TypedDict):
    text: str
    to: str | None


class Move(msgspec.Struct):
    who: str
    data: bytes = b""


class Person(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=0)


class Anything:
    """A class that nobody knows how to convert to."""


FITS: list[tuple[Any, Any, Any]] = [
    (str, "text", "text"),
    (int, 7, 7),
    (float, 7, 7.0),
    (float, 7.5, 7.5),
    (bool, True, True),
    (bytes, b"\x00\xff", b"\x00\xff"),
    (bytearray, b"\x00\xff", bytearray(b"\x00\xff")),
    (dict, {"a": 1}, {"a": 1}),
    (list, [1, "a"], [1, "a"]),
    (list[int], [1, 2], [1, 2]),
    (dict[str, float], {"a": 1}, {"a": 1.0}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (set[int], [1, 1, 2], {1, 2}),
    (str | None, None, None),
    (str | None, "text", "text"),
    (int | str, "text", "text"),
    (Literal["on", "off"], "on", "on"),
    (dt.date, "2026-11-22", dt.date(2026, 11, 22)),
    (Annotated[int, msgspec.Meta(ge=1)], 1, 1),
    (Point, {"x": 1, "more": 2}, Point(1)),
    (Point, {"x": 1, "y": 2, "tags": ["a"]}, Point(1, 2, ["a"])),
    (list[Point], [{"x": 1}, {"x": 2}], [Point(1), Point(2)]),
    (Talk, {"text": "hi", "to": None}, {"text": "hi", "to": None}),
    (Move, {"who": "me"}, Move("me")),
    (Move, {"who": "me", "data": b"\x01"}, Move("me", b"\x01")),
    (Person, {"name": "Ada", "age": 36}, Person(name="Ada", age=36)),
    (list[Person], [{"name": "Ada", "age": 36}], [Person(name="Ada", age=36)]),
    (dict[str, Person], {"a": {"name": "Ada", "age": 36}}, {"a": Person(name="Ada", age=36)}),
    (Person | None, None, None),
    (Person | None, {"name": "Ada", "age": 36}, Person(name="Ada", age=36)),
    (Any, {"a": [1]}, {"a": [1]}),
    (object, [1], [1]),
    (Anything, {"a": 1}, {"a": 1}),
    (list[Anything], [{"a": 1}], [{"a": 1}]),
    (Callable[[int], int], "text", "text"),
]


@pytest.mark.parametrize(("kind", "sent", "expected"), FITS)
def test_payload_that_fits(kind: Any, sent: Any, expected: Any) -> None:
    seen: Seen = []

    def handler(value: kind) -> None:  # pyright: ignore[reportInvalidTypeForm]
        seen.append((value,))

    handler.__annotations__ = {"value": kind}
    call(handler, sent)
    assert seen == [(expected,)]
    assert type(seen[0][0]) is type(expected)


MISFITS: list[tuple[Any, Any]] = [
    (str, 7),
    (str, None),
    (str, b"bytes"),
    (int, "7"),
    (int, 7.5),
    (int, True),
    (float, "7"),
    (bool, 1),
    (bytes, "text"),
    (bytes, [1]),
    (dict, [1]),
    (list[int], [1, "2"]),
    (list[int], {"0": 1}),
    (tuple[int, str], [1]),
    (str | None, 7),
    (Literal["on", "off"], "maybe"),
    (dt.date, "yesterday"),
    (Annotated[int, msgspec.Meta(ge=1)], 0),
    (Point, {"y": 1}),
    (Point, {"x": "1"}),
    (Point, [1]),
    (Point, None),
    (Talk, {"text": "hi"}),
    (Talk, {"text": 1, "to": None}),
    (Move, {}),
    (Move, {"who": "me", "data": "text"}),
    (Person, {"name": "Ada", "age": -1}),
    (Person, "Ada"),
    (list[Person], [{"name": "Ada"}]),
    (Person | None, {"name": "Ada"}),
]


@pytest.mark.parametrize(("kind", "sent"), MISFITS)
def test_payload_that_does_not_fit(kind: Any, sent: Any) -> None:
    def handler(value: Any) -> None:
        pytest.fail(f"called with {value!r}")

    handler.__annotations__ = {"value": kind}
    with pytest.raises(InvalidPayload, match="'value'"):
        call(handler, sent)


def test_each_argument_is_looked_at() -> None:
    def handler(point: Point, text: str = "none", *rest: int) -> list[Any]:
        return [point, text, rest]

    assert call(handler, {"x": 1}) == [Point(1), "none", ()]
    assert call(handler, {"x": 1}, "some", "more") == [Point(1), "some", ("more",)]
    with pytest.raises(InvalidPayload, match="'text'"):
        call(handler, {"x": 1}, 2)


def test_untyped_listeners_take_what_comes() -> None:
    """Those of local events: what they get comes from the server itself."""

    def handler(reason: int) -> Any:
        return reason

    assert Handler(handler, payload=Payload.NONE).signature.fit(["transport close"], Ack(None)) == [
        "transport close"
    ]


def test_annotation_that_is_a_name_of_the_enclosing_function() -> None:
    """With `from __future__ import annotations`, as here, annotations are text."""

    @dataclass
    class Local:
        x: int

    def handler(value: Local) -> Local:
        return Local(value.x + 1)

    assert call(handler, {"x": 1}) == Local(2)
    with pytest.raises(InvalidPayload):
        call(handler, {"x": "1"})


def test_annotation_that_cannot_be_resolved() -> None:
    """It counts as Any, and costs the others nothing."""

    def handler(unknown: NotThere, number: int, ack: Ack) -> list[Any]:  # type: ignore[name-defined]  # noqa: F821
        ack(unknown)
        return [unknown, number]

    recorder = Recorder()
    assert call(handler, {"a": 1}, 7, ack=recorder.ack) == [{"a": 1}, 7]
    assert recorder.sent == [({"a": 1},)]
    with pytest.raises(InvalidPayload, match="'number'"):
        call(handler, {"a": 1}, "7")
