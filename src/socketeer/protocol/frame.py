"""Messages to a peer as bytes: framed once per wire, written to many.

A server's WebSocket frames carry no mask (RFC 6455 section 5.1), so the same bytes serve every
receiver of a broadcast. A :class:`Message` is therefore encoded when it is first asked for in a
wire's form, and keeps the result.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence

#: Between the packets of a long-polling payload (Engine.IO protocol 4, "Payload").
RECORD_SEPARATOR = b"\x1e"

_TEXT = 0x81
_BINARY = 0x82
_SHORT_TEXT = tuple(bytes((_TEXT, size)) for size in range(126))

#: An empty close frame: the peer sees code 1005, as from the official server.
CLOSE_FRAME = b"\x88\x00"


def _header(first: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, size))
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


def text_frame(data: bytes) -> bytes:
    """One unmasked text frame."""
    size = len(data)
    if size < 126:
        return _SHORT_TEXT[size] + data
    return _header(_TEXT, size) + data


def binary_frame(data: bytes) -> bytes:
    """One unmasked binary frame."""
    return _header(_BINARY, len(data)) + data


def close_frame(code: int) -> bytes:
    """A close frame with a status code and no reason."""
    return b"\x88\x02" + code.to_bytes(2, "big")


def pong_frame(data: bytes) -> bytes:
    """The answer to a ping; a control frame holds 125 bytes at most."""
    return bytes((0x8A, len(data))) + data


class Message:
    """One Engine.IO packet in text form and the binary packets that follow it.

    ``text`` starts with the Engine.IO packet type (``4`` for a message). ``attachments`` are the
    binary packets of a Socket.IO packet with binary data; they stay together with it in any queue.
    """

    __slots__ = ("_frames", "_payload", "attachments", "compress", "text")

    def __init__(self, text: bytes, attachments: Sequence[bytes] = (), compress: bool = True) -> None:
        self.text = text
        self.attachments = attachments
        self.compress = compress
        """False keeps a long-polling answer with this message from being compressed for its sake."""
        self._frames: bytes | None = None
        self._payload: bytes | None = None

    def frames(self) -> bytes:
        """All of it as WebSocket frames of a server."""
        frames = self._frames
        if frames is None:
            frames = text_frame(self.text)
            if self.attachments:
                frames = b"".join([frames, *map(binary_frame, self.attachments)])
            self._frames = frames
        return frames

    def payload(self) -> bytes:
        """All of it as a piece of a long-polling payload; binary as ``b`` and base64."""
        payload = self._payload
        if payload is None:
            payload = self.text
            if self.attachments:
                encoded = (b"b" + b2a_base64(each, newline=False) for each in self.attachments)
                payload = RECORD_SEPARATOR.join([payload, *encoded])
            self._payload = payload
        return payload

    def size(self) -> int:
        """Bytes held, near enough for a water mark."""
        return len(self.text) + sum(map(len, self.attachments))
