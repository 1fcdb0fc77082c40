"""Values as annotations want them. The box that msgspec's types stand in must change nothing but the time."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.errors import InvalidPayload
from socketeer.messaging import payloads
from socketeer.messaging.payloads import converter_to, is_convertible


class Colour(enum.Enum):
    RED = "red"


class Place(NamedTuple):
    x: int
    y: int = 0


class Named(TypedDict, total=False):
    name: str


class Record(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    tags: list[str] = []


@dataclass
class Tree:
    name: str
    branches: list[Tree] = field(default_factory=list)
    """As deep as one likes."""


@dataclass
class Order:
    id: int
    price: float
    note: str | None = None
    place: Place | None = None


@dataclass
class Picky:
    age: int

    def __post_init__(self) -> None:
        if self.age < 0:
            raise ValueError("age: expected 0 or more")


@dataclass
class Sealed:
    data: bytes


class Model:
    """As pydantic's."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def model_validate(cls, value: Any) -> Model:
        if value == "bad":
            raise ValueError("no model")
        return cls(value)

    def __repr__(self) -> str:
        return f"Model({self.value!r})"


@dataclass
class Holder:
    model: Model


BOXED: list[Any] = [
    int,
    str,
    float,
    bool,
    None,
    int | str,
    str | None,
    list[int],
    dict[str, int],
    tuple[int, ...],
    set[str],
    Literal["a", 1],
    Annotated[int, msgspec.Meta(ge=0)],
    Colour,
    Place,
    Named,
    Record,
    Tree,
    Order,
    Picky,
    list[Order | None],
    dt.datetime,
    uuid.UUID,
    decimal.Decimal,
]
WHOLE: list[Any] = [
    bytes,
    bytearray,
    Sealed,
    list[bytes],
    dict[str, Sealed | None],
    Model,
    Holder,
    list[Model],
]

VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    3.0,
    2.5,
    2**70,
    "",
    "a",
    "red",
    "1",
    "2026-01-31T09:30:00Z",
    "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "AAE=",
    b"\x00\x01",
    [],
    [1, 2],
    ["a", 1],
    [{"id": 1, "price": 2}, None],
    {},
    {"name": "x"},
    {"name": 1},
    {"name": "x", "branches": [{"name": "y", "branches": []}]},
    {"name": "x", "branches": [{"name": 5}]},
    {"id": 1, "price": 2},
    {"id": 1, "price": 2.5, "note": None, "place": [1, 2], "more": []},
    {"id": "1", "price": 2},
    {"id": 1, "tags": ["a"]},
    {"age": 5},
    {"age": -5},
    {"data": b"x"},
    {"data": "AAE="},
    {"model": 1},
    {"model": "bad"},
    "bad",
]


def outcome(convert: Callable[[Any], Any], value: Any) -> tuple[str, Any]:
    """What comes of it, in a form that can be compared."""
    try:
        result = convert(value)
    except InvalidPayload as error:
        return "refused", (str(error), type(error.__cause__))
    except Exception as error:  # noqa: BLE001 - both ways must fail alike
        return "failed", repr(error)
    return type(result).__name__, repr(result)


def plainly(kind: Any) -> Callable[[Any], Any]:
    """The way without a box."""
    return lambda value: payloads._convert(value, kind, "it")


@pytest.mark.parametrize("kind", BOXED, ids=repr)
def test_what_msgspec_knows_by_itself_stands_in_a_box(kind: Any) -> None:
    assert payloads._box_of(kind) is not None


@pytest.mark.parametrize("kind", WHOLE, ids=repr)
def test_binary_and_models_do_not_in_any_depth(kind: Any) -> None:
    assert payloads._box_of(kind) is None


@pytest.mark.parametrize("kind", [*BOXED, *WHOLE], ids=repr)
def test_the_box_changes_no_value_and_no_complaint(kind: Any) -> None:
    convert = converter_to(kind, "it")
    for value in VALUES:
        assert outcome(convert, value) == outcome(plainly(kind), value), value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "price", "note", "name"]), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from([*BOXED, *WHOLE]))
def test_so_for_any_value(value: Any, kind: Any) -> None:
    assert outcome(converter_to(kind, "it"), value) == outcome(plainly(kind), value)


def test_a_complaint_names_the_parameter_and_the_place() -> None:
    with pytest.raises(InvalidPayload, match=r"^argument 'order': Expected `int`, got `str` - at `\$\.id`$"):
        converter_to(Order, "order")({"id": "1", "price": 2})
    with pytest.raises(InvalidPayload, match=r"^argument 'order': Expected `object`, got `int`$"):
        converter_to(Order, "order")(5)


def test_one_box_serves_all_parameters_of_a_type() -> None:
    assert payloads._box_of(Order) is payloads._box_of(Order)


def test_a_type_that_cannot_be_a_key_is_converted_as_a_whole() -> None:
    kind = Annotated[int, ["a list"]]
    assert payloads._box_of(kind) is None
    assert converter_to(kind, "it")(5) == 5


def test_what_nobody_can_make_is_not_convertible() -> None:
    class Own: ...

    assert is_convertible(Any)
    assert is_convertible(Order)
    assert is_convertible(Model)
    assert is_convertible(Own), "it is taken as it comes"
    assert not is_convertible("no type")
    assert not is_convertible(list | set)
