"""Python values that no parser knows by itself, as plain data."""

from __future__ import annotations

from typing import Any

import msgspec

#: What parsers send as binary.
BINARY = (bytes, bytearray, memoryview)


def plain_data(value: Any, keep: tuple[type, ...] = BINARY) -> Any:
    """A set as a list; a pydantic model or a msgspec struct as a dict, values of the types ``keep`` as they are.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(value, (set, frozenset)):
        return list(value)
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump()
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value, builtin_types=keep)
    raise TypeError
