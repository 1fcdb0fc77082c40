"""What a hub and its nodes say to each other: frames over a Unix socket.

A frame is its length without these four bytes, its kind, the length of a channel's name and that name, all
big-endian, and a body. A message is the same frame on its way to the hub and from there on, so that a hub
takes nothing apart that it does not need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from socketeer.errors import PacketError

#: What both sides say first. One who speaks another version is not understood.
VERSION: Final = b"socketeer 1"

#: Bytes of one message, at most.
MAX_MESSAGE: Final = 8 * 1024 * 1024

#: Bytes of a channel's name, at most; longer names are replaced by what stands for them.
MAX_NAME: Final = 512

#: Bytes of a frame behind its length, at most.
MAX_FRAME: Final = 3 + MAX_NAME + MAX_MESSAGE

_LENGTH = Struct("!I")
_HEAD = Struct("!IBH")
_BEHIND_LENGTH = _HEAD.size - _LENGTH.size


class Kind(IntEnum):
    """What a frame is for."""

    HELLO = 0
    """The first frame, in both directions; its body is the version."""
    MESSAGE = 1
    """For all other nodes that have subscribed to the channel."""
    SUBSCRIBE = 2
    UNSUBSCRIBE = 3
    PING = 4
    """Answered by a PONG with the same body."""
    PONG = 5
    COUNT = 6
    """How many nodes have subscribed to the channel? Answered by a COUNTED whose body begins as this one."""
    COUNTED = 7
    """The question's body, and the number."""


class Frame(NamedTuple):
    """One frame."""

    kind: int
    name: bytes
    """Of the channel."""
    body: bytes


def encode(kind: Kind, name: bytes = b"", body: bytes = b"") -> bytes:
    """A frame as bytes."""
    return b"".join((_HEAD.pack(_BEHIND_LENGTH + len(name) + len(body), kind, len(name)), name, body))


def wire_name(channel: str) -> bytes:
    """A channel's name as it is sent: itself, or what stands for one that is long."""
    name = channel.encode("utf-8", "surrogatepass")
    return name if len(name) <= MAX_NAME else b"\x00" + hashlib.sha256(name).digest()


class Splitter:
    """Frames out of pieces of any size. It holds no more than one frame that is not whole."""

    __slots__ = ("_held", "_missing")

    def __init__(self) -> None:
        self._held = bytearray()
        self._missing = 0
        """Bytes without which it is no use to look."""

    def feed(self, piece: bytes) -> Iterator[tuple[Frame, bytes]]:
        """Each frame that is whole now, and the bytes that it came as.

        To be used up before the next call.

        Raises:
            PacketError: these are no frames; what follows cannot be understood either.
        """
        if self._held:
            self._held += piece
            self._missing -= len(piece)
            if self._missing > 0:
                return
            piece = bytes(self._held)
            self._held.clear()
        start, size = 0, len(piece)
        while size - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(piece, start)
            if not _BEHIND_LENGTH <= length <= MAX_FRAME:
                raise PacketError(f"a frame of {length} bytes")
            end = start + _LENGTH.size + length
            if end > size:
                break
            _, kind, named = _HEAD.unpack_from(piece, start)
            body = start + _HEAD.size + named
            if body > end or named > MAX_NAME:
                raise PacketError(f"a channel's name of {named} bytes")
            yield Frame(kind, piece[start + _HEAD.size : body], piece[body:end]), piece[start:end]
            start = end
        if start < size:
            rest = piece[start:]
            self._held += rest
            wanted = _LENGTH.unpack_from(rest)[0] if len(rest) >= _LENGTH.size else 0
            self._missing = _LENGTH.size + wanted - len(rest)
