"""Redis with streams: what is written and read, and from where reading goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from socketeer.adapters import redis_log
from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.messages import Broadcast, EventPacket, Kind, Message, Opts
from socketeer.adapters.redis_log import Aside, Key, RedisLog, Stream
from socketeer.adapters.redis_streams_wire import pack_entry, parse_aside
from socketeer.errors import BrokerUnavailable
from socketeer.protocol.msgpack import pack_plain
from tests.adapters.redis_nodes import prefix
from tests.support import requirements
from tests.support.proxy import Proxy

QUICK = LinkOptions(reconnection_delay=0.02, reconnection_delay_max=0.1)


class Reader:
    """Follows a namespace."""

    def __init__(self) -> None:
        self.offsets: list[str] = []
        self.entries: list[dict[bytes, bytes]] = []
        self.breaks = 0

    def entry(self, offset: str, fields: dict[bytes, bytes]) -> None:
        self.offsets.append(offset)
        self.entries.append(fields)

    def away(self) -> None:
        self.breaks += 1


async def until(met: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not met():  # noqa: ASYNC110 - most of it happens in another process
            await asyncio.sleep(0.002)


def make(url: str, *streams: str, **options: Any) -> RedisLog:
    settings: dict[str, Any] = {"max_len": 1000, "read_count": 10, "block_time": 5.0, "link": QUICK}
    return RedisLog(url, streams=streams, **(settings | options))


def event(number: int, nsp: str = "/") -> bytes:
    data = Broadcast(opts=Opts(), packet=EventPacket(["x", number]))
    return pack_entry(Message(Kind.BROADCAST, nsp, "node", data), number)


class Scene:
    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.stream = Stream(prefix())
        self.log = make(requirements.redis(), self.stream)
        self.reader = Reader()
        self.log.follow("/", self.reader)

    async def up(self) -> None:
        self.log.start()
        await until(lambda: self.log.health.ok)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Redis.from_url(requirements.redis()) as redis:
        made = Scene(redis)
        yield made
        await made.log.close()
        await redis.delete(made.stream)


async def test_what_is_written_comes_by_once_and_in_order(scene: Scene) -> None:
    await scene.redis.xadd(scene.stream, {"nsp": "/", "before": "it was up"})
    await scene.up()
    told = [
        scene.log.publish(scene.stream, event(number, "/" if number % 2 else "/other"))
        for number in range(1, 101)
    ]
    await told[-1]
    await scene.redis.xadd(scene.stream, {"nsp": "/", "seq": "last"})
    await until(lambda: len(scene.reader.entries) == 51)
    assert [each[b"seq"] for each in scene.reader.entries] == [
        *(b"%d" % n for n in range(1, 101, 2)),
        b"last",
    ]
    assert [fields async for fields in _scan(scene.redis, scene.stream)] == scene.reader.offsets
    assert (scene.log.health.published, scene.log.health.received) == (100, 101)


async def _scan(redis: Redis, stream: str) -> AsyncIterator[str]:
    for offset, fields in await redis.xrange(stream):
        if fields.get(b"nsp") == b"/" and b"before" not in fields:
            yield offset.decode()


async def test_reading_goes_on_where_it_was(scene: Scene) -> None:
    url = requirements.redis()
    async with Proxy.before(url) as proxy:
        log, reader = make(url.replace("6379", str(proxy.port)), scene.stream), Reader()
        log.follow("/", reader)
        log.start()
        await until(lambda: log.health.ok)
        for round_ in range(3):
            await scene.redis.xadd(scene.stream, {"nsp": "/", "n": f"{round_} up"})
            await until(lambda: reader.entries[-1:] == [{b"nsp": b"/", b"n": b"%d up" % round_}])  # noqa: B023
            await proxy.refuse()
            await until(lambda: reader.breaks > round_)  # noqa: B023
            await scene.redis.xadd(scene.stream, {"nsp": "/", "n": f"{round_} away"})
            await proxy.allow()
            await until(lambda: reader.entries[-1:] == [{b"nsp": b"/", b"n": b"%d away" % round_}])  # noqa: B023
            await until(lambda: log.health.ok)
        assert len(reader.entries) == 6
        # Another stream of that name, by a clock that is behind.
        await proxy.refuse()
        await until(lambda: reader.breaks > 3)
        await scene.redis.delete(scene.stream)
        await scene.redis.xadd(scene.stream, {"nsp": "/", "n": "old"}, id="5-0")
        await proxy.allow()
        await until(lambda: log.health.ok)
        await scene.redis.xadd(scene.stream, {"nsp": "/", "n": "new"}, id="6-0")
        await until(lambda: reader.offsets[-1:] == ["6-0"])
        await log.close()


async def test_several_streams_over_one_connection(scene: Scene) -> None:
    streams = [Stream(f"{scene.stream}-{number}") for number in range(5)]
    log, reader = make(requirements.redis(), *streams), Reader()
    log.follow("/", reader)
    log.start()
    await until(lambda: log.health.ok)
    for number, stream in enumerate(streams):
        await log.publish(stream, event(number + 1))
    await until(lambda: len(reader.entries) == 5)
    assert sorted(each[b"seq"] for each in reader.entries) == [b"1", b"2", b"3", b"4", b"5"]
    await log.close()
    for stream in streams:
        await scene.redis.delete(stream)


async def test_who_only_writes_does_not_read(scene: Scene) -> None:
    scene.log.unfollow("/", Reader())
    scene.log.unfollow("/", scene.reader)
    await scene.up()
    await [scene.log.publish(scene.stream, event(number)) for number in range(100)][-1]
    late = Reader()
    scene.log.follow("/", late)
    await until(lambda: len(late.entries) == 100)
    assert scene.log.health.received == 100, "not before anybody followed"


async def test_who_writes_more_than_a_stream_keeps_waits_until_it_is_read(scene: Scene) -> None:
    log, reader = make(requirements.redis(), scene.stream, max_len=20, read_count=5), Reader()
    log.follow("/", reader)
    log.start()
    await until(lambda: log.health.ok)
    await [log.publish(scene.stream, event(number)) for number in range(1, 3001)][-1]
    await until(lambda: len(reader.entries) == 3000)
    assert await scene.redis.xlen(scene.stream) < 300
    await log.close()


async def test_a_question_says_after_which_entry_it_is(scene: Scene) -> None:
    channel, heard = Aside(f"{scene.stream}#", scene.stream), list[Any]()
    scene.log.subscribe(channel, lambda payload: heard.append(parse_aside(payload)))
    await scene.up()
    await scene.log.settled()
    question = pack_plain({"type": 7})
    scene.log.publish(channel, question)
    scene.log.publish(scene.stream, event(1))
    scene.log.publish(channel, question)
    await scene.log.publish(scene.stream, event(2))
    await scene.log.publish(channel, question)
    await until(lambda: len(heard) == 3 and len(scene.reader.offsets) == 2)
    assert heard[0] == ({"type": 7}, None)
    places = [tuple(map(int, each.split("-"))) for each in scene.reader.offsets]
    assert [after for _, after in heard[1:]] == places


async def test_keys_are_kept_for_a_time(scene: Scene) -> None:
    await scene.up()
    await scene.log.publish(Key(f"{scene.stream}:key", 50_000), b"value")
    assert await scene.redis.get(f"{scene.stream}:key") == b"value"
    assert 0 < await scene.redis.pttl(f"{scene.stream}:key") <= 50_000
    await scene.redis.delete(f"{scene.stream}:key")


async def test_what_waits_for_an_entry(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_log, "_PATIENCE", 0.2)
    await scene.up()
    told: list[Any] = []
    far = 2**63
    for place in ((far, 2), (1, 0), (far, 1), (far, 1)):
        scene.log.hold(scene.stream, place, lambda reached, place=place: told.append((place, reached)))  # type: ignore[misc]
    assert told == []
    await scene.log.publish(scene.stream, event(1))
    await until(lambda: len(told) == 4)
    assert told == [((1, 0), True), ((far, 1), False), ((far, 1), False), ((far, 2), False)]
    with pytest.raises(BrokerUnavailable, match="could not be read"):
        await scene.log.reached(scene.stream, (far, 0))
    await scene.log.reached(scene.stream, (1, 0))
    monkeypatch.setattr(redis_log, "_MAX_HELD", 2)
    monkeypatch.setattr(redis_log, "_PATIENCE", 60.0)
    told.clear()
    for number in range(4):
        scene.log.hold(scene.stream, (far, number), lambda reached, n=number: told.append((n, reached)))  # type: ignore[misc]
    assert told == [(0, False), (1, False)], "not more than so many wait"
    await scene.log.close()
    assert told == [(number, False) for number in range(4)]
