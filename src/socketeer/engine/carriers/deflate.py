"""The fast path with permessage-deflate: messages whose first frame has its first reserved bit set are compressed.

Only connections that have agreed on it are served by this class. What is not compressed goes the
same way as without it.

https://www.rfc-editor.org/rfc/rfc7692#section-6
"""

from __future__ import annotations

from socketeer.engine.carriers.picows import BINARY, TEXT, Flusher, Frame, Kind, PicowsCarrier
from socketeer.options import Backpressure, Limits
from socketeer.protocol.deflate import Codec, InflatedTooLong, InflateError
from socketeer.protocol.frame import Message


class DeflateCarrier(PicowsCarrier):
    """A WebSocket whose messages may be compressed. Implements :class:`~socketeer.engine.carriers.base.Carrier`."""

    __slots__ = ("_codec", "_compressed")

    def __init__(
        self, max_size: int, limits: Limits, backpressure: Backpressure, flusher: Flusher, codec: Codec
    ) -> None:
        super().__init__(max_size, limits, backpressure, flusher)
        self._codec = codec
        self._compressed = False
        """Whether the message that comes in fragments is."""

    def _reserved(self, kind: Kind, frame: Frame) -> None:
        begins = (kind is TEXT or kind is BINARY) and self._fragments is None
        if frame.rsv2 or frame.rsv3 or not begins:
            super()._reserved(kind, frame)
        elif frame.fin:
            self._inflate(kind.value, frame.get_payload_as_bytes())
        else:
            self._compressed = True
            self._fragment(kind.value, frame.get_payload_as_bytes(), False)

    def _deliver(self, kind: int, message: bytes) -> None:
        if self._compressed:
            self._compressed = False
            self._inflate(kind, message)
        else:
            super()._deliver(kind, message)

    def _inflate(self, kind: int, data: bytes) -> None:
        try:
            message = self._codec.inflater.inflate(data)
        except InflatedTooLong as error:
            self._fail(1009, f"{error} (max_http_buffer_size)")
        except InflateError as error:
            self._fail(1007, str(error))
        else:
            super()._deliver(kind, message)

    def send(self, message: Message) -> None:
        if not self._closing:  # a message that goes nowhere is not worth compressing
            super().send(self._codec.deflater.framed(message))
