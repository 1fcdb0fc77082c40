"""What RFC 6455 asks of every carrier that reads frames by itself: fragments, pings, close frames, UTF-8.

A whole message in one frame is by far the most frequent and each carrier's own business; the rest is
written here once.
"""

from __future__ import annotations

from typing import Final

from socketeer.engine.carriers.base import Receiver
from socketeer.options import Limits
from socketeer.protocol.frame import CLOSE_FRAME, close_frame, pong_frame

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

#: Seconds the peer may take to answer a close frame.
CLOSE_TIMEOUT = 5.0


class Fragments:
    """A message that has begun and not ended."""

    __slots__ = ("count", "data", "kind")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.count = 0
        self.data = bytearray()


class FrameRules:
    """A WebSocket's incoming frames beyond the simplest. A carrier adds how it sends, and how it ends."""

    __slots__ = ()

    receiver: Receiver
    _fragments: Fragments | None
    _limits: Limits

    # --- what the carrier adds ------------------------------------------------------------------

    def _longest(self) -> int:
        """Bytes that a message may have (max_http_buffer_size)."""
        raise NotImplementedError

    def _is_open(self) -> bool:
        """Whether nobody has begun to end it."""
        raise NotImplementedError

    def _is_read(self) -> bool:
        """Whether the peer has taken what it was sent so far."""
        raise NotImplementedError

    def _keep(self, fragments: Fragments | None) -> None:
        """Assign :attr:`_fragments`."""
        raise NotImplementedError

    def _control(self, frame: bytes) -> None:
        """Queue a control frame, made as a server's."""
        raise NotImplementedError

    def _end(self, frame: bytes) -> None:
        """Send this close frame behind what is queued, and give the peer a moment to answer it."""
        raise NotImplementedError

    def _leave(self, frame: bytes) -> None:
        """Answer a close frame with this one, behind what is queued, and end."""
        raise NotImplementedError

    # --- the rules ------------------------------------------------------------------------------

    def _other_frame(self, kind: int, payload: bytes, last: bool) -> None:
        """A frame that is no whole message; ``last`` is its FIN bit."""
        if kind == PING:
            # Pongs that the peer does not read must not pile up: one is enough.
            if self._is_read():
                self._control(pong_frame(payload))
        elif kind == CLOSE:
            self._peer_closes(payload)
        elif kind != PONG:
            self._fragment(kind, payload, last)

    def _fragment(self, kind: int, data: bytes, last: bool) -> None:
        fragments = self._fragments
        if (fragments is None) is (kind == CONTINUATION):
            self._fail(1002, "fragment out of order")
            return
        if fragments is None:
            fragments = Fragments(kind)
            self._keep(fragments)
        fragments.data += data
        fragments.count += 1
        if len(fragments.data) > self._longest():
            self._fail(1009, f"message above {self._longest()} bytes (max_http_buffer_size)")
        elif fragments.count > self._limits.max_fragments:
            self._fail(1008, f"more than {self._limits.max_fragments} fragments (max_fragments)")
        elif last:
            self._keep(None)
            self._deliver(fragments.kind, bytes(fragments.data))

    def _deliver(self, kind: int, message: bytes) -> None:
        """A whole message, other than one in a single frame without a reserved bit."""
        if kind == BINARY:
            self.receiver.receive_binary(message)
        elif self._is_utf8(message):
            self.receiver.receive_text(message)

    def _is_utf8(self, data: bytes) -> bool:
        try:
            data.decode()
        except UnicodeDecodeError:
            self._fail(1007, "text that is not UTF-8")
            return False
        return True

    def _peer_closes(self, payload: bytes) -> None:
        """Answer a close frame with its own code, and end."""
        code = int.from_bytes(payload[:2], "big")
        if not payload:
            answer, reason = CLOSE_FRAME, "transport close"
        elif _may_be_sent(code):
            answer, reason = close_frame(code), "transport close"
        else:
            answer, reason = close_frame(1002), "transport error"
        self._leave(answer)
        self.receiver.carrier_lost(reason, "closed by the peer")

    def _fail(self, code: int, description: str) -> None:
        """The peer has broken a rule: say so by a close frame, and end."""
        if self._is_open():
            self._end(close_frame(code))
            self.receiver.carrier_lost("transport error", description)


def _may_be_sent(code: int) -> bool:
    """Whether a close frame may carry this code (RFC 6455 section 7.4)."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))
