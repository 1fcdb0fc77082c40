"""The carrier on picows: the contract, and what is its own: one write for many messages, limits, control frames."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from picows import WSTransport

from socketeer.engine.carriers import rules
from socketeer.engine.carriers.picows import FLUSHED, Flusher, PicowsCarrier, take_over
from socketeer.options import Backpressure, Limits
from socketeer.protocol.frame import Message, text_frame
from tests.engine.carriers.contract import CASES, run
from tests.engine.carriers.line import Audience, Line, Settings
from tests.engine.carriers.loops import LOOPS
from tests.engine.fakes import settle
from tests.support.peers import WebSocket
from tests.support.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEADLINE,
    PING,
    PONG,
    TEXT,
    ConnectionEnded,
    Frame,
    frame,
)


class Watched(PicowsCarrier):
    """Tells when its connection has gone, and keeps what it wrote to the socket."""

    __slots__ = ("gone", "writes")

    def __init__(self, settings: Settings, flusher: Flusher) -> None:
        super().__init__(settings.max_size, settings.limits, settings.backpressure, flusher)
        self.gone = asyncio.Event()
        self.writes: list[bytes] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        write = self._write

        def watched(data: bytes) -> None:
            self.writes.append(data)
            write(data)

        self._write = watched

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        super().on_ws_disconnected(transport)
        self.gone.set()


class Greeter(asyncio.Protocol):
    """Reads a handshake, as the web server in front does, and hands the connection over."""

    def __init__(self, carrier: Watched, settings: Settings) -> None:
        self.carrier = carrier
        self.settings = settings
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods alone

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"\r\n\r\n"):
            lines = self.received.decode().split("\r\n")
            key = next(line.split(": ")[1] for line in lines if line.lower().startswith("sec-websocket-key"))
            take_over(self.transport, self.carrier, key, [("X-Told", "yes")], self.settings.max_size)


_flushers: dict[asyncio.AbstractEventLoop, Flusher] = {}


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Line]:
    """A client and the carrier that serves it. Carriers of one loop share a flusher, as a server's do."""
    loop = asyncio.get_running_loop()
    carrier = Watched(settings, _flushers.setdefault(loop, Flusher(loop)))
    audience = Audience()
    carrier.receiver = audience
    server = await loop.create_server(lambda: Greeter(carrier, settings), "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        wire, response = await WebSocket.shake(port, receive_buffer=settings.receive_buffer)
        assert (response.status, response.header("x-told")) == (101, "yes")
        try:
            yield Line(wire, carrier, audience, lambda: asyncio.wait_for(carrier.gone.wait(), DEADLINE))
        finally:
            wire.close()
            carrier.abort()
            await asyncio.wait_for(carrier.gone.wait(), DEADLINE)
    finally:
        server.close()
        await asyncio.wait_for(server.wait_closed(), DEADLINE)
        _flushers.pop(loop, None)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, loop: str) -> None:
    run(name, opened, LOOPS[loop])


def written(line: Line) -> list[bytes]:
    assert isinstance(line.carrier, Watched)
    return line.carrier.writes


# --- one write for many ----------------------------------------------------------------------------


async def test_the_answers_to_what_came_together_leave_together() -> None:
    async with opened(Settings()) as line:
        line.audience.answer = lambda packet: line.carrier.send(Message(b"4pong"))
        await line.wire.send(b"".join(frame(b"4%d" % number) for number in range(16)))
        assert [await line.wire.frame() for _ in range(16)] == [Frame(TEXT, b"4pong")] * 16
        assert written(line) == [text_frame(b"4pong") * 16]


async def test_what_is_sent_in_one_turn_leaves_together() -> None:
    async with opened(Settings()) as line:
        for number in range(16):
            line.carrier.send(Message(b"4%d" % number))
        line.carrier.send(Message(b"451-[]", [b"\x01"]))
        assert written(line) == []
        frames = [await line.wire.frame() for _ in range(18)]
        assert frames[-1] == Frame(BINARY, b"\x01")
        assert len(written(line)) == 1
        line.carrier.send(Message(b"4next"))
        await line.wire.frame()
        assert len(written(line)) == 2


async def test_a_broadcast_is_written_to_each_once() -> None:
    async with opened(Settings()) as one, opened(Settings()) as other:
        message = Message(b"4hello")
        for _ in range(2):
            for line in (one, other):
                line.carrier.send(message)
        for line in (one, other):
            assert [await line.wire.frame() for _ in range(2)] == [Frame(TEXT, b"4hello")] * 2
            assert written(line) == [text_frame(b"4hello") * 2]


async def test_a_lone_message_is_written_as_it_was_framed() -> None:
    """Without a copy: the very bytes that a thousand others are sent."""
    async with opened(Settings()) as line:
        message = Message(b"4hello")
        line.carrier.send(message)
        await line.wire.frame()
        assert written(line)[0] is message.frames()


async def test_waiting_sends_at_once() -> None:
    async with opened(Settings()) as line:
        line.carrier.send(Message(b"4hello"))
        await line.carrier.drained()
        assert written(line) == [text_frame(b"4hello")]
        await settle()
        assert written(line) == [text_frame(b"4hello")]


async def test_a_carrier_that_closes_before_the_turn_is_over_is_flushed_once() -> None:
    async with opened(Settings()) as line:
        line.carrier.send(Message(b"4hello"))
        line.carrier.close()
        await settle()
        assert written(line) == [text_frame(b"4hello") + b"\x88\x00"]


# --- the WebSocket protocol ------------------------------------------------------------------------

VIOLATIONS = {
    "RSV1": frame(b"4", rsv=4),
    "RSV2": frame(b"4", rsv=2),
    "RSV3 on a ping": frame(b"", PING, rsv=1),
    "RSV1 on a close": frame(b"\x03\xe8", CLOSE, rsv=4),
    "reserved opcode": frame(b"4", 0x3),
    "no mask": frame(b"4", mask=None),
    "fragmented ping": frame(b"", PING, fin=False),
    "long ping": frame(b"x" * 126, PING),
    "continuation of nothing": frame(b"4", CONTINUATION),
    "text within a message": frame(b"4", fin=False) + frame(b"4"),
    "binary within a message": frame(b"4", fin=False) + frame(b"4", BINARY),
    "half a close code": frame(b"\x03", CLOSE),
    "a code that no peer may send": frame((1005).to_bytes(2), CLOSE),
}


@pytest.mark.parametrize("sent", VIOLATIONS.values(), ids=VIOLATIONS)
@pytest.mark.parametrize("step", [1, 1000], ids=["byte by byte", "whole"])
async def test_violations_end_it_with_1002(sent: bytes, step: int) -> None:
    async with opened(Settings()) as line:
        await line.wire.send(sent, step=step)
        await line.closes(1002)
        await line.audience.loses("transport error")
        assert line.audience.heard == []


@pytest.mark.parametrize("length", [1001, 1 << 40])
async def test_a_length_that_is_only_declared_ends_it_with_1009(length: int) -> None:
    async with opened(Settings(max_size=1000)) as line:
        await line.wire.send(frame(b"", length=length))
        await line.closes(1009)
        await line.audience.loses("transport error")


async def test_the_fragments_of_a_message_are_limited() -> None:
    middle = frame(b"", CONTINUATION, fin=False)
    async with opened(Settings(limits=Limits(max_fragments=4))) as line:
        await line.wire.send(frame(b"4", fin=False) + middle * 2 + frame(b"!", CONTINUATION))
        await line.audience.hears("4!")
        await line.wire.send(frame(b"4", fin=False) + middle * 4)
        await line.closes(1008)
        await line.audience.loses("transport error")
        assert line.audience.heard == ["4!"]


async def test_a_flood_of_pings_is_answered_as_far_as_it_is_read() -> None:
    async with opened(Settings(receive_buffer=4096)) as line:
        line.wire.transport.pause_reading()
        for _ in range(200):
            await line.wire.send(frame(b"x" * 125, PING) * 500)
        await line.wire.send(frame(b"4hello"))
        await line.audience.hears("4hello")
        assert line.carrier.held() < 200_000
        line.wire.transport.resume_reading()
        assert await line.wire.frame() == Frame(PONG, b"x" * 125)


async def test_pongs_are_passed_over() -> None:
    async with opened(Settings()) as line:
        await line.wire.send(frame(b"x", PONG) * 100 + frame(b"4hello"))
        await line.audience.hears("4hello")
        assert written(line) == []


# --- the end ---------------------------------------------------------------------------------------


async def test_a_peer_that_does_not_answer_a_close_frame_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "CLOSE_TIMEOUT", 0.01)
    async with opened(Settings()) as line:
        line.carrier.close()
        assert (await line.wire.frame()).opcode == CLOSE
        with pytest.raises(ConnectionEnded):
            await line.wire.frame()
        await line.gone()
        assert line.audience.lost == []


async def test_a_peer_that_does_not_read_is_told_that_it_is_closed() -> None:
    marks = Backpressure(high_water=10_000, low_water=1000, max_bytes=10_000_000)
    async with opened(Settings(backpressure=marks, receive_buffer=4096)) as line:
        line.wire.transport.pause_reading()
        sent = 0
        while line.carrier.held() < 1_000_000:
            line.carrier.send(Message(b"4" * 50_000))
            sent += 1
            await asyncio.sleep(0)
        line.carrier.close()
        line.wire.transport.resume_reading()
        assert [(await line.wire.frame()).opcode for _ in range(sent)] == [TEXT] * sent
        assert (await line.wire.frame()).opcode == CLOSE


@pytest.mark.parametrize("key", ["", "AAAA", "x" * 24, "*" * 22 + "=="])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    """The web server in front has checked it; nothing is taken over where it has not."""
    loop = asyncio.get_running_loop()
    carrier = Watched(Settings(), Flusher(loop))
    carrier.receiver = audience = Audience()
    server = await loop.create_server(lambda: Greeter(carrier, Settings()), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        wire, response = await WebSocket.shake(port, headers=[("Sec-WebSocket-Key", key)])
        assert response.status == 400
        assert await wire.rest() == b""
        wire.close()
    assert (audience.heard, audience.lost) == ([], [])


def test_a_flusher_wakes_once_for_any_number() -> None:
    calls: list[Callable[[], None]] = []

    class Loop(asyncio.SelectorEventLoop):
        def call_soon(self, callback: Callable[[], None], *args: object) -> None:  # type: ignore[override]
            calls.append(callback)

    with contextlib.closing(Loop()) as loop:
        flusher = Flusher(loop)
        carriers = [PicowsCarrier(1000, Limits(), Backpressure(), flusher) for _ in range(3)]
        sent: list[bytes] = []
        for carrier in carriers:
            carrier._write = sent.append
            carrier.send(Message(b"4hello"))
            carrier.send(Message(b"4hello"))
        assert (len(calls), sent) == (1, [])
        calls.pop()()
        assert sent == [text_frame(b"4hello") * 2] * 3
        carriers[0].send(Message(b"4again"))
        assert len(calls) == 1


async def test_a_broadcast_to_very_many_leaves_turns_to_others() -> None:
    """What they are sent meanwhile stays behind it."""
    loop = asyncio.get_running_loop()
    flusher = Flusher(loop)
    carriers = [PicowsCarrier(1000, Limits(), Backpressure(), flusher) for _ in range(2 * FLUSHED + 1)]
    sent: dict[PicowsCarrier, list[bytes]] = {carrier: [] for carrier in carriers}
    for carrier in carriers:
        carrier._write = sent[carrier].append
        carrier.send(Message(b"4hello"))

    turns = []
    while not all(sent.values()):
        await asyncio.sleep(0)
        turns.append(sum(map(bool, sent.values())))
        carriers[-1].send(Message(b"4%d" % len(turns)))
    assert turns == [FLUSHED, 2 * FLUSHED, 2 * FLUSHED + 1]

    await asyncio.sleep(0)
    assert b"".join(sent[carriers[-1]]) == b"".join(map(text_frame, (b"4hello", b"41", b"42", b"43")))
    assert all(sent[carrier] == [text_frame(b"4hello")] for carrier in carriers[:-1])
