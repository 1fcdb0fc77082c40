"""Values that have come from the other side, as the annotations of handlers want them.

Most types are converted by msgspec, those with a ``model_validate`` by that. msgspec prepares a type again
at each conversion, unless it is a struct's: so a type that it knows by itself stands in a struct of one field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from socketeer.errors import InvalidPayload

Converter = Callable[[Any], Any]

#: What stays binary: these come as attachments, never as base64 in a string.
_BINARY: Final = (bytes, bytearray, memoryview)
#: Types that need more than msgspec's own rules, wherever they stand.
_PARTICULAR: Final = (
    inspect.BytesType,
    inspect.ByteArrayType,
    inspect.MemoryViewType,
    inspect.CustomType,
    inspect.RawType,
    inspect.ExtType,
)


class _NotConvertibleError(Exception):
    """Nobody knows how to make a value of that type."""


def is_convertible(kind: Any) -> bool:
    """Whether there is a way to make values of that type."""
    if kind is Any or hasattr(kind, "model_validate"):
        return True
    try:
        msgspec.convert(None, kind)
    except msgspec.ValidationError:
        return True
    except Exception:  # noqa: BLE001 - msgspec refuses what it does not know in several ways
        return False
    return True


def converter_to(kind: Any, name: str) -> Converter:
    """What makes a value of type ``kind`` for the parameter ``name``. It raises InvalidPayload where none can be made."""
    box = _box_of(kind)
    if box is None:
        return lambda value: _convert(value, kind, name)

    def convert(value: Any, convert: Callable[[Any, Any], Any] = msgspec.convert) -> Any:
        try:
            return convert((value,), box).value
        except (ValueError, TypeError):
            return _convert(value, kind, name)  # which words its complaint without the box

    return convert


def _convert(value: Any, kind: Any, name: str) -> Any:
    if type(value) is kind:
        return value
    try:
        if hasattr(kind, "model_validate"):
            return kind.model_validate(value)
        return msgspec.convert(value, kind, builtin_types=_BINARY, dec_hook=_validate_model)
    except _NotConvertibleError:
        return value
    except (ValueError, TypeError) as error:  # msgspec's and pydantic's validation errors are ValueErrors
        raise InvalidPayload(f"argument {name!r}: {error}") from error


def _validate_model(kind: Any, value: Any) -> Any:
    """For the types that msgspec does not know, in any depth."""
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    raise _NotConvertibleError


def _box_of(kind: Any) -> Any:
    """A struct with one field of that type, or None where msgspec's own rules are not enough for it."""
    try:
        return _make_box(kind)
    except TypeError:  # it cannot be a key
        return None


@lru_cache(maxsize=256)
def _make_box(kind: Any) -> Any:
    if hasattr(kind, "model_validate"):
        return None
    try:
        if any(isinstance(part, _PARTICULAR) for part in _parts(inspect.type_info(kind))):
            return None
    except Exception:  # noqa: BLE001 - what cannot be looked into is converted as a whole
        return None
    return msgspec.defstruct("Box", [("value", kind)], array_like=True, gc=False)


def _parts(info: inspect.Type) -> Iterator[inspect.Type]:
    """A type and all that it is made of, each once."""
    todo: list[Any] = [info]
    seen: set[int] = set()
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, inspect.Type):
            yield part
        if isinstance(part, tuple | list):
            todo += part
        elif isinstance(part, inspect.Type | inspect.Field):
            todo += (getattr(part, name) for name in part.__struct_fields__)
