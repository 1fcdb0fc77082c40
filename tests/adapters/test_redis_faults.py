"""Faults, done to a real Redis: over the classic format, sharded channels, streams, and nodes that know each
other by heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from socketeer.adapters import RedisAdapter, RedisStreamsAdapter, ShardedRedisAdapter
from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.cluster import ClusterAdapter
from socketeer.adapters.heartbeat import Heartbeat, HeartbeatAdapter
from socketeer.adapters.redis import RedisBus
from socketeer.server.adapter import AdapterFactory, AdapterHost
from socketeer.testing.stage import Stage
from tests.adapters.faults import PATIENCE, QUICK, Broker, Faults, Play, check_lines, health_of, lines
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer, redis_server


def classic(url: str, key: str, link: LinkOptions = QUICK, **options: Any) -> AdapterFactory:
    return RedisAdapter(url, key, link=link, **options)


def sharded(url: str, key: str, link: LinkOptions = QUICK, **options: Any) -> AdapterFactory:
    return ShardedRedisAdapter(url, key, link=link, **options)


def beating(url: str, key: str, link: LinkOptions = QUICK, **options: Any) -> AdapterFactory:
    bus = RedisBus(url, link=link, **options)

    def adapter(nsp: AdapterHost) -> ClusterAdapter:
        return HeartbeatAdapter(
            nsp, ChannelWire(bus, nsp.name, key), 5.0, Heartbeat(interval=0.5, timeout=2.0)
        )

    return adapter


def streams(url: str, key: str, link: LinkOptions = QUICK, **options: Any) -> AdapterFactory:
    return RedisStreamsAdapter(url, key, channel_prefix=key, link=link, **options)


class _Redis(Faults):
    @contextmanager
    def run_broker(self, folder: Path) -> Iterator[Broker]:
        with redis_server(folder) as server:
            yield server


class _Subscribers(_Redis):
    """What makes Redis close the connections of those who listen."""

    async def test_a_subscriber_that_is_killed(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with self.play(broker) as play:
            for number in range(1, 4):
                caplog.clear()
                assert cast(RedisServer, broker).ask("CLIENT", "KILL", "TYPE", "pubsub") == 2
                await play.until(partial(_are_back, play, number), "both are back")
                await play.whole()
                check_lines(caplog, 2)

    async def test_a_subscriber_for_whom_too_much_waits(self, broker: Broker) -> None:
        async with (
            Proxy.before(broker.url) as proxy,
            self.play(broker, urls=(broker.url, self.through(broker.url, proxy))) as play,
        ):
            redis = cast(RedisServer, broker)
            redis.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
            first, second = play.servers
            proxy.stall()
            sent = 0
            while len(_subscribers(redis)) == 2:
                await first.emit("flood", sent, "x" * 1_000_000)
                sent += 1
                assert sent < 200, "the kernel's buffers are not that large"
            proxy.flow()
            await play.until(lambda: health_of(second).reconnections, "it connects again")
            await play.whole()
            got = play.clients[1].events
            assert [event[1] for event in got] == list(range(len(got))), "what came, came in order"

    async def test_a_node_that_is_paused_until_it_is_cut_off(self, broker: Broker) -> None:
        async with self.play(broker) as play:
            redis = cast(RedisServer, broker)
            redis.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
            paused = await play.process("paused")
            await play.whole()
            redis_before = len(_subscribers(redis))
            paused.pause()
            sent = 0
            while len(_subscribers(redis)) == redis_before:
                await play.servers[0].emit("flood", "x" * 1_000_000)
                sent += 1
                assert sent < 200, "the kernel's buffers are not that large"
            paused.go_on()
            await play.until(lambda: play.hears(paused), "it is not deaf")
            await play.whole()
            ok, reason, reconnections = await play.tell(paused, "health")
            assert (ok, reason) == (True, None)
            assert reconnections >= 1


def _are_back(play: Play, times: int) -> bool:
    return all(health_of(io).reconnections == times for io in play.servers)


def _subscribers(redis: RedisServer) -> list[bytes]:
    found = redis.ask("CLIENT", "LIST", "TYPE", "pubsub")
    assert isinstance(found, bytes)
    return found.splitlines()


class TestClassic(_Subscribers):
    node = f"{__name__}:classic"

    def adapter(self, url: str, key: str, link: LinkOptions, **options: Any) -> AdapterFactory:
        return classic(url, key, link, **options)

    # --- answers of Redis that are errors ----------------------------------------------------------

    @pytest.mark.parametrize(
        "answer",
        [
            "READONLY You can't write against a read only replica.",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Errors writing to the AOF file",
        ],
    )
    async def test_answers_to_a_message_that_are_errors(
        self, broker: Broker, answer: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Redis itself answers PUBLISH so only in some versions and behind some proxies."""
        async with (
            Proxy.before(broker.url) as proxy,
            self.play(broker, urls=(self.through(broker.url, proxy), broker.url)) as play,
        ):
            first = play.servers[0]
            health = health_of(first)
            caplog.clear()
            before = health.published, health.lost
            proxy.changed = lambda data: data.replace(b":2\r\n", f"-{answer}\r\n".encode())
            for number in range(200):
                first.emit("refused", number)
            await play.until(lambda: health.refused >= 200, "all are refused")
            assert (health.published, health.lost) == (before[0], before[1] + 200)
            assert (health.ok, str(health.refusal)[-20:]) == (True, answer[-20:])
            assert len(lines(caplog)) == 3
            proxy.changed = None
            await play.whole()
            assert health.refusal is None

    async def test_a_redis_without_memory_or_that_is_a_replica_passes_messages_on(
        self, broker: Broker
    ) -> None:
        async with self.play(broker) as play:
            redis = cast(RedisServer, broker)
            redis.ask("CONFIG", "SET", "maxmemory", 1)
            await play.whole()
            redis.ask("REPLICAOF", "127.0.0.1", 1)
            await play.whole()
            assert [health_of(io).lost for io in play.servers] == [0, 0]

    async def test_a_redis_that_is_busy_with_a_script(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with self.play(broker) as play:
            redis = cast(RedisServer, broker)
            redis.ask("CONFIG", "SET", "busy-reply-threshold", 50)
            script = asyncio.ensure_future(
                asyncio.to_thread(_ignoring_errors, redis, "EVAL", "while true do end", 0)
            )
            health = health_of(play.servers[0])
            caplog.clear()

            async def refused() -> bool:
                play.servers[0].emit("busy")
                await asyncio.sleep(0.02)
                return health.refused > 0 or not health.ok

            await play.until(refused, "Redis says that it is busy")
            assert "BUSY" in str(health.refusal or health.reason) or "busy" in str(
                health.refusal or health.reason
            )
            redis.ask("SCRIPT", "KILL")
            await script
            await play.whole()
            assert len(lines(caplog)) <= 8

    @pytest.mark.parametrize(("login", "reason"), [(":wrong@", "password"), ("", "Authentication required")])
    async def test_a_wrong_password(
        self, broker: Broker, login: str, reason: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        cast(RedisServer, broker).ask("CONFIG", "SET", "requirepass", "secret")
        bus = RedisBus(broker.url.replace("//", f"//{login}"), link=QUICK)
        bus.subscribe("channel", lambda payload: None)
        bus.start()
        await Stage([], PATIENCE).until(lambda: bus.health.reason is not None, "it is refused")
        assert reason in str(bus.health.reason)
        await asyncio.sleep(1)  # in which it tries again
        assert len(lines(caplog)) == 1
        assert "wrong" not in lines(caplog)[0].replace("WRONGPASS", "")
        await bus.close()


def _ignoring_errors(redis: RedisServer, *command: str | int) -> None:
    with suppress(Exception):  # the script is killed
        redis.ask(*command)


class TestSharded(_Subscribers):
    node = f"{__name__}:sharded"
    test_a_broker_that_is_away_for_half_a_minute = None  # type: ignore[assignment]

    def adapter(self, url: str, key: str, link: LinkOptions, **options: Any) -> AdapterFactory:
        return sharded(url, key, link, **options)


class TestHeartbeats(_Redis):
    node = f"{__name__}:beating"
    away = 0.5  # not so long that the other node counts as gone
    test_a_broker_that_is_away_for_half_a_minute = None  # type: ignore[assignment]

    def adapter(self, url: str, key: str, link: LinkOptions, **options: Any) -> AdapterFactory:
        return beating(url, key, link, **options)


class TestStreams(_Redis):
    node = f"{__name__}:streams"
    test_a_broker_that_is_away_for_half_a_minute = None  # type: ignore[assignment]

    def adapter(self, url: str, key: str, link: LinkOptions, **options: Any) -> AdapterFactory:
        return streams(url, key, link, **options)
