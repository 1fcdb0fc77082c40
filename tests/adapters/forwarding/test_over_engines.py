"""The same over every engine that reaches other nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import pytest

from socketeer.adapters import NatsAdapter, RedisAdapter, ShardedRedisAdapter
from socketeer.adapters.forwarding import liveness
from socketeer.adapters.local import LocalAdapter
from socketeer.adapters.local_hub import Hub
from tests.adapters.forwarding.stage import Node, joined, until
from tests.adapters.nats_streams import jetstream, remove_streams
from tests.adapters.postgres_nodes import adapter as postgres
from tests.adapters.postgres_nodes import dropping
from tests.adapters.redis_nodes import prefix, streams
from tests.support import requirements

#: Makes the adapter of a node, with a prefix.
Make: TypeAlias = Callable[[str], Any]
Engine: TypeAlias = Callable[[], AbstractAsyncContextManager[Make]]


def _redis(kind: Callable[[str, str], Any]) -> Engine:
    @asynccontextmanager
    async def engine() -> AsyncIterator[Make]:
        url = requirements.redis()
        yield lambda key: kind(url, key)

    return engine


def _postgres(**options: Any) -> Engine:
    @asynccontextmanager
    async def engine() -> AsyncIterator[Make]:
        yield lambda channels: postgres(channels, **options)

    return engine


@asynccontextmanager
async def _nats() -> AsyncIterator[Make]:
    url = requirements.nats()
    yield lambda start: NatsAdapter(url, start)


@asynccontextmanager
async def _jetstream() -> AsyncIterator[Make]:
    used = set[str]()

    def make(start: str) -> Any:
        used.add(start)
        return jetstream(start)

    try:
        yield make
    finally:
        for start in used:
            await remove_streams(start)


@asynccontextmanager
async def _local() -> AsyncIterator[Make]:
    hub = Hub()
    path = await hub.start()
    try:
        yield lambda start: LocalAdapter(path, start)
    finally:
        await hub.close()


ENGINES = {
    "redis": _redis(RedisAdapter),
    "sharded redis": _redis(ShardedRedisAdapter),
    "redis streams": _redis(streams),
    "postgres": _postgres(),
    "postgres, all by the table": _postgres(payload_threshold=0),
    "nats": _nats,
    "jetstream": _jetstream,
    "workers": _local,
}

#: Those that cannot tell who listens.
UNSURE = {"postgres", "postgres, all by the table", "nats", "jetstream"}


@pytest.fixture(scope="module", autouse=True)
def table() -> Any:
    with dropping():
        yield


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def three(engine: str) -> AsyncIterator[list[Node]]:
    """Two of one cluster, and one of another."""
    async with ENGINES[engine]() as make:
        start = prefix()
        made = [Node(make(each)) for each in (start, start, f"{start}-other")]
        for node in made:
            node.io.start()
        for node in made:
            await node.bus.settled()
        yield made
        for node in made:
            await node.io.close()


@pytest.fixture
def nodes(three: list[Node]) -> list[Node]:
    return three[:2]


def channel(node: Node) -> str:
    forwarding = node.io._forwarding
    assert forwarding is not None
    return forwarding._channel(forwarding.node_id)


async def test_polling(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    assert (await poller.post(b, b'420["echo","' + b"x" * 900_000 + b'"]')).status == 200
    assert (await poller.get(b)).body == b'430["' + b"x" * 900_000 + b'"]'
    poll = asyncio.create_task(poller.get(b))
    await until(lambda: a.tunnels)
    a.io.local.emit("news", b"\x00\xff")
    assert (await poll).body == b'451-["news",{"_placeholder":true,"num":0}]\x1ebAP8='
    assert (a.tunnels, b.tunnels) == (0, 0)
    assert [node.bus.health.rejected for node in nodes] == [0, 0]


async def test_an_upgrade(nodes: list[Node]) -> None:
    a, b = nodes
    ws = await (await joined(a)).upgraded(b)
    for number in range(300):
        a.io.local.emit("n", number, "x" * (number % 7 * 2_000))
    await until(lambda: len(ws.sent) == 300)
    assert [json.loads(str(each)[2:])[1] for each in ws.sent] == list(range(300))
    ws.says(*[f'42["echo",{number}]' for number in range(300)])
    await until(lambda: len(a.heard) == 300)
    assert a.heard == list(range(300))
    ws.vanishes()
    await until(lambda: a.reasons == ["transport close"])
    assert [node.bus.health.rejected for node in nodes] == [0, 0]


async def test_nobodys_session_is_refused_before_an_owner_would_be_doubted(nodes: list[Node]) -> None:
    begun = asyncio.get_running_loop().time()
    answer = await nodes[1].handle("EIO=4&transport=polling&sid=abcdef12345678901234")
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)
    assert asyncio.get_running_loop().time() - begun < liveness.PATIENCE


async def test_another_cluster_on_the_same_broker_is_not_asked(three: list[Node]) -> None:
    a, b, other = three
    poller = await joined(a)
    heard: list[bytes] = []
    a.bus.subscribe(channel(a), heard.append)
    answer = await poller.get(other)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)
    assert heard == []
    assert (await poller.post(b, b'42["echo",1]')).status == 200
    assert heard


async def test_what_is_no_frame_is_counted_and_what_follows_is_heard(nodes: list[Node]) -> None:
    a, b = nodes
    wrong = [b"", b"\xf1", b"\xf1" * 100, b"nonsense", b"{}", b"\x81\xa1a\xa1b", b"\xf1\xff" * 40_000]
    for payload in wrong:
        b.bus.publish(channel(a), payload)
    await until(lambda: a.bus.health.rejected == len(wrong))
    poller = await joined(a)
    assert (await poller.post(b, b'42["echo",1]')).status == 200
    await until(lambda: a.heard == [1])
    assert a.bus.health.ok


async def test_an_owner_that_has_died(nodes: list[Node], engine: str) -> None:
    """Some engines tell that nobody listens there any more; with the others, one that has been heard of is waited for."""
    a, b = nodes
    poller = await joined(a)
    await poller.post(b, b'42["echo",1]')
    await a.bus.close()
    await a.bus.close()
    begun = asyncio.get_running_loop().time()
    answer = await poller.get(b)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)
    if engine in UNSURE:
        took = asyncio.get_running_loop().time() - begun
        assert took > liveness.ACCEPT_TIMEOUT + liveness.UNSURE_PATIENCE - 0.5
    assert b.bus.health.ok
