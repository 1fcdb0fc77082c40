"""A client's WebSocket frames: each is masked with a key of its own (RFC 6455 section 5.3)."""

from __future__ import annotations

import os
from typing import Final

from socketeer.protocol.frame import Message

_TEXT: Final = 0x81
_BINARY: Final = 0x82
_MASKED: Final = 0x80
_number: Final = int.from_bytes
_KEY_SIZE: Final = 4
#: Headers of short frames: making one costs as much as laying the mask over a short message.
_SHORT: Final = {
    first: tuple(bytes((first, _MASKED | size)) for size in range(126)) for first in (_TEXT, _BINARY)
}
#: Bytes of keys that are asked of the system at once: a call for each frame would cost more than the frame.
_SUPPLY: Final = 4096


class _Keys:
    """Keys from the system's random source."""

    __slots__ = ("_supply",)

    def __init__(self) -> None:
        self._supply: list[bytes] = []

    def take(self) -> bytes:
        try:
            return self._supply.pop()  # one step, so that threads may share it
        except IndexError:
            more = os.urandom(_SUPPLY)
            self._supply = [more[at : at + _KEY_SIZE] for at in range(_KEY_SIZE, _SUPPLY, _KEY_SIZE)]
            return more[:_KEY_SIZE]


_keys = _Keys()


def mask(data: bytes, key: bytes) -> bytes:
    """``data`` with ``key`` laid over it, again and again; done twice, it is ``data``."""
    size = len(data)
    keys = (key * (size // _KEY_SIZE + 1))[:size]
    # As one large number each: the interpreter's only loop over bytes that runs at the machine's speed.
    return (_number(data, "little") ^ _number(keys, "little")).to_bytes(size, "little")


def masked_frame(first: int, payload: bytes) -> bytes:
    """One frame, whose first byte (its opcode, and that it is the last) is ``first``."""
    size = len(payload)
    if size < 126:
        short = _SHORT.get(first)
        header = bytes((first, _MASKED | size)) if short is None else short[size]
    elif size < 65_536:
        header = bytes((first, _MASKED | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((first, _MASKED | 127)) + size.to_bytes(8, "big")
    key = _keys.take()
    return header + key + mask(payload, key)


def masked_frames(message: Message) -> bytes:
    """A message as frames of a client: its text, if it has one, and its attachments."""
    if not message.attachments:
        return masked_frame(_TEXT, message.text)
    frames = [masked_frame(_TEXT, message.text)] if message.text else []
    frames += [masked_frame(_BINARY, each) for each in message.attachments]
    return b"".join(frames)
