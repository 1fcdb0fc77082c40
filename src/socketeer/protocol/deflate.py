"""WebSocket messages compressed and inflated: permessage-deflate without I/O.

A :class:`Deflater` makes the frames of outgoing messages, an :class:`Inflater` opens incoming ones.
Where messages do not refer to those before them ("no context take-over", the default), both are
shared by all connections of a server, and what a message was compressed to serves every receiver.

https://www.rfc-editor.org/rfc/rfc7692#section-7.2
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from socketeer.errors import PeerError
from socketeer.options import PerMessageDeflate
from socketeer.protocol.extensions import Agreement
from socketeer.protocol.frame import Message, binary_frame, deflated_frame, text_frame

#: What zlib's flush ends with, taken off by who compresses and put back by who inflates.
_TAIL: Final = b"\x00\x00\xff\xff"
#: An empty last block: it ends the stream of a message that is whole, and of no other.
_LAST_BLOCK: Final = b"\x01" + _TAIL
#: What may follow where the peer itself ended the stream (RFC 7692 section 7.2.3.4).
_AFTER_LAST_BLOCK: Final = (_TAIL, b"\x00" + _TAIL)

_LARGEST: Final = 15
#: zlib's smallest for compressing without a header. Its matches reach back 250 bytes at most, so
#: that a peer whose window is the RFC's smallest (8 bits, 256 bytes) can inflate them.
_SMALLEST: Final = 9


class InflateError(PeerError):
    """A compressed message that does not inflate."""


class InflatedTooLong(PeerError):
    """A compressed message that inflates to more than is allowed."""


class Deflater:
    """Compresses each message by itself, so that its frames serve any number of receivers."""

    __slots__ = ("_bits", "_options", "_stream", "_threshold")

    #: Makes zlib forget what it has seen. A new stream for each message would cost several times as much.
    _flush = zlib.Z_FULL_FLUSH

    def __init__(self, bits: int, options: PerMessageDeflate) -> None:
        self._bits = bits
        self._options = options
        self._threshold = max(options.threshold, 1)  # what is empty only grows
        self._stream: zlib._Compress | None = None

    def framed(self, message: Message) -> Message:
        """The message with the frames that it goes out in: itself, where nothing in it is to be compressed."""
        if not self._applies(message):
            return message
        made = message.deflated
        if made is None:
            made = message.deflated = {}
        framed = made.get(self._bits)
        if framed is None:
            framed = made[self._bits] = self._make(message)
        return framed

    def _applies(self, message: Message) -> bool:
        threshold = self._threshold
        return message.compress and (
            len(message.text) >= threshold or any(len(each) >= threshold for each in message.attachments)
        )

    def _make(self, message: Message) -> Message:
        # In the order in which they are read: with a context each may refer to those before it.
        has_text = bool(message.text) or not message.attachments
        frames = [self._frame(message.text, False)] if has_text else []
        frames += [self._frame(each, True) for each in message.attachments]
        return Message(b"", framed=b"".join(frames))

    def _frame(self, data: bytes, binary: bool) -> bytes:
        if len(data) >= self._threshold:
            deflated = self._deflate(data)
            if self._pays(deflated, data):
                return deflated_frame(deflated, binary)
        return binary_frame(data) if binary else text_frame(data)

    def _pays(self, deflated: bytes, data: bytes) -> bool:
        """Pictures and the like do not get smaller: the peer is spared inflating them."""
        return len(deflated) < len(data)

    def _deflate(self, data: bytes) -> bytes:
        stream = self._stream
        if stream is None:
            options = self._options
            bits = max(self._bits, _SMALLEST)
            stream = zlib.compressobj(options.level, zlib.DEFLATED, -bits, options.mem_level)
            self._stream = stream
        return (stream.compress(data) + stream.flush(self._flush))[: -len(_TAIL)]


class ContextDeflater(Deflater):
    """Compresses the messages of one connection, each of which may refer to those before it."""

    __slots__ = ()

    _flush = zlib.Z_SYNC_FLUSH

    def framed(self, message: Message) -> Message:
        """The message with its frames; to be sent in the order of the calls."""
        return self._make(message) if self._applies(message) else message

    def _pays(self, deflated: bytes, data: bytes) -> bool:  # noqa: ARG002
        """What zlib has seen, the peer must see too."""
        return True


class Inflater:
    """Inflates messages, each of them by itself, or with ``keep_context`` those of one connection.

    However a message was compressed, it takes no more memory than twice ``max_size`` and what zlib
    needs: the pieces, and the message that they make.
    """

    __slots__ = ("_bits", "_keep_context", "_max_size", "_stream")

    def __init__(self, bits: int, max_size: int, keep_context: bool = False) -> None:
        self._bits = bits
        self._max_size = max_size
        self._keep_context = keep_context
        self._stream: zlib._Decompress | None = None

    def inflate(self, data: bytes) -> bytes:
        """The message whose compressed form is ``data``: all its fragments' payloads, joined.

        Raises:
            InflatedTooLong: it has more than ``max_size`` bytes.
            InflateError: it is broken, or cut off.
        """
        if not data:
            return b""  # should be one zero byte (RFC 7692 section 7.2.3.6); ws takes this too
        stream, self._stream = self._stream or zlib.decompressobj(-self._bits), None
        try:
            message = stream.decompress(data + _TAIL, self._max_size + 1)
            if len(message) > self._max_size:
                raise InflatedTooLong(f"message above {self._max_size} bytes once it is inflated")
            if stream.eof:
                whole = stream.unused_data in _AFTER_LAST_BLOCK
            else:
                end = stream
                if self._keep_context:
                    self._stream, end = stream, stream.copy()
                end.decompress(_LAST_BLOCK)
                whole = end.eof
        except zlib.error as error:
            raise InflateError(f"broken compressed message: {error}") from None
        if not whole:
            raise InflateError("broken compressed message: not its own end")
        return message


@dataclass(frozen=True, slots=True)
class Codec:
    """Both directions of one connection."""

    deflater: Deflater
    inflater: Inflater


class Codecs:
    """Codecs for the connections of one server, which share what they can."""

    __slots__ = ("_deflaters", "_inflaters", "_max_size", "options")

    def __init__(self, options: PerMessageDeflate, max_size: int) -> None:
        self.options = options
        self._max_size = max_size
        self._deflaters: dict[int, Deflater] = {}
        self._inflaters: dict[int, Inflater] = {}

    def codec(self, agreement: Agreement) -> Codec:
        """What keeps to the agreement; ``max_size`` limits the messages that it inflates."""
        return Codec(self._deflater(agreement), self._inflater(agreement))

    def _deflater(self, agreement: Agreement) -> Deflater:
        bits = agreement.server_max_window_bits or _LARGEST
        if not agreement.server_no_context_takeover:
            return ContextDeflater(bits, self.options)
        return self._deflaters.setdefault(bits, Deflater(bits, self.options))

    def _inflater(self, agreement: Agreement) -> Inflater:
        bits = agreement.client_max_window_bits or _LARGEST
        if not agreement.client_no_context_takeover:
            return Inflater(bits, self._max_size, keep_context=True)
        return self._inflaters.setdefault(bits, Inflater(bits, self._max_size))
