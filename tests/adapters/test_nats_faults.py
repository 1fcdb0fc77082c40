"""What may go wrong with NATS, done to a real one: delivery on a node goes on, and nobody stays deaf."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from socketeer.adapters import JetStream, NatsAdapter
from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.codec import encode
from socketeer.adapters.health import Health
from socketeer.adapters.heartbeat import Heartbeat
from socketeer.adapters.nats_bus import NatsBus, token
from socketeer.errors import BrokerUnavailable
from socketeer.server.server import BaseServer
from socketeer.testing.stage import Actor, Stage
from tests.adapters.nats_streams import until
from tests.adapters.redis_nodes import prefix
from tests.support import requirements
from tests.support.certificates import Certificates
from tests.support.nats_server import NatsServer
from tests.support.proxy import Proxy
from tests.support.repository import ROOT

QUICK = LinkOptions(reconnection_delay=0.02, reconnection_delay_max=0.1)
PINGING = LinkOptions(
    reconnection_delay=0.02,
    reconnection_delay_max=0.1,
    ping_interval=0.2,
    ping_timeout=0.5,
    connect_timeout=0.5,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path)
    yield made
    made.stop()


def health(io: BaseServer) -> Health:
    found = io.adapter.health  # type: ignore[attr-defined]
    assert isinstance(found, Health)
    return found


#: On core NATS, and with JetStream.
KINDS = pytest.mark.parametrize("kept", [False, JetStream(max_bytes=2**26)], ids=["core", "jetstream"])


@asynccontextmanager
async def cluster(*urls: str, link: LinkOptions = QUICK, **options: Any) -> AsyncIterator[Stage]:
    """A node with one client for each URL, all of one cluster; the brokers need not be there yet."""
    start, recovers = prefix(), bool(options.get("jetstream"))
    stage = Stage(
        [
            BaseServer(
                adapter=NatsAdapter(url, start, link=link, **options), connection_state_recovery=recovers
            )
            for url in urls
        ],
        30.0,
    )
    for node, io in enumerate(stage.servers):
        io.start()
        stage.enter(node)
    try:
        yield stage
    finally:
        for io in stage.servers:
            await io.close()


async def whole(stage: Stage) -> None:
    """Wait until each node hears every other, and has nothing left to hear."""
    await until(lambda: all(health(io).ok for io in stage.servers))

    async def known() -> bool:
        return {await io.adapter.server_count() for io in stage.servers} == {len(stage.servers)}

    await stage.until(known, "all nodes know each other")
    await stage.heard()


async def heard_here(stage: Stage, node: int) -> list[Any]:
    """What the node's client has got, without asking the other nodes."""
    stage.actors[node].listen()
    events, stage.actors[node].events = stage.actors[node].events, []
    return events


@KINDS
async def test_a_server_that_is_killed_and_comes_back(
    server: NatsServer, caplog: pytest.LogCaptureFixture, kept: Any
) -> None:
    caplog.set_level(logging.WARNING, "socketeer")
    server.start()
    async with cluster(server.url, server.url, jetstream=kept) as stage:
        await whole(stage)
        first = stage.servers[0]
        for round_ in range(2):
            caplog.clear()
            server.stop()
            await until(lambda: not any(health(io).ok for io in stage.servers))
            assert health(first).reason
            with pytest.raises(BrokerUnavailable, match="NATS at 127"):
                await first.adapter.ready()  # type: ignore[attr-defined]
            first.emit("news", round_)
            assert await heard_here(stage, 0) == [["news", round_]]
            server.start()
            await until(lambda: all(health(io).ok for io in stage.servers))
            await whole(stage)
            said = [record.getMessage() for record in caplog.records if record.name == "socketeer"]
            assert any("delivery on this node goes on" in each for each in said)
            assert sum("is back" in each for each in said) == 2
            assert health(first).reconnections == round_ + 1
            assert health(first).reason is None
        first.emit("news", 2)
        assert await stage.heard() == [[["news", 2]]] * 2


async def test_a_server_that_comes_late(server: NatsServer) -> None:
    async with cluster(server.url, server.url) as stage:
        await until(lambda: health(stage.servers[0]).reason)
        stage.servers[0].emit("news", 1)
        assert await heard_here(stage, 0) == [["news", 1]]
        server.start()
        await whole(stage)


async def test_a_question_while_the_server_is_away_has_the_answers_of_this_node(server: NatsServer) -> None:
    server.start()
    async with cluster(server.url, server.url) as stage:
        await whole(stage)
        server.stop()
        await until(lambda: not health(stage.servers[0]).ok)
        asking = asyncio.ensure_future(stage.servers[0].timeout(0.3).emit_with_ack("q"))
        await stage.answers(stage.actors[0])
        with pytest.raises(TimeoutError) as late:
            await asking
        assert late.value.responses == [0]  # type: ignore[attr-defined]


@KINDS
async def test_a_connection_that_is_half_open(
    server: NatsServer, caplog: pytest.LogCaptureFixture, kept: Any
) -> None:
    caplog.set_level(logging.WARNING, "socketeer")
    server.start()
    async with (
        Proxy.before(server.url) as proxy,
        cluster(server.url, f"nats://127.0.0.1:{proxy.port}", link=PINGING, jetstream=kept) as stage,
    ):
        await whole(stage)
        behind = stage.servers[1]
        proxy.stall()
        await until(lambda: not health(behind).ok)
        assert health(behind).reason == "no answer in time"
        assert "no answer in time; delivery on this node goes on" in caplog.text
        behind.emit("news", 1)
        assert await heard_here(stage, 1) == [["news", 1]]
        assert health(stage.servers[0]).ok
        proxy.flow()
        await whole(stage)
        stage.servers[0].emit("news", 2)
        assert (await stage.heard())[1] == [["news", 2]]


@KINDS
async def test_a_server_that_is_paused(server: NatsServer, kept: Any) -> None:
    server.start()
    async with cluster(server.url, server.url, link=PINGING, jetstream=kept) as stage:
        await whole(stage)
        server.pause()
        await until(lambda: not any(health(io).ok for io in stage.servers))
        stage.servers[0].emit("news", 1)
        assert await heard_here(stage, 0) == [["news", 1]]
        server.go_on()
        await whole(stage)


async def client_that_knows_an_offset(stage: Stage, node: int) -> Actor:
    actor = stage.enter(node)
    stage.servers[node].to(actor.id).emit("first")
    assert await stage.heard(actor) == [[["first"]]]
    assert actor.offset is not None
    return actor


async def back(stage: Stage, actor: Actor, node: int) -> Actor:
    return await stage.reenter(node, auth={"pid": actor.pid, "offset": actor.offset})


async def recovered_in_the_end(stage: Stage, actor: Actor, node: int) -> Actor:
    """Once more, where its session may not have got there yet."""
    async with asyncio.timeout(30):
        while not (found := await back(stage, actor, node)).socket.recovered:
            found.client.vanish()
    return found


async def test_sessions_and_broadcasts_outlive_the_server(server: NatsServer) -> None:
    """It is killed and started again; what is in a file is there again."""
    server.start()
    async with cluster(server.url, server.url, jetstream=JetStream(max_bytes=2**26)) as stage:
        await whole(stage)
        actor = await client_that_knows_an_offset(stage, 0)
        actor.client.vanish()
        stage.servers[1].emit("missed", 1, b"\x01")
        await stage.heard()
        server.stop()
        await until(lambda: not any(health(io).ok for io in stage.servers))
        again = await back(stage, actor, 1)
        assert not again.socket.recovered, "nobody can be asked"
        again.client.vanish()
        server.start()
        await whole(stage)
        stage.servers[0].emit("missed", 2)
        recovered = await recovered_in_the_end(stage, actor, 1)
        assert recovered.id == actor.id
        assert await stage.heard(recovered) == [[["missed", 1, b"\x01"], ["missed", 2]]]


async def test_what_is_gone_with_the_server_is_not_recovered(server: NatsServer) -> None:
    """The new stream counts from 1 again: an offset of the old one means nothing there."""
    server.start()
    memory = JetStream(storage="memory", max_bytes=2**26)
    async with cluster(server.url, server.url, jetstream=memory) as stage:
        await whole(stage)
        actor = await client_that_knows_an_offset(stage, 0)
        actor.client.vanish()
        stage.servers[1].emit("missed", 1)
        await stage.heard()
        server.stop()
        await until(lambda: not any(health(io).ok for io in stage.servers))
        server.start()
        await whole(stage)
        for number in range(10):
            stage.servers[0].emit("later", number)
        await stage.heard()
        again = await back(stage, actor, 1)
        assert not again.socket.recovered
        assert again.id != actor.id
        other = await client_that_knows_an_offset(stage, 1)
        other.client.vanish()
        await recovered_in_the_end(stage, other, 0)


async def test_a_node_that_was_cut_off_has_its_clients_miss_nothing(server: NatsServer) -> None:
    server.start()
    async with (
        Proxy.before(server.url) as proxy,
        cluster(server.url, f"nats://127.0.0.1:{proxy.port}", jetstream=JetStream(max_bytes=2**26)) as stage,
    ):
        await whole(stage)
        await proxy.refuse()
        await until(lambda: not health(stage.servers[1]).ok)
        for number in range(500):
            stage.servers[0].emit("news", number)
        await proxy.allow()
        for number in range(500, 600):
            stage.servers[0].emit("news", number)
            await asyncio.sleep(0)
        for events in await stage.heard():
            assert events == [["news", number] for number in range(600)]


async def test_a_slow_consumer_is_cut_off_and_comes_back(server: NatsServer) -> None:
    server.configure('max_pending: 1MB\nwrite_deadline: "1s"')
    server.start()
    bus, patient = NatsBus(server.url, link=QUICK), LinkOptions(ping_timeout=60, reconnection_delay=0.02)
    bus.start()
    await until(lambda: bus.health.ok)
    async with Proxy.before(server.url) as proxy:
        heard: list[int] = []
        slow = NatsBus(f"nats://127.0.0.1:{proxy.port}", link=patient)
        slow.subscribe("channel", lambda payload: heard.append(len(payload)))
        slow.start()
        await until(lambda: slow.health.ok)
        proxy.stall()
        for _ in range(60):
            await bus.publish("channel", bytes(500_000))
        assert len(heard) < 60
        proxy.flow()
        await until(lambda: slow.health.reconnections == 1)
        assert len(heard) < 60, "the server has dropped the rest"
        await slow.settled()
        await bus.publish("channel", b"!")
        await until(lambda: heard[-1:] == [1])
        assert bus.health.reconnections == 0
        await slow.close()
    await bus.close()


async def test_what_is_not_allowed_is_said(server: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    rules = 'permissions: { publish: "socket.io.>", subscribe: "socket.io.>" }'
    server.configure(f'authorization {{ users = [ {{ user: u, password: "p", {rules} }} ] }}')
    server.start()
    settings = {"user": "u", "password": "p"}
    good = BaseServer(adapter=NatsAdapter(server.url, link=QUICK, connect=settings))
    bad = BaseServer(adapter=NatsAdapter(server.url, "elsewhere", link=QUICK, connect=settings))
    out = BaseServer(adapter=NatsAdapter(server.url, link=QUICK, connect={**settings, "password": "x"}))
    for io in (good, bad, out):
        io.start()
    await until(lambda: health(good).ok)
    await until(lambda: "permissions violation" in (health(bad).reason or ""))
    await until(lambda: "uthorization" in (health(out).reason or ""))
    assert "permissions violation" in caplog.text
    for io in (good, bad, out):
        await io.close()


class Node:
    """A node in a process of its own."""

    def __init__(self, url: str, start: str, heartbeat: Heartbeat) -> None:
        arguments = [url, start, str(heartbeat.interval), str(heartbeat.timeout)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.adapters.nats_node", *arguments], cwd=ROOT, stdout=subprocess.PIPE
        )

    async def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found = json.loads(await asyncio.to_thread(self.process.stdout.readline))
        assert isinstance(found, dict)
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


async def test_a_node_that_is_paused_and_goes_on() -> None:
    url, start, heartbeat = requirements.nats(), prefix(), Heartbeat(0.2, 1.5)
    node = Node(url, start, heartbeat)
    io = BaseServer(adapter=NatsAdapter(url, start, heartbeat=heartbeat))
    stage = Stage([io], 30.0)
    try:
        io.start()
        theirs = (await node.read())["id"]
        stage.enter(0)

        async def count(expected: int) -> None:
            async def reached() -> bool:
                return await io.adapter.server_count() == expected

            await stage.until(reached, f"{expected} nodes are known")

        await count(2)
        os.kill(node.process.pid, signal.SIGSTOP)
        asking = asyncio.ensure_future(
            io.fetch_sockets()
        )  # it is waited for, until it is silent for too long
        await count(1)
        assert {each.id for each in await asking} == {stage.actors[0].id}
        begun = time.monotonic()
        answers = asyncio.ensure_future(io.timeout(20).emit_with_ack("q"))
        await stage.answers(stage.actors[0])
        assert await answers == [0]
        assert time.monotonic() - begun < 10, "nobody waits for it any more"
        io.emit("news", 1)
        assert await heard_here(stage, 0) == [["news", 1]]
        os.kill(node.process.pid, signal.SIGCONT)
        assert await node.read() == {"event": ["news", 1]}
        await count(2)
        io.to(theirs).emit("news", 2)
        assert await node.read() == {"event": ["news", 2]}
        assert {each.id for each in await io.fetch_sockets()} == {stage.actors[0].id, theirs}
    finally:
        node.end()
        await io.close()


async def test_a_node_that_is_killed_while_it_is_asked() -> None:
    url, start, heartbeat = requirements.nats(), prefix(), Heartbeat(0.2, 1.5)
    node = Node(url, start, heartbeat)
    io = BaseServer(adapter=NatsAdapter(url, start, heartbeat=heartbeat))
    stage = Stage([io], 30.0)
    try:
        io.start()
        await node.read()
        stage.enter(0)

        async def known() -> bool:
            return await io.adapter.server_count() == 2

        await stage.until(known, "the node is known")
        os.kill(node.process.pid, signal.SIGSTOP)
        asking = asyncio.ensure_future(io.timeout(25).emit_with_ack("q"))
        os.kill(node.process.pid, signal.SIGKILL)
        await stage.answers(stage.actors[0])
        assert await asking == [0]
    finally:
        node.end()
        await io.close()


async def test_forged_messages_are_counted_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    url = requirements.nats()
    async with cluster(url, url) as stage:
        await whole(stage)
        io = stage.servers[0]
        start = io.adapter.wire.channel.removesuffix(f".all.{token('/')}")  # type: ignore[attr-defined]
        own = f"{start}.node./.{io.adapter.uid}"  # type: ignore[attr-defined]
        valid = encode(
            {"type": 3, "uid": "x", "nsp": "/", "data": {"opts": {"rooms": []}, "packet": {"data": ["e"]}}}
        )
        wild = random.Random(5)
        forged = [
            *(b"", b"{", b"\xc1", b"null", b"[]", b"{}", b"\x81\xa4type", bytes(100_000), b"[" * 100_000),
            b'{"type":3,"uid":"x","nsp":"/"}',
            b'{"type":99,"uid":"x","nsp":"/"}',
            b'{"type":3,"uid":"","nsp":"/"}',
            b'{"type":3,"uid":"x","nsp":"/","data":{"opts":{"rooms":5},"packet":{"data":["e"]}}}',
            b'{"type":3,"uid":"x","nsp":"/","data":{"opts":{},"packet":{"data":["connect"]}}}',
            *(valid[:cut] for cut in range(1, len(valid), 7)),
            *(wild.randbytes(wild.randrange(1, 200)) for _ in range(200)),
        ]
        forger = NatsBus(url)
        forger.start()
        for channel in (f"{start}.all./", own):
            for payload in forged:
                forger.publish(channel, payload)
        await forger.publish(own, encode({"type": 12, "uid": "x", "nsp": "/", "data": {"requestId": "r"}}))
        await forger.close()
        await until(lambda: health(io).received >= 2 * len(forged) + 1)
        assert 2 * len(forged) - 20 <= health(io).rejected <= 2 * len(forged)
        assert sum("dropped a message" in record.getMessage() for record in caplog.records) <= 6
        io.emit("news", 1)
        assert [events[-1:] for events in await stage.heard()] == [[["news", 1]]] * 2


async def test_over_tls(server: NatsServer, tmp_path: Path) -> None:
    requirements.openssl()
    made = Certificates.make(tmp_path)
    server.configure(f'tls {{ cert_file: "{made.certificate}", key_file: "{made.key}" }}')
    server.start()
    url, trusting = server.url.replace("nats://", "tls://"), {"tls": made.client()}
    kept = JetStream(max_bytes=2**26)
    async with cluster(url, url, jetstream=kept, connect=trusting) as stage:
        await whole(stage)
        for _ in range(2):
            stage.servers[0].emit("news", b"\x00" * 500_000)
            assert await stage.heard() == [[["news", b"\x00" * 500_000]]] * 2
            server.stop()
            await until(lambda: not any(health(io).ok for io in stage.servers))
            server.start()
            await whole(stage)
    stranger = NatsBus(url, link=QUICK)
    stranger.start()
    await until(lambda: "certificate" in (stranger.health.reason or "").lower())
    await stranger.close()
