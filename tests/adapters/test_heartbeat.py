"""Nodes that know each other by their heartbeats."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.heartbeat import Heartbeat, HeartbeatAdapter
from socketeer.adapters.messages import EMITTER, Kind, Message
from socketeer.errors import OptionError
from socketeer.server.adapter import AdapterHost
from socketeer.server.server import BaseServer
from tests.adapters.bus import Exchange, LoopBus

QUICK = Heartbeat(interval=0.05, timeout=0.2)


def node(exchange: Exchange) -> BaseServer:
    bus = LoopBus(exchange)

    def adapter(nsp: AdapterHost) -> HeartbeatAdapter:
        return HeartbeatAdapter(nsp, ChannelWire(bus, nsp.name, "socket.io"), 5.0, QUICK)

    io = BaseServer(adapter=adapter)
    io.start()
    return io


async def until_count(io: BaseServer, count: int) -> None:
    async with asyncio.timeout(10):
        while await io.adapter.server_count() != count:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.01)


async def test_a_node_that_falls_silent_is_dropped_and_nobody_waits_for_it() -> None:
    exchange = Exchange()
    first, second = node(exchange), node(exchange)
    await until_count(first, 2)
    silent: Any = second.adapter
    asking = asyncio.ensure_future(first.server_side_emit_with_ack("name?", timeout=10))
    silent.nsp.wheel.clear(silent._beat)
    await until_count(first, 1)
    assert await asking == []
    for io in (first, second):
        await io.close()


async def test_emitters_are_no_nodes_and_who_leaves_says_so() -> None:
    io = node(Exchange())
    adapter: Any = io.adapter
    adapter.hear(Message(Kind.HEARTBEAT, "/", EMITTER))
    assert await adapter.server_count() == 1
    adapter.hear(Message(Kind.HEARTBEAT, "/", "other"))
    assert (await adapter.server_count(), await adapter.others()) == (2, ("other",))
    adapter.hear(Message(Kind.ADAPTER_CLOSE, "/", "other"))
    assert await adapter.server_count() == 1
    await io.close()


@pytest.mark.parametrize("options", [{"interval": 0}, {"timeout": 5}, {"interval": 10}])
def test_times_that_cannot_work(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="heartbeat"):
        Heartbeat(**options)
