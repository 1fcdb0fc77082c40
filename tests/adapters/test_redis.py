"""The adapter in the classic format, over the real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from socketeer.adapters import RedisAdapter
from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.redis import RedisBus
from socketeer.errors import BrokerUnavailable, OptionError
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from tests.adapters.redis_nodes import nodes, prefix
from tests.support import requirements
from tests.support.redis_server import RedisServer, redis_server


class TestClassic(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(RedisAdapter, count, **options)


class TestClassicWithSpecificResponses(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(
            lambda url, key: RedisAdapter(url, key, publish_on_specific_response_channel=True),
            count,
            **options,
        )


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - most of it happens in another process
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("sharded", [False, True])
async def test_what_is_published_arrives_in_order(sharded: bool) -> None:
    bus, channel, heard = RedisBus(requirements.redis(), sharded=sharded), prefix(), list[bytes]()
    bus.subscribe(channel, heard.append)
    bus.start()
    await bus.settled()
    assert await bus.subscribers(channel) == 1
    sent = [b"%d" % number for number in range(1000)]
    outgoing = [bus.publish(channel, each) for each in sent]
    await outgoing[-1]
    await until(lambda: len(heard) == 1000)
    assert heard == sent
    bus.unsubscribe(channel, heard.append)
    await bus.settled()
    assert await bus.subscribers(channel) == 0
    await bus.close()


async def test_a_pattern_matches_what_begins_so_and_nothing_else() -> None:
    bus, heard = RedisBus(requirements.redis()), list[bytes]()
    start = f"{prefix()}[a-z]?*\\#"
    bus.subscribe(f"{start}*", heard.append)
    bus.start()
    await bus.settled()
    for channel in (start, start.replace("?", "b"), start.replace("[a-z]", "k"), f"{start}room#"):
        await bus.publish(channel, channel.encode())
    await until(lambda: len(heard) > 1)
    assert heard == [start.encode(), f"{start}room#".encode()]
    await bus.close()


async def test_the_settings_of_a_client_are_taken_and_it_is_left_alone() -> None:
    async with Redis.from_url(requirements.redis(), decode_responses=True, client_name=prefix()) as client:
        bus, channel, heard = RedisBus(client), prefix(), list[bytes]()
        bus.subscribe(channel, heard.append)
        bus.start()
        await bus.settled()
        name = client.connection_pool.connection_kwargs["client_name"]
        assert [each["name"] for each in await client.client_list()].count(name) == 3
        await bus.publish(channel, b"\xff")
        await until(lambda: heard == [b"\xff"])
        await bus.close()
        assert await client.echo("here") == "here"


async def test_a_question_that_is_given_up_mixes_nothing_up() -> None:
    bus, channel = RedisBus(requirements.redis()), prefix()
    bus.subscribe(channel, lambda payload: None)
    bus.start()
    await bus.settled()
    for turns in range(8):
        asking = asyncio.ensure_future(bus.subscribers(f"{channel}-nobody"))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        assert await bus.subscribers(channel) == 1
    assert bus.health.ok
    await bus.close()


@pytest.mark.parametrize("server", ["http://localhost", "nonsense", 5, None])
def test_what_is_no_server_is_refused(server: Any) -> None:
    with pytest.raises(OptionError, match="server: expected a URL"):
        RedisAdapter(server)


def test_a_password_is_in_no_name() -> None:
    assert RedisBus("redis://user:secret@example.org:7000/2").health.name == "Redis at example.org:7000"


QUICK = LinkOptions(reconnection_delay=0.01, reconnection_delay_max=0.05)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.mark.parametrize("sharded", [False, True])
async def test_a_broker_that_comes_back_finds_everything_subscribed(
    broker: RedisServer, sharded: bool
) -> None:
    bus, heard = RedisBus(broker.url, sharded=sharded, link=QUICK), list[bytes]()
    bus.subscribe("channel", heard.append)
    bus.start()
    await until(lambda: bus.health.reason is not None)
    with pytest.raises(BrokerUnavailable):
        await bus.subscribers("channel")
    for round_ in (b"1", b"2"):
        broker.start()
        await until(lambda: bus.health.ok)
        await bus.settled()
        await bus.publish("channel", round_)
        await until(lambda: heard[-1:] == [round_])  # noqa: B023 - met before the next round
        broker.stop()
        await until(lambda: not bus.health.ok)
    kept = bus.publish("channel", b"3")
    broker.start()
    await kept
    await until(lambda: heard[-1:] == [b"3"])
    assert heard == [b"1", b"2", b"3"]
    assert bus.health.reconnections == 2
    await bus.close()


async def test_what_redis_refuses_by_itself_is_counted_once(
    broker: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    broker.start()
    bus = RedisBus(broker.url, link=QUICK)
    bus.start()
    await until(lambda: bus.health.ok)
    await bus.publish("channel", b"0")
    broker.ask("ACL", "SETUSER", "default", "-publish")
    sent = [bus.publish("channel", b"%d" % number) for number in range(100)]
    for each in sent:
        with pytest.raises(BrokerUnavailable, match="no permissions"):
            await each
    health = bus.health
    assert (health.ok, health.published, health.lost, health.refused) == (True, 1, 100, 100)
    assert "permissions" in str(health.refusal)
    lines = [record.getMessage() for record in caplog.records if "refused a message" in record.getMessage()]
    assert len(lines) == 3, "the first, the tenth, the hundredth"
    broker.ask("ACL", "SETUSER", "default", "+publish")
    await bus.publish("channel", b"1")
    assert (health.lost, health.published) == (100, 2)
    assert health.refusal is None
    await bus.close()
