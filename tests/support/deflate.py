"""A client's side of permessage-deflate, on nothing but zlib."""

from __future__ import annotations

import zlib
from typing import Final

from tests.support.raw import CONTINUATION, TEXT, Frame, frame

TAIL: Final = b"\x00\x00\xff\xff"


def deflated(data: bytes, level: int = 6) -> bytes:
    """The payload of a compressed message that refers to no other."""
    return Zipper(level).deflated(data)


def bomb(size: int) -> bytes:
    """A message that is a thousand times as long once it is inflated to `size` bytes."""
    return deflated(b"4" * size, 9)


def compressed(data: bytes, opcode: int = TEXT) -> bytes:
    """One frame with a compressed message."""
    return frame(deflated(data), opcode, rsv=4)


def pieces(payload: bytes, size: int, opcode: int = TEXT) -> bytes:
    """A compressed message in fragments: only the first frame has the reserved bit."""
    starts = range(0, len(payload), size)
    return b"".join(
        frame(
            payload[start : start + size],
            opcode if not start else CONTINUATION,
            rsv=4 if not start else 0,
            fin=start == starts[-1],
        )
        for start in starts
    )


class Zipper:
    """Compresses messages that refer to those before them."""

    def __init__(self, level: int = 6, bits: int = 15) -> None:
        self._stream = zlib.compressobj(level, zlib.DEFLATED, -bits)

    def deflated(self, data: bytes) -> bytes:
        return (self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


class Unzipper:
    """Opens frames from the server whose messages may refer to those before them."""

    def __init__(self, bits: int = 15) -> None:
        self._stream = zlib.decompressobj(-bits)

    def open(self, found: Frame) -> bytes:
        assert found.fin
        return self._stream.decompress(found.payload + TAIL) if found.rsv1 else found.payload


def opened(found: Frame) -> bytes:
    """What a frame holds whose message refers to no other."""
    return Unzipper().open(found)
