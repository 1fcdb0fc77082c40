"""The native lane: the contract, and what is its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import itertools
import random
import weakref
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import pytest

from socketeer.engine.carriers import rules
from socketeer.engine.carriers.lane import BUILT
from socketeer.protocol.frame import Message
from tests.engine.carriers.contract import CASES, run
from tests.engine.carriers.line import Audience, Line, Packet, Settings
from tests.engine.carriers.loops import LOOPS
from tests.engine.carriers.test_picows import opened as opened_by_picows
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

if BUILT or TYPE_CHECKING:
    from socketeer.engine.carriers.lane.carrier import LaneCarrier, lane_of, take_over
else:
    pytest.skip("the native lane is not built here", allow_module_level=True)


class Watched(LaneCarrier):
    """Tells when its connection has gone."""

    __slots__ = ("gone",)

    def __init__(self, settings: Settings) -> None:
        lane = lane_of(asyncio.get_running_loop())
        super().__init__(lane, settings.max_size, settings.limits, settings.backpressure)
        self.gone = asyncio.Event()

    def _gone(self) -> None:
        self.gone.set()


class Greeter(asyncio.Protocol):
    """Reads a handshake, as the web server in front does, and hands the connection over."""

    def __init__(self, carrier: Watched, early: bytes) -> None:
        self.carrier = carrier
        self.early = early
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, _ = self.received.partition(b"\r\n\r\n")
        if end:
            lines = head.decode().split("\r\n")
            key = next(line.split(": ")[1] for line in lines if line.lower().startswith("sec-websocket-key"))
            take_over(self.transport, self.carrier, key, [("X-Told", "yes")], self.early)


@contextlib.asynccontextmanager
async def opened(settings: Settings, early: bytes = b"") -> AsyncIterator[Line]:
    """A client and the carrier that serves it. Carriers of one loop share a lane, as a server's do."""
    carrier = Watched(settings)
    carrier.receiver = audience = Audience()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Greeter(carrier, early), "127.0.0.1", 0)
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


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, loop: str) -> None:
    run(name, opened, LOOPS[loop])


def random_stream(chance: random.Random) -> tuple[bytes, list[Packet], bool]:
    """Frames of a client, their messages, and whether it keeps to the rules until the end."""
    stream, messages = b"", list[Packet]()
    for _ in range(chance.randrange(1, 12)):
        size = chance.choice((0, 1, 5, 125, 126, 400, 70_000))
        if chance.random() < 0.5:
            kind, payload = TEXT, "".join(chance.choices("4x\u00e9\u20ac\U0001f600", k=size // 4)).encode()
        else:
            kind, payload = BINARY, chance.randbytes(size)
        messages.append(payload.decode() if kind == TEXT else payload)
        while chance.random() < 0.3:
            cut = chance.randrange(len(payload) + 1)
            stream += frame(payload[:cut], kind, fin=False, mask=chance.randbytes(4))
            stream += frame(chance.randbytes(chance.randrange(126)), chance.choice((PING, PONG)))
            kind, payload = CONTINUATION, payload[cut:]
        stream += frame(payload, kind, mask=chance.randbytes(4))
    wrong = chance.choice((b"", frame(b"4", rsv=2), frame(b"4\xff"), frame(b"", length=1 << 40)))
    return stream + wrong, messages, not wrong


async def test_random_frames_in_random_pieces_are_what_picows_makes_of_them() -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    for _ in range(25):
        stream, messages, good = random_stream(chance)
        pieces = sorted(
            {0, len(stream), *(chance.randrange(len(stream)) for _ in range(chance.randrange(30)))}
        )
        outcomes = []
        for opener in (opened, opened_by_picows):
            async with opener(Settings(max_size=100_000)) as line:
                for start, end in itertools.pairwise(pieces):
                    await line.wire.send(stream[start:end])
                if not line.wire.ended:
                    await line.wire.send(frame(b"", CLOSE))
                await line.wire.rest()
                await line.audience.loses("transport close", "transport error")
                outcomes.append((line.audience.heard, line.audience.reasons))
        reasons = ["transport close" if good else "transport error"]
        assert outcomes[0] == (messages, reasons), f"seed {seed}"
        # picows passes over what it has read together with a frame that breaks a rule.
        heard, told = outcomes[1]
        assert (heard if good else messages[: len(heard)], told) == (messages if good else heard, reasons)


async def test_what_has_come_before_is_handed_over() -> None:
    async with opened(Settings(), early=frame(b"4first") + frame(b"4second")[:5]) as line:
        await line.audience.hears("4first")
        await line.wire.send(frame(b"4second")[5:])
        await line.audience.hears("4first", "4second")
        await line.echo()


async def test_a_lane_ends_with_its_last_connection() -> None:
    loop = asyncio.get_running_loop()
    async with opened(Settings()) as one:
        lane = lane_of(loop)
        async with opened(Settings()) as other:
            assert lane_of(loop) is lane
            assert len(lane) == 2
            await other.echo()
        await one.echo()
        assert len(lane) == 1
    assert len(lane) == 0
    gone = weakref.ref(lane)
    del lane, one, other
    gc.collect()
    assert gone() is None


async def test_one_call_sends_what_belongs_together() -> None:
    async with opened(Settings()) as line:
        lane = lane_of(asyncio.get_running_loop())
        line.audience.answer = lambda packet: line.carrier.send(Message(b"4pong"))
        before = lane.sends
        await line.wire.send(b"".join(frame(b"4%d" % number) for number in range(16)))
        assert [await line.wire.frame() for _ in range(16)] == [Frame(TEXT, b"4pong")] * 16
        assert lane.sends == before + 1
        for number in range(100):
            line.carrier.send(Message(b"4" * number))
        assert [len((await line.wire.frame()).payload) for _ in range(100)] == list(range(100))
        assert lane.sends == before + 2


async def test_a_handler_may_end_any_connection_of_its_batch() -> None:
    async with contextlib.AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(opened(Settings())) for _ in range(8)]

        def end_all(packet: Packet) -> None:
            for number, line in enumerate(lines):
                (line.carrier.abort, line.carrier.close)[number % 2]()

        for line in lines:
            line.audience.answer = end_all
            line.wire.transport.write(frame(b"4first") + frame(b"4second"))
        for line in lines:
            await line.wire.rest() if lines.index(line) % 2 == 0 else await line.wire.frame()
        assert sum(len(line.audience.heard) for line in lines) == 1
        assert [line.audience.lost for line in lines] == [[]] * 8


async def test_variables_of_one_connection_are_not_anothers() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")
    async with opened(Settings()) as one, opened(Settings()) as other:
        seen: list[str] = []

        def answer(packet: Packet) -> None:
            seen.append(user.get())
            if packet == "4ann":
                user.set("ann")

        one.audience.answer = other.audience.answer = answer
        for line, text in ((one, "4ann"), (other, "4who"), (one, "4ann"), (other, "4who")):
            await line.echo(text)
        assert seen == ["nobody", "nobody", "ann", "nobody"]


async def test_a_broadcast_to_more_than_a_turn_sends_reaches_everybody() -> None:
    async with contextlib.AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(opened(Settings())) for _ in range(40)]
        lines[3].wire.reset()
        message = Message(b"4hello")
        for _ in range(20):
            for line in lines:
                line.carrier.send(message)
        for number, line in enumerate(lines):
            if number != 3:
                assert [await line.wire.frame() for _ in range(20)] == [Frame(TEXT, b"4hello")] * 20
        await lines[3].audience.loses("transport close")


VIOLATIONS = {
    "RSV1": frame(b"4", rsv=4),
    "RSV3 on a ping": frame(b"", PING, rsv=1),
    "reserved opcode": frame(b"4", 0x3),
    "no mask": frame(b"4", mask=None),
    "fragmented ping": frame(b"", PING, fin=False),
    "long ping": frame(b"x" * 126, PING),
    "continuation of nothing": frame(b"4", CONTINUATION),
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


@pytest.mark.parametrize("length", [1001, 1 << 40, 1 << 63])
async def test_a_length_that_is_only_declared_ends_it_with_1009(length: int) -> None:
    async with opened(Settings(max_size=1000)) as line:
        await line.wire.send(frame(b"", length=length))
        await line.closes(1009)
        await line.audience.loses("transport error")


@pytest.mark.parametrize("key", ["", "AAAA", "x" * 24, "*" * 22 + "=="])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    carrier = Watched(Settings())
    carrier.receiver = audience = Audience()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Greeter(carrier, b""), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        wire, response = await WebSocket.shake(port, headers=[("Sec-WebSocket-Key", key)])
        assert response.status == 400
        assert await wire.rest() == b""
        wire.close()
    assert carrier.gone.is_set()
    assert (audience.heard, audience.lost) == ([], [])


async def test_a_peer_that_does_not_answer_a_close_frame_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "CLOSE_TIMEOUT", 0.01)
    async with opened(Settings()) as line:
        line.carrier.close()
        assert (await line.wire.frame()).opcode == CLOSE
        with pytest.raises(ConnectionEnded):
            await line.wire.frame()
        await line.gone()
        assert line.audience.lost == []


async def test_what_is_queued_still_goes_to_a_peer_that_has_sent_its_last() -> None:
    async with opened(Settings(receive_buffer=4096)) as line:
        line.wire.transport.pause_reading()
        line.audience.answer = lambda packet: line.carrier.send(Message(b"4" * 4_000_000))
        await line.wire.send(frame(b"4all of it"))
        await line.audience.hears("4all of it")
        line.wire.finish()
        await line.audience.loses("transport close")
        line.wire.transport.resume_reading()
        assert (await line.wire.frame()).payload == b"4" * 4_000_000
        assert await line.wire.rest() == b""
        await line.gone()


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


async def test_a_connection_that_is_open_is_not_opened_again() -> None:
    async with opened(Settings()) as line:
        assert isinstance(line.carrier, Watched)
        with pytest.raises(RuntimeError, match="opened once"):
            line.carrier.open(0, b"", b"")
        await line.echo()
