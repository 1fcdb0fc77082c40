"""The rules for frames that are no whole message, on a carrier that only keeps what it is told to do."""

from __future__ import annotations

import pytest

from socketeer.engine.carriers.rules import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Fragments,
    FrameRules,
)
from socketeer.options import Limits
from socketeer.protocol.frame import CLOSE_FRAME, close_frame, pong_frame
from tests.engine.carriers.line import Audience


class Ruled(FrameRules):
    """Open until a close frame goes out, which is the last that it does."""

    def __init__(self) -> None:
        self.receiver = self.audience = Audience()
        self._fragments: Fragments | None = None
        self._limits = Limits(max_fragments=3)
        self.read = True
        self.sent: list[bytes] = []
        self.last: tuple[str, bytes] | None = None

    def _longest(self) -> int:
        return 10

    def _is_open(self) -> bool:
        return self.last is None

    def _is_read(self) -> bool:
        return self.read

    def _keep(self, fragments: Fragments | None) -> None:
        self._fragments = fragments

    def _control(self, frame: bytes) -> None:
        self.sent.append(frame)

    def _end(self, frame: bytes) -> None:
        self.last = ("end", frame)

    def _leave(self, frame: bytes) -> None:
        self.last = ("leave", frame)


def test_fragments_make_one_message() -> None:
    ruled = Ruled()
    for kind, payload, last in ((TEXT, b"\xc3", False), (PONG, b"", True), (CONTINUATION, b"\xa9", True)):
        ruled._other_frame(kind, payload, last)
    ruled._other_frame(BINARY, b"\x01", False)
    ruled._other_frame(CONTINUATION, b"\x02", True)
    assert ruled.audience.heard == ["\u00e9", b"\x01\x02"]
    assert (ruled._fragments, ruled.last) == (None, None)


def test_a_ping_is_answered_unless_answers_pile_up() -> None:
    ruled = Ruled()
    ruled._other_frame(PING, b"tick", True)
    ruled.read = False
    ruled._other_frame(PING, b"tock", True)
    assert ruled.sent == [pong_frame(b"tick")]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(CONTINUATION, b"4", True)], 1002),
        ([(TEXT, b"4", False), (TEXT, b"4", True)], 1002),
        ([(TEXT, b"4" * 6, False), (CONTINUATION, b"4" * 5, False)], 1009),
        ([(TEXT, b"", False), *[(CONTINUATION, b"", False)] * 3], 1008),
        ([(TEXT, b"\xc3", False), (CONTINUATION, b"", True)], 1007),
    ],
)
def test_what_breaks_them_ends_it_once(frames: list[tuple[int, bytes, bool]], code: int) -> None:
    ruled = Ruled()
    for frame in frames:
        ruled._other_frame(*frame)
    ruled._fail(1011, "again")
    assert ruled.last == ("end", close_frame(code))
    assert ruled.audience.reasons == ["transport error"]
    assert ruled.audience.heard == []


@pytest.mark.parametrize(
    ("payload", "answer", "reason"),
    [
        (b"", CLOSE_FRAME, "transport close"),
        (b"\x03\xe9bye", close_frame(1001), "transport close"),
        (b"\x13\x87", close_frame(4999), "transport close"),
        (b"\x03\xed", close_frame(1002), "transport error"),
        (b"\x00\x01", close_frame(1002), "transport error"),
    ],
)
def test_a_close_frame_is_answered_with_its_code(payload: bytes, answer: bytes, reason: str) -> None:
    ruled = Ruled()
    ruled._other_frame(CLOSE, payload, True)
    assert ruled.last == ("leave", answer)
    assert ruled.audience.lost == [(reason, "closed by the peer")]
