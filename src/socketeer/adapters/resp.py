"""Redis' protocol, RESP2: commands as bytes, and answers out of a stream of bytes.

https://redis.io/docs/latest/develop/reference/protocol-spec/. redis-py reads a message line by line, with
awaits for each: docs/decisions/0012-redis-protocol.md.
"""

from __future__ import annotations

from typing import Any, Final

#: Lists within lists, at most: Redis' answers to what is asked here have two floors.
_FLOORS: Final = 8

#: Bytes that a line may have: what Redis says of an error, at most.
_LINE: Final = 65_536

_PARTIAL: Final = object()
"""An answer is not whole yet."""


class ReplyError(Exception):
    """Redis has refused a command; what it says begins with a code such as ``NOPERM``."""


class ReplyGarbled(ConnectionError):
    """What comes is not RESP2."""


def pack(*words: bytes | str | int) -> bytes:
    """A command."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if type(word) is not bytes:
            word = str(word).encode()  # noqa: PLW2901
        parts.append(b"$%d\r\n" % len(word))
        parts.append(word)
        parts.append(b"\r\n")
    return b"".join(parts)


class Replies:
    """The answers that a connection brings: bytes, integers, None, lists of these, or a :class:`ReplyError`."""

    __slots__ = ("_chunks", "_held", "_needed")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        """What is no whole answer yet."""
        self._held = 0
        """Bytes in it."""
        self._needed = 0
        """How many there must be before it is worth another look."""

    def feed(self, data: bytes) -> list[Any]:
        """What is whole with these bytes.

        Raises:
            ReplyGarbled: it is no answer.
        """
        if self._chunks:
            self._chunks.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return []
            data = b"".join(self._chunks)
        found, at, self._needed = [], 0, 0
        try:
            while at < len(data):
                value, end = self._read(data, at, _FLOORS)
                if value is _PARTIAL:
                    break
                found.append(value)
                at = end
        except ValueError as error:
            raise ReplyGarbled(f"no answer of Redis: {error}") from None
        rest = data[at:]
        self._chunks = [rest] if rest else []
        self._held = len(rest)
        self._needed -= at
        return found

    def _read(self, data: bytes, at: int, floors: int) -> tuple[Any, int]:
        """The answer that begins there, and where it ends."""
        end = data.find(b"\r\n", at)
        if end < 0:
            if len(data) - at > _LINE:
                raise ReplyGarbled(f"no answer of Redis: {data[at : at + 50]!r}")
            return _PARTIAL, at
        kind = data[at]
        at += 1
        if kind == 0x24:  # $
            start = end + 2
            end = start + int(data[at:end])
            if end < start:
                return None, start
            if len(data) < end + 2:
                self._needed = end + 2
                return _PARTIAL, at
            return data[start:end], end + 2
        if kind == 0x3A:  # :
            return int(data[at:end]), end + 2
        if kind == 0x2A:  # *
            return self._read_list(data, int(data[at:end]), end + 2, floors)
        if kind == 0x2B:  # +
            return data[at:end], end + 2
        if kind == 0x2D:  # -
            return ReplyError(data[at:end].decode(errors="replace")), end + 2
        raise ReplyGarbled(f"no answer of Redis: {data[at - 1 : at + 50]!r}")

    def _read_list(self, data: bytes, count: int, at: int, floors: int) -> tuple[Any, int]:
        if count < 0:
            return None, at
        if not floors:
            raise ReplyGarbled("no answer of Redis: lists within lists within lists")
        values = []
        for _ in range(count):
            value, at = self._read(data, at, floors - 1)
            if value is _PARTIAL:
                return _PARTIAL, at
            values.append(value)
        return values, at
