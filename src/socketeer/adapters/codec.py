"""Values between nodes as bytes: compact JSON where there is nothing binary in them, else MessagePack.

As the official adapters write them. The first byte tells the two apart: a message is a map, and in JSON
that begins with a brace.
"""

from __future__ import annotations

from typing import Any

import orjson

from socketeer.errors import PacketError
from socketeer.protocol.msgpack import pack_plain, unpack_plain
from socketeer.protocol.values import BINARY, plain_data


class _BinaryInside(Exception):
    """What is to be JSON holds bytes."""


def to_json(value: Any) -> bytes | None:
    """Compact JSON; None where there is something binary in it.

    Raises:
        TypeError: something in it cannot be sent.
    """
    try:
        return orjson.dumps(value, _plain, orjson.OPT_NON_STR_KEYS)
    except TypeError as error:  # of orjson, which wraps what the hook has raised
        if isinstance(error.__cause__, _BinaryInside):
            return None
        raise TypeError(f"cannot send {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, BINARY):
        raise _BinaryInside
    return plain_data(value)


def encode(value: Any) -> bytes:
    """JSON, or MessagePack where it has to be.

    Raises:
        TypeError: something in it cannot be sent.
    """
    text = to_json(value)
    return pack_plain(value) if text is None else text


def decode(payload: bytes) -> Any:
    """What :func:`encode` has written, here or in JavaScript.

    Raises:
        PacketError: it is neither JSON nor MessagePack.
    """
    if payload[:1] == b"{":
        return from_json(payload)
    return unpack_plain(payload)


def from_json(payload: bytes) -> Any:
    """A JSON value.

    Raises:
        PacketError: it is none.
    """
    try:
        return orjson.loads(payload)
    except ValueError:
        raise PacketError(f"expected JSON, got {payload[:50]!r}") from None
