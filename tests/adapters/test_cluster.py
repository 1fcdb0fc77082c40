"""The cluster layer by the contract of adapters, over a bus in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.cluster import ClusterAdapter
from socketeer.adapters.heartbeat import HeartbeatAdapter
from socketeer.engine.timers import RESOLUTION
from socketeer.errors import AckTimeout, BrokerUnavailable, MessageTooLarge
from socketeer.server.adapter import AdapterHost
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from socketeer.testing.stage import Stage
from tests.adapters.bus import Exchange, LoopBus


def nodes(kind: type[ClusterAdapter], count: int, exchange: Exchange, **options: Any) -> list[BaseServer]:
    def node() -> BaseServer:
        bus = LoopBus(exchange)

        def adapter(nsp: AdapterHost) -> ClusterAdapter:
            return kind(nsp, ChannelWire(bus, nsp.name, "socket.io"), 5.0)

        return BaseServer(adapter=adapter, **options)

    return [node() for _ in range(count)]


class TestByNumber(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(ClusterAdapter, count, Exchange(), **options)


class TestByHeartbeat(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(HeartbeatAdapter, count, Exchange(), **options)


class TestTwo(TestByHeartbeat):
    nodes = 2


@pytest.fixture
async def exchange() -> Exchange:
    return Exchange()


async def test_a_message_that_is_too_large_is_refused_and_nobody_gets_it(exchange: Exchange) -> None:
    (io,) = nodes(ClusterAdapter, 1, exchange)
    io.start()
    with pytest.raises(MessageTooLarge, match="max_message_size"):
        io.emit("news", "x" * 1_000_001)
    io.local.emit("news", "x" * 1_000_001)
    await io.close()


async def test_a_node_that_is_silent_makes_a_partial_answer(exchange: Exchange) -> None:
    first, second = nodes(ClusterAdapter, 2, exchange)
    for io in (first, second):
        io.start()
    second.adapter.wire._hear = lambda message: None  # type: ignore[attr-defined]
    with pytest.raises(AckTimeout) as late:
        await first.timeout(0.05).fetch_sockets()
    assert late.value.responses == []
    for io in (first, second):
        await io.close()


class VagueBus(LoopBus):
    """Cannot say how many there are: at once, or because no answer comes."""

    silent = False

    async def subscribers(self, channel: str) -> int:
        if self.silent:
            await asyncio.Event().wait()
        raise BrokerUnavailable(f"{channel}: away")


@pytest.mark.parametrize("silent", [False, True])
async def test_where_nobody_knows_who_is_to_answer_what_came_until_the_time_out_is_the_answer(
    exchange: Exchange, silent: bool
) -> None:
    first, second = nodes(ClusterAdapter, 2, exchange)
    for io in (first, second):
        io.start()
    adapter: Any = first.adapter
    clear, vague = adapter.wire.bus, VagueBus(exchange)
    vague.silent = silent
    adapter.wire.bus = vague
    second.on("question", lambda: 1)
    stage = Stage([first, second], 5.0)
    near, far = stage.enter(0), stage.enter(1)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    asking = asyncio.ensure_future(first.timeout(0.3).emit_with_ack("hello"))
    await stage.until(lambda: near.answer("near"), "the client here is asked, broker or not")
    if not silent:
        await stage.until(lambda: far.answer("far"), "the client there is asked")
    with pytest.raises(AckTimeout) as late:
        await asking
    assert late.value.responses == (["near"] if silent else ["near", "far"])
    with pytest.raises(AckTimeout) as late:
        await first.timeout(0.3).fetch_sockets()
    assert near.id in {each.id for each in late.value.responses}
    with pytest.raises(AckTimeout) as late:
        await first.server_side_emit_with_ack("question", timeout=0.3)
    assert late.value.responses in ([], [1])
    assert loop.time() - begun >= 0.9 - 3 * RESOLUTION
    assert adapter._inquiries == {}
    adapter.wire.bus = clear
    for io in (first, second):
        await io.close()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"\xc1",
        b"\x81\xa4type",
        b'{"type":3,"uid":"x","nsp":"/"}',
        b'{"type":3,"uid":"x","nsp":"/","data":{"packet":{"type":2,"data":[]},"opts":{"rooms":[],"except":[],"flags":{}}}}',
        b'{"type":3,"uid":"x","nsp":"/","data":{"packet":{"type":2,"data":["connect"]},"opts":{"rooms":[]}}}',
        b'{"type":3,"uid":"x","nsp":"/","data":{"packet":{"type":2,"data":["a"]},"opts":{"rooms":[{}]}}}',
        b'{"type":99,"uid":"x","nsp":"/"}',
        b'{"type":1,"uid":"","nsp":"/"}',
        b'{"type":1,"uid":5,"nsp":"/"}',
        b'{"type":11,"uid":"x","nsp":"/","data":{"requestId":"r","clientCount":-1}}',
        b'{"type":11,"uid":"x","nsp":"/","data":{"requestId":"r","clientCount":1e99}}',
        b'{"type":8,"uid":"x","nsp":"/","data":{"requestId":"r","sockets":[1]}}',
        b"\x80" * 3,
        b"[" * 10_000,
        b"{" * 10_000,
        b"\x81\xa1a" * 10_000,
    ],
)
async def test_what_is_no_message_is_counted_and_dropped(
    exchange: Exchange, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (io,) = nodes(HeartbeatAdapter, 1, exchange)
    io.start()
    adapter: Any = io.adapter
    for _ in range(11):
        adapter.wire.bus.publish("socket.io#/#", payload)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert adapter.health.rejected == 11
    assert len(caplog.records) == 2
    assert all("\n" not in record.getMessage() for record in caplog.records)
    await io.close()
