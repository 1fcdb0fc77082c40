"""Messages to a peer as bytes: framed once per wire, written to many.

A server's WebSocket frames carry no mask (RFC 6455 section 5.1), so the same bytes serve every
receiver of a broadcast. A :class:`Message` is therefore encoded when it is first asked for in a
wire's form, and keeps the result.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, TypeVar

import msgspec

#: Between the packets of a long-polling payload (Engine.IO protocol 4, "Payload").
RECORD_SEPARATOR = b"\x1e"

_TEXT: Final = 0x81
_BINARY: Final = 0x82
_RSV1: Final = 0x40
#: Payloads of fewer bytes have their length in the frame's second byte (RFC 6455 section 5.2).
_SHORT: Final = 126
_SHORT_TEXT = tuple(bytes((_TEXT, size)) for size in range(_SHORT))
#: Of longer ones it stands behind that byte, in two bytes, or else in eight.
_MIDDLING: Final = 65_536
_middling_header = Struct(">BBH").pack
_long_header = Struct(">BBQ").pack

#: An empty close frame: the peer sees code 1005, as from the official server.
CLOSE_FRAME = b"\x88\x00"


def _header(first: int, size: int) -> bytes:
    if size < _SHORT:
        return bytes((first, size))
    if size < _MIDDLING:
        return _middling_header(first, 126, size)
    return _long_header(first, 127, size)


def text_frame(data: bytes) -> bytes:
    """One unmasked text frame."""
    size = len(data)
    if size < _SHORT:
        return _SHORT_TEXT[size] + data
    return _header(_TEXT, size) + data


def binary_frame(data: bytes) -> bytes:
    """One unmasked binary frame."""
    return _header(_BINARY, len(data)) + data


def deflated_frame(data: bytes, binary: bool) -> bytes:
    """One unmasked frame with a compressed message: the first reserved bit says so (RFC 7692 section 6)."""
    return _header((_BINARY if binary else _TEXT) | _RSV1, len(data)) + data


def close_frame(code: int) -> bytes:
    """A close frame with a status code and no reason."""
    return b"\x88\x02" + code.to_bytes(2, "big")


def pong_frame(data: bytes) -> bytes:
    """The answer to a ping; a control frame holds 125 bytes at most."""
    return bytes((0x8A, len(data))) + data


T = TypeVar("T")


class Message(msgspec.Struct, gc=False, eq=False):
    """One Engine.IO packet in text form and the binary packets that follow it, or binary packets alone.

    ``attachments`` are the binary packets of a Socket.IO packet with binary data; they stay
    together with it in any queue.
    """

    text: bytes
    """Starts with the Engine.IO packet type (``4`` for a message); empty where there is no text."""
    attachments: Sequence[bytes] = ()
    compress: bool = True
    """False keeps it from being compressed over WebSocket, and a long-polling answer for its sake."""
    framed: bytes | None = None
    """What :meth:`frames` has made."""
    in_payload: bytes | None = None
    """What :meth:`payload` has made."""
    deflated: dict[int, Message] | None = None
    """It as it goes over WebSockets that compress, by the window's bits: what
    :class:`~socketeer.protocol.deflate.Deflater` has made."""
    others: dict[Any, Any] | None = None
    """What :meth:`once` has made, by what made it."""

    def __eq__(self, other: object) -> bool:
        """Whether it says the same; in which forms it has been made already does not matter."""
        if not isinstance(other, Message):
            return NotImplemented
        same = self.text == other.text and self.compress == other.compress
        return same and list(self.attachments) == list(other.attachments)

    __hash__ = None  # type: ignore[assignment]

    def frames(self) -> bytes:
        """All of it as WebSocket frames of a server."""
        framed = self.framed
        if framed is None:
            text = self.text
            size = len(text)
            if size < _SHORT:
                framed = _SHORT_TEXT[size] + text
            elif size < _MIDDLING:
                framed = _middling_header(_TEXT, 126, size) + text
            else:
                framed = text_frame(text)
            if self.attachments:
                parts = [framed] if text else []
                for each in self.attachments:
                    parts += (_header(_BINARY, len(each)), each)
                framed = b"".join(parts)  # so large ones are copied once
            self.framed = framed
        return framed

    def payload(self) -> bytes:
        """All of it as a piece of a long-polling payload; binary as ``b`` and base64."""
        payload = self.in_payload
        if payload is None:
            payload = self.text
            if self.attachments:
                encoded = (b"b" + b2a_base64(each, newline=False) for each in self.attachments)
                payload = RECORD_SEPARATOR.join([payload, *encoded] if payload else encoded)
            self.in_payload = payload
        return payload

    def once(self, encode: Callable[[Message], T]) -> T:
        """``encode(self)``, kept like the others: for wires that are not this module's business."""
        if self.others is None:
            self.others = {}
        if encode not in self.others:
            self.others[encode] = encode(self)
        made: T = self.others[encode]
        return made

    def size(self) -> int:
        """Bytes held, near enough for a water mark."""
        return len(self.text) + sum(map(len, self.attachments))


def text_message(text: bytes, compress: bool = True) -> Message:
    """A message without binary; a short one is framed already, as most go over WebSockets."""
    size = len(text)
    return Message(text, (), compress, _SHORT_TEXT[size] + text if size < _SHORT else None)
