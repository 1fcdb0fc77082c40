"""Nodes that know each other by their heartbeats: who is counted, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.codec import encode
from socketeer.adapters.heartbeat import Heartbeat, HeartbeatAdapter
from socketeer.adapters.messages import EMITTER, Kind, Message
from socketeer.engine.timers import TimerWheel
from socketeer.errors import OptionError
from socketeer.server.adapter import AdapterHost
from socketeer.server.server import BaseServer
from tests.adapters.bus import Exchange, LoopBus
from tests.engine.fakes import settle
from tests.support.clock import FakeClock

CHANNEL = "socket.io#/#"


class Cluster:
    """Real servers whose time the test moves, and what has passed between them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.exchange = Exchange()
        self.bus = LoopBus(self.exchange)
        self.servers: list[BaseServer] = []

    async def node(self, heartbeat: Heartbeat | None = None) -> HeartbeatAdapter:
        def adapter(nsp: AdapterHost) -> HeartbeatAdapter:
            return HeartbeatAdapter(
                nsp, ChannelWire(LoopBus(self.exchange), nsp.name, "socket.io"), 5.0, heartbeat
            )

        io = BaseServer(adapter=adapter)
        io.engine._wheel, io.engine._wheel_loop = TimerWheel(self.clock), asyncio.get_running_loop()
        io.start()
        self.servers.append(io)
        await settle()
        made = io.adapter
        assert isinstance(made, HeartbeatAdapter)
        return made

    async def pass_time(self, seconds: float) -> None:
        """In steps, so that what is sent in between arrives in between."""
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            await settle()

    async def forge(self, kind: Kind, uid: str) -> None:
        self.bus.publish(CHANNEL, encode(Message(kind, "/", uid).plain()))
        await settle()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    yield cluster
    for io in cluster.servers:
        await io.close()


async def test_nodes_know_each_other_from_the_first_message(cluster: Cluster) -> None:
    a = await cluster.node()
    assert (await a.server_count(), await a.others()) == (1, ())
    b, c = await cluster.node(), await cluster.node()
    for node in (a, b, c):
        assert await node.server_count() == 3
    assert set(await a.others()) == {b.uid, c.uid}  # type: ignore[arg-type]


async def test_who_beats_stays_known(cluster: Cluster) -> None:
    a, b = await cluster.node(), await cluster.node()
    await cluster.pass_time(60)
    assert await a.others() == (b.uid,)
    assert await b.others() == (a.uid,)


async def test_who_is_silent_is_dropped(cluster: Cluster) -> None:
    a = await cluster.node(Heartbeat(interval=2, timeout=6))
    await cluster.forge(Kind.HEARTBEAT, "other")
    await cluster.pass_time(5.5)
    assert await a.others() == ("other",)
    await cluster.pass_time(2)
    assert await a.others() == ()


async def test_any_message_is_a_sign_of_life(cluster: Cluster) -> None:
    a = await cluster.node()
    await cluster.forge(Kind.HEARTBEAT, "other")
    for _ in range(3):
        await cluster.pass_time(8)
        cluster.bus.publish(CHANNEL, b'{"type":9,"uid":"other","nsp":"/","data":{"packet":["still here"]}}')
        await settle()
    assert await a.others() == ("other",)


async def test_who_leaves_says_so(cluster: Cluster) -> None:
    a, b = await cluster.node(), await cluster.node()
    assert await a.others() == (b.uid,)
    await cluster.servers[1].close()
    await settle()
    assert await a.others() == ()


@pytest.mark.parametrize("kind", [Kind.INITIAL_HEARTBEAT, Kind.HEARTBEAT, Kind.ADAPTER_CLOSE])
async def test_an_emitter_is_never_counted(cluster: Cluster, kind: Kind) -> None:
    a = await cluster.node()
    await cluster.forge(kind, EMITTER)
    assert await a.server_count() == 1


async def test_nobody_waits_for_a_node_that_falls_silent_meanwhile(cluster: Cluster) -> None:
    a = await cluster.node(Heartbeat(interval=0.5, timeout=1))
    await cluster.forge(Kind.HEARTBEAT, "mute")
    asking: asyncio.Task[Any] = asyncio.create_task(a.server_side_emit_with_ack(["question"], None))
    await settle()
    assert not asking.done()
    await cluster.pass_time(3)  # less than the 5 seconds after which it would be late
    assert await asking == []


async def test_a_node_that_has_closed_asks_the_clock_for_nothing(cluster: Cluster) -> None:
    a = await cluster.node()
    await cluster.servers[0].close()
    await settle()
    beats: list[bytes] = []
    cluster.bus.subscribe(CHANNEL, beats.append)
    await cluster.pass_time(30)
    assert beats == []
    assert await a.server_count() == 1


@pytest.mark.parametrize("options", [{"interval": 0}, {"timeout": -1}, {"interval": 5, "timeout": 5}])
def test_options_that_cannot_work_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="heartbeat"):
        Heartbeat(**options)
