"""The native lane: the contract, and what is its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import pytest

from socketeer.engine.carriers.lane import BUILT
from tests.engine.carriers.contract import CASES, run
from tests.engine.carriers.line import Audience, Line, Settings
from tests.engine.carriers.loops import LOOPS
from tests.support.peers import WebSocket
from tests.support.raw import BINARY, CLOSE, CONTINUATION, DEADLINE, PING, frame

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

    def __init__(self, carrier: Watched) -> None:
        self.carrier = carrier
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, early = self.received.partition(b"\r\n\r\n")
        if end:
            lines = head.decode().split("\r\n")
            key = next(line.split(": ")[1] for line in lines if line.lower().startswith("sec-websocket-key"))
            take_over(self.transport, self.carrier, key, [("X-Told", "yes")], early)


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Line]:
    """A client and the carrier that serves it. Carriers of one loop share a lane, as a server's do."""
    carrier = Watched(settings)
    carrier.receiver = audience = Audience()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Greeter(carrier), "127.0.0.1", 0)
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
