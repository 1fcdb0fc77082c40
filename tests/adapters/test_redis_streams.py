"""The adapter over a Redis stream, with the real Redis, and with one that ends, forgets and refuses."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from socketeer.adapters import RedisStreamsAdapter
from socketeer.adapters.broker import LinkOptions
from socketeer.errors import OptionError
from socketeer.protocol.msgpack import pack_plain
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from socketeer.testing.stage import Actor, Stage
from tests.adapters.redis_nodes import nodes, prefix, streams
from tests.support import requirements
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer, redis_server

QUICK = LinkOptions(reconnection_delay=0.05, reconnection_delay_max=0.2)


class TestStreams(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(streams, count, **options)


class TestSeveralStreamsAndShardedChannels(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(
            lambda url, key: streams(url, key, stream_count=3, use_sharded_pub_sub=True), count, **options
        )


def test_what_nodes_call_each_other_begins_with_the_prefix() -> None:
    made = RedisStreamsAdapter(channel_prefix="chat", forwarding=False)
    assert (made.prefix, made.forwarding) == ("chat", False)
    assert (RedisStreamsAdapter().prefix, RedisStreamsAdapter().forwarding) == ("socket.io", True)


@pytest.mark.parametrize(
    "options",
    [
        {"requests_timeout": 0},
        {"block_time": -1},
        {"stream_count": 0},
        {"max_len": 0},
        {"read_count": "many"},
        {"server": "http://localhost"},
    ],
)
def test_what_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        RedisStreamsAdapter(**options)


# --- a cluster of two, and one client of each ------------------------------------------------------------


class Play:
    def __init__(self, url: str, urls: Sequence[str], key: str, **options: Any) -> None:
        self.key = key
        self.url = url
        self.servers = [
            BaseServer(adapter=streams(each, key, link=QUICK, **options), connection_state_recovery=True)
            for each in urls
        ]
        self.stage = Stage(self.servers, 15.0)
        self.clients: list[Actor] = []

    @property
    def redis(self) -> Redis:
        return Redis.from_url(self.url)

    def health(self, node: int) -> Any:
        return self.servers[node].adapter.health  # type: ignore[attr-defined]

    async def up(self) -> None:
        await self.stage.until(
            lambda: all(self.health(node).ok for node in range(len(self.servers))), "the links are up"
        )
        for io in self.servers:
            await io.adapter.ready()  # type: ignore[attr-defined]

    async def away(self, *nodes: int) -> None:
        await self.stage.until(
            lambda: not any(self.health(node).ok for node in nodes), "the links are noticed to be broken"
        )

    async def hears(self, actor: Actor, count: int) -> list[list[Any]]:
        """The next so many events, each with its offset if it has one."""

        def come() -> bool:
            actor.listen()
            return len(actor.events) >= count

        await self.stage.until(come, f"a client of node {actor.node} gets {count} events")
        events, actor.events = actor.events, []
        return events

    async def leaves(self, actor: Actor) -> None:
        actor.listen()
        before = actor.offset
        self.servers[0].to(actor.id).emit("first", 0)
        assert await self.hears(actor, 1) == [["first", 0]]
        assert actor.offset != before
        await self.vanishes(actor)

    async def vanishes(self, actor: Actor) -> None:
        actor.client.vanish()
        async with self.redis as redis:
            await self.stage.until(
                lambda: redis.exists(f"{self.key}:session:{actor.pid}"), "the session is kept"
            )

    async def returns(self, actor: Actor, node: int) -> Actor:
        return await self.stage.reenter(node, auth={"pid": actor.pid, "offset": actor.offset})


@asynccontextmanager
async def playing(url: str, urls: Sequence[str] = (), **options: Any) -> AsyncIterator[Play]:
    play = Play(url, urls or (url, url), prefix(), **options)
    try:
        for io in play.servers:
            io.start()
        await play.up()
        play.clients = [play.stage.enter(node) for node in range(len(play.servers))]
        yield play
    finally:
        for io in play.servers:
            await io.close()


@pytest.fixture
async def play() -> AsyncIterator[Play]:
    async with playing(requirements.redis()) as made:
        yield made


# --- order --------------------------------------------------------------------------------------------------


async def test_questions_do_not_overtake_events_nor_events_questions(play: Play) -> None:
    """On both nodes, whatever the sizes are."""
    sender, asking, count = play.servers[0], list[Any](), 400
    for number in range(count):
        if number % 4 == 1:
            asking.append(asyncio.ensure_future(sender.timeout(30).emit_with_ack("news", number)))
            await asyncio.sleep(0)  # it begins
        elif number % 4 == 3 and number % 5:
            sender.volatile.emit("news", number, 0)
        else:
            sender.emit("news", number, "x" * (100_000 if number % 50 == 0 else 10), 0)
        if number % 7 == 0:
            await asyncio.sleep(0)

    heard: list[list[int]] = [[], []]

    def complete() -> bool:
        for actor, numbers in zip(play.clients, heard, strict=True):
            for packet in actor.client.heard():
                decoded = actor._decode(packet)
                assert decoded is not None
                numbers.append(decoded.data[1])
                if decoded.id is not None:
                    actor.client.say(f"43{decoded.id}[{decoded.data[1]}]")
        return all(len(each) == count for each in heard)

    await play.stage.until(complete, "all has come")
    assert heard[0] == list(range(count))
    assert heard[1] == list(range(count))
    answers = await asyncio.gather(*asking)
    assert [sorted(each) for each in answers] == [[number] * 2 for number in range(count) if number % 4 == 1]


async def test_who_asks_after_moving_sockets_finds_them_moved(play: Play) -> None:
    for number in range(50):
        play.servers[0].in_(play.clients[1].id).sockets_join(f"room {number}")
        (found,) = await play.servers[0].in_(f"room {number}").fetch_sockets()
        assert found.id == play.clients[1].id


async def test_a_question_that_waits_for_what_never_comes_is_heard_in_the_end(play: Play) -> None:
    told: list[Any] = []
    play.servers[1].on("hello", told.append)
    message = {"type": 9, "uid": "somebody", "nsp": "/", "data": {"packet": ["hello", 1]}}
    async with play.redis as redis:
        await redis.publish(f"{play.key}#/#", pack_plain(message | {"after": f"{2**63}-0"}))
        await redis.publish(f"{play.key}#/#", pack_plain(message | {"data": {"packet": ["hello", 2]}}))
    await play.stage.until(lambda: told == [2, 1], "both are heard, and the second does not wait")


# --- what the broker may do ---------------------------------------------------------------------------------


async def test_nothing_is_lost_that_is_still_in_the_stream() -> None:
    url = requirements.redis()
    async with Proxy.before(url) as proxy, playing(url, (url, url.replace("6379", str(proxy.port)))) as play:
        for round_ in range(3):
            await proxy.refuse()
            await play.away(1)
            for number in range(20):
                await play.servers[0].emit("news", round_, number, b"\x00", 0)
            own, client = play.servers[1], play.clients[1]
            own.emit("alone", round_, 0)
            client.listen()
            assert client.events.pop() == ["alone", round_, 0], "its own clients get it at once"
            await proxy.allow()
            found = await play.hears(client, 20)
            assert found == [["news", round_, number, b"\x00", 0] for number in range(20)]
            found = await play.hears(play.clients[0], 21)
            assert found[-1] == ["alone", round_, 0], "what waited for the broker comes later to others"
            await play.up()


async def test_a_session_that_was_left_while_redis_was_away() -> None:
    """It is kept when Redis is back, with all that was emitted meanwhile."""
    url = requirements.redis()
    async with Proxy.before(url) as proxy, playing(url, (url.replace("6379", str(proxy.port)), url)) as play:
        actor = play.clients[0]
        play.servers[0].emit("first", 0)
        await play.hears(actor, 1)
        await proxy.refuse()
        await play.away(0)
        actor.client.vanish()
        for number in range(5):
            play.servers[0].emit("missed", number)
        play.servers[1].emit("missed", 5)
        await proxy.allow()
        await play.up()
        await play.hears(play.clients[1], 7)
        back = await play.returns(actor, 1)
        assert back.socket.recovered
        assert sorted(await play.hears(back, 6)) == [["missed", number] for number in range(6)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        server.start()
        yield server


async def test_redis_is_killed_and_has_forgotten_everything(
    broker: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(broker.url) as play:
        await play.leaves(play.stage.enter(0))
        leaver = play.stage.actors[-1]
        broker.stop()
        await play.away(0, 1)
        play.servers[0].emit("alone", 1)
        assert (await play.hears(play.clients[0], 1))[-1] == ["alone", 1]
        assert play.health(0).reason
        broker.start()
        await play.up()
        for node in (0, 1):
            back = await play.returns(leaver, node)
            assert not back.socket.recovered, "refused, and not wrong"
        for client in play.clients:
            client.listen()
            client.events.clear()
        play.servers[0].emit("back", 1)
        for client in play.clients:
            assert ["back", 1] in await play.hears(client, 1)
        await play.leaves(play.stage.enter(0))
        leaver = play.stage.actors[-1]
        play.servers[1].to(leaver.id).emit("missed", 1)
        back = await play.returns(leaver, 1)
        assert back.socket.recovered
        assert await play.hears(back, 1) == [["missed", 1]]
        assert not [record for record in caplog.records if record.exc_info]


async def test_the_stream_is_trimmed(play: Play) -> None:
    leavers = [play.stage.enter(0) for _ in range(2)]
    for each in leavers:
        await play.leaves(each)
    await play.servers[0].emit("dropped", 1)
    async with play.redis as redis:
        await redis.xtrim(play.key, maxlen=0, approximate=False)
    assert not (await play.returns(leavers[0], 0)).socket.recovered
    await play.servers[0].emit("more", 1)
    assert not (await play.returns(leavers[1], 1)).socket.recovered


async def test_who_had_got_everything_needs_no_more_of_the_stream(play: Play) -> None:
    """The events of others have pushed out its own last one long ago."""
    leaver, late = play.stage.enter(0), play.stage.enter(0)
    for each in (leaver, late):
        play.servers[0].to(each.id).emit("first", 0)
        await play.hears(each, 1)
    for number in range(20):
        play.servers[1].to("others").emit("x", number)
    await play.servers[0].to(late.id).emit("it did not get this", 0)
    await play.stage.until(lambda: len(late.client.carrier.sent) == 1, "it is on its way")
    async with play.redis as redis:
        await redis.xtrim(play.key, maxlen=3, approximate=False)
    await play.vanishes(leaver)
    await play.vanishes(late)
    await play.servers[1].to(leaver.id).emit("missed", 1)
    back = await play.returns(leaver, 1)
    assert back.socket.recovered
    assert await play.hears(back, 1) == [["missed", 1]]
    assert not (await play.returns(late, 1)).socket.recovered
    for node in (0, 1):  # again and again, with nothing that it missed
        async with play.redis as redis:
            await play.vanishes(back)
            await play.servers[0].to("others").emit("x", 0)
            await redis.xtrim(play.key, maxlen=2, approximate=False)
        back = await play.returns(back, node)
        assert back.socket.recovered


async def test_redis_takes_nothing_more(broker: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async with playing(broker.url) as play:
        broker.ask("CONFIG", "SET", "maxmemory", "1")
        for number in range(3):
            play.servers[0].emit("alone", number)
        assert await play.hears(play.clients[0], 3) == [["alone", number] for number in range(3)]
        await play.stage.until(lambda: play.health(0).lost > 0, "what is refused is counted")
        assert any("maxmemory" in record.getMessage() for record in caplog.records)
        broker.ask("CONFIG", "SET", "maxmemory", "0")
        await play.up()
        play.clients[0].listen()
        play.clients[0].events.clear()
        play.servers[0].emit("back", 1)
        assert ["back", 1] in await play.hears(play.clients[0], 1)
        assert ["back", 1] in await play.hears(play.clients[1], 1)


async def test_another_thing_of_that_name(caplog: pytest.LogCaptureFixture) -> None:
    url, key = requirements.redis(), prefix()
    async with Redis.from_url(url) as redis:
        await redis.set(key, "text", ex=60)
    io = BaseServer(adapter=streams(url, key, link=QUICK), connection_state_recovery=True)
    io.start()
    stage = Stage([io], 10.0)
    actor = stage.enter(0)
    io.emit("news", 1)
    actor.listen()
    assert actor.events == [["news", 1]]
    health = io.adapter.health  # type: ignore[attr-defined]
    await stage.until(lambda: "WRONGTYPE" in str(health.reason), "it says why")
    await io.close()


async def test_a_server_that_ends_leaves_its_clients_to_the_others(play: Play) -> None:
    actor = play.clients[0]
    play.servers[1].emit("first", 0)
    await play.hears(actor, 1)
    await play.servers[0].close()
    await play.servers[1].to(actor.id).emit("missed", 1)
    back = await play.returns(actor, 1)
    assert back.socket.recovered
    assert await play.hears(back, 1) == [["missed", 1]]
    play.servers[0].start()
    await play.up()
    await play.vanishes(back)
    again = await play.returns(back, 0)
    assert again.socket.recovered


# --- what anybody may put there --------------------------------------------------------------------------------


async def test_forged_entries_and_messages_are_counted_and_dropped(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    uid = play.servers[0].adapter.uid  # type: ignore[attr-defined]
    good: dict[str, str | bytes] = {"uid": "x", "nsp": "/", "type": "3"}
    entries: list[dict[str, str | bytes]] = [
        good,
        good | {"data": "{"},
        good | {"data": "\n" * 50},
        good | {"data": b64encode(pack_plain([1, 2]))},
        good | {"type": "x" * 1000, "data": "{}"},
        {"nsp": "/"},
        good
        | {
            "uid": uid,
            "seq": "5" * 10,
            "data": '{"packet":{"type":2,"data":["x"]},"opts":{"rooms":[],"except":[]}}',
        },
    ]
    ignored: list[dict[str, str | bytes]] = [{"nsp": "/nowhere"}, {b"\xff".decode("latin-1"): "x"}]
    async with play.redis as redis:
        for entry in (*entries, *ignored):
            await redis.xadd(play.key, entry)  # type: ignore[arg-type]
        for payload in (b"", b"\xc1", b"{", pack_plain({"type": 3}), pack_plain(5)):
            await redis.publish(f"{play.key}#/#", payload)
    await play.servers[1].emit("after", 1)
    assert await play.hears(play.clients[0], 1) == [["after", 1]]
    # An event under another node's name is as good as any; the number is wrong for that node alone.
    assert await play.hears(play.clients[1], 2) == [["x"], ["after", 1]]
    await play.stage.until(
        lambda: (play.health(0).rejected, play.health(1).rejected) in {(12, 11), (11, 11)}, "all are counted"
    )
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert not [record for record in caplog.records if record.exc_info]


async def test_forged_sessions(play: Play) -> None:
    actor = play.clients[0]
    await play.leaves(actor)
    offset, pid = str(actor.offset), secrets.token_hex(10)
    forged: list[Any] = [
        b"",
        b"!",
        b64encode(pack_plain([])),
        b64encode(pack_plain({"sid": "s", "pid": "another", "rooms": []})),
        b64encode(pack_plain({"sid": "s" * 1000, "pid": pid, "rooms": []})),
        b64encode(b"\x91" * 100_000),
        b64encode(pack_plain({"sid": "s", "pid": pid, "rooms": [], "data": "x" * 4_000_000})),
    ]
    async with play.redis as redis:
        for value in forged:
            await redis.set(f"{play.key}:session:{pid}", value, ex=60)
            assert await play.servers[0].adapter.restore_session(pid, offset) is None, value[:100]
        await redis.sadd(f"{play.key}:session:{pid}", "a set")  # type: ignore[misc]
        assert await play.servers[0].adapter.restore_session(pid, offset) is None
    assert play.health(0).rejected == len(forged)
    assert (await play.returns(actor, 1)).socket.recovered


async def test_sessions_are_kept_for_their_time_and_by_their_names(play: Play) -> None:
    await play.leaves(play.clients[0])
    async with play.redis as redis:
        assert 100_000 < await redis.pttl(f"{play.key}:session:{play.clients[0].pid}") <= 120_000


async def test_a_stream_does_not_grow_forever() -> None:
    async with playing(requirements.redis(), max_len=10) as play:
        for number in range(1000):
            play.servers[0].emit("x", number)
        await play.hears(play.clients[1], 1000)
        async with play.redis as redis:
            assert await redis.xlen(play.key) < 300
