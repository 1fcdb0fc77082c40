"""Values as they are shown and typed: JSON, in which nothing is left that a terminal would obey.

What comes from a server is hostile. Each character that is not printable stands as its JSON escape,
so what is shown can be typed again, means the same, and does nothing.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from rich.text import Text

#: Bytes of a binary value that are shown, where it is cut and where it is not.
_FIRST_BYTES: Final = 16
_MANY_BYTES: Final = 1024
#: Levels beyond which a value is not shown; the parsers' own limit is far above what anybody reads.
_DEPTH: Final = 64
_KEY: Final = "cyan"
_CONSTANTS: Final = {None: "null", True: "true", False: "false"}

Token = tuple[str, str]
"""A piece of text and its style."""


def escaped(text: str) -> str:
    """The text with each character that is not printable as its JSON escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def quoted(text: str) -> str:
    """The text as a JSON string, all of it printable."""
    return escaped(json.dumps(text, ensure_ascii=False))


def name(event: str) -> str:
    """An event's name as it is typed: in quotes where it needs them."""
    plain = event.isprintable() and event == event.strip() and event[:1] not in {'"', "/", ""}
    return event if plain and " " not in event and event != "?" else quoted(event)


def as_json(value: Any) -> str:
    """The value as one line of JSON; binary is ``{"base64": "..."}``, what lies 200 levels deep is ``"…"``."""
    return escaped(json.dumps(_plain(value, 200), ensure_ascii=False, separators=(",", ":")))


def _plain(value: Any, levels: int) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, (Mapping, list, tuple)):
        if not levels:
            return "…"
        if isinstance(value, Mapping):
            return {str(key): _plain(each, levels - 1) for key, each in value.items()}
        return [_plain(each, levels - 1) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # as JSON.stringify does
    return value if isinstance(value, (str, int, float, type(None))) else _other(value)


def _other(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def shown(values: Iterable[Any], limit: int) -> tuple[Text, bool]:
    """The values in colour, one after the other; and whether that is all, or ``limit`` characters of it."""
    text = Text()
    for number, value in enumerate(values):
        if number:
            text.append(" ")
        for piece, style in _tokens(value, limit, _FIRST_BYTES, 0):
            text.append(piece, style)
            if len(text) > limit:
                text.truncate(limit)
                return text, False
    return text, True


def whole(values: Iterable[Any]) -> Text:
    """The values in colour, each from a line of its own, indented."""
    text = Text()
    for value in values:
        for piece, style in _tokens(value, None, _MANY_BYTES, 0):
            text.append(piece, style)
        text.append("\n")
    text.right_crop(1)
    return text


def _tokens(value: Any, limit: int | None, most_bytes: int, level: int) -> Iterator[Token]:
    """The pieces of a value. Without a limit they are indented; with one, strings are cut before they are escaped."""
    if isinstance(value, str):
        yield quoted(value if limit is None else value[: limit + 1]), "green"
    elif value is None or isinstance(value, bool):
        yield _CONSTANTS[value], "magenta"
    elif isinstance(value, (int, float)):
        yield json.dumps(value), "bright_blue"
    elif isinstance(value, (bytes, bytearray, memoryview)):
        yield binary(bytes(value[:most_bytes]), len(value)), "yellow"
    elif not isinstance(value, (Mapping, list, tuple)):
        yield quoted(_other(value)), "green"
    elif level >= _DEPTH:
        yield "…", "dim"
    else:
        yield from _group(value, limit, most_bytes, level)


def _group(
    value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], limit: int | None, most_bytes: int, level: int
) -> Iterator[Token]:
    mapping = value if isinstance(value, Mapping) else None
    opening, closing = "{}" if mapping is not None else "[]"
    yield opening, ""
    for number, item in enumerate(value):
        yield ("," if number else ""), ""
        if limit is None:
            yield "\n" + "  " * (level + 1), ""
        elif number:
            yield " ", ""
        if mapping is not None:
            key = str(item)
            yield quoted(key if limit is None else key[: limit + 1]), _KEY
            yield ": ", ""
        yield from _tokens(item if mapping is None else mapping[item], limit, most_bytes, level + 1)
    if limit is None and value:
        yield "\n" + "  " * level, ""
    yield closing, ""


def binary(first: bytes, size: int) -> str:
    """A binary value by its size and its first bytes."""
    dots = " …" if size > len(first) else ""
    return f"<{size} byte{'' if size == 1 else 's'}: {first.hex(' ')}{dots}>" if size else "<0 bytes>"
