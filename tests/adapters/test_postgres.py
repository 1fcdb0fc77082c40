"""The adapter over the real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from socketeer.adapters import PostgresAdapter
from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.messages import Broadcast, EventPacket, Kind, Message, Opts
from socketeer.adapters.postgres import PostgresBus
from socketeer.errors import BrokerUnavailable, MessageTooLarge, OptionError
from socketeer.protocol.msgpack import pack_plain
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from socketeer.testing.stage import Stage
from tests.adapters.postgres_nodes import TABLE, adapter, database, dropping, nodes, query
from tests.adapters.redis_nodes import prefix

#: Marks the beginning of a notification whose attachment follows.
HEAD = b'{"uid":"other","type":3}\n'


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    with dropping():
        yield


class TestPostgres(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(count, options)


class TestEverythingThroughTheTable(AdapterContract):
    nodes = 2

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return nodes(count, options, payload_threshold=0)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():  # noqa: ASYNC110 - most of it happens in another process
            await asyncio.sleep(0.005)


class Pair:
    """A bus that publishes and one that hears it, on a channel of their own."""

    def __init__(self, **options: Any) -> None:
        self.channel = prefix()
        self.sender, self.hearer = (PostgresBus(database(), table=TABLE, **options) for _ in range(2))
        self.heard: list[bytes] = []
        self.hearer.subscribe(self.channel, self.heard.append)

    def publish(self, payload: bytes) -> Any:
        return self.sender.publish(self.channel, payload)

    async def notify(self, text: str) -> None:
        """As somebody else who may write to the database."""
        await query("SELECT pg_notify($1, $2)", self.channel, text)

    async def hears(self, *payloads: bytes) -> None:
        await until(lambda: len(self.heard) >= len(payloads))
        assert self.heard == list(payloads)


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[Pair]:
    made = Pair(**options)
    for bus in (made.sender, made.hearer):
        bus.start()
        await bus.settled()
    try:
        yield made
    finally:
        for bus in (made.sender, made.hearer):
            await bus.close()


def stored(number: int, size: int = 0) -> tuple[bytes, bytes]:
    """What to publish to have it stored, and what is heard of it."""
    payload = b"%d" % number + b"x" * size
    return HEAD + payload, payload


# --- the order --------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.one_of(st.just(-1), st.integers(0, 100), st.integers(0, 300_000)), max_size=200))
async def test_what_is_published_arrives_in_order(sizes: list[int]) -> None:
    async with pair() as both:
        expected = []
        for number, size in enumerate(sizes):
            if size < 0:
                payload = heard = b"{%d}" % number
            else:
                payload, heard = stored(number, size)
            both.publish(payload)
            expected.append(heard)
        await both.hears(*expected)


def frame(number: int, size: int) -> bytes:
    """What is not of the wire's format."""
    return b"\xf1\n%d" % number + b"\x00\xff" * (size // 2)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(
        st.one_of(st.just(-1), st.integers(0, 100), st.integers(5_900, 6_100), st.integers(0, 300_000)),
        max_size=200,
    ),
    threshold=st.sampled_from([0, 1_000, 8_000]),
)
async def test_bytes_arrive_as_they_are_and_in_order(sizes: list[int], threshold: int) -> None:
    async with pair(payload_threshold=threshold) as both:
        expected = [
            b"{%d}" % number if size < 0 else frame(number, size) for number, size in enumerate(sizes)
        ]
        for payload in expected:
            both.publish(payload)
        await both.hears(*expected)
        assert both.hearer.health.rejected == 0


async def test_equal_bytes_arrive_as_often_as_they_were_sent() -> None:
    async with pair() as both:
        for _ in range(500):
            both.publish(b"\xf1")
        both.publish(b"")
        await both.hears(*[b"\xf1"] * 500, b"")


async def test_equal_messages_arrive_as_often_as_they_were_sent() -> None:
    async with pair() as both:
        for _ in range(500):
            both.publish(b"{}")
        await until(lambda: len(both.heard) == 500)
        for _ in range(50):
            both.publish(HEAD + b"x")
        both.publish(b"{end}")
        await until(lambda: both.heard[-1] == b"{end}")
        assert {each.strip() for each in both.heard[:500]} == {b"{}"}
        assert both.heard[500:] == [b"x"] * 50 + [b"{end}"]


async def test_emits_of_one_node_do_not_swap() -> None:
    channels = prefix()
    servers = [BaseServer(adapter=adapter(channels)) for _ in range(2)]
    stage = Stage(servers, 20.0)
    for io in servers:
        io.start()
    await stage.gather("/")
    client = stage.enter(1)
    client.socket.join("room")
    shapes: list[Any] = ["x", b"x", "é" * 5_000, b"x" * 50_000, "x" * 7_900, {"a": [b"b"]}]
    for number in range(300):
        (servers[0].to("room") if number % 5 else servers[0]).emit("news", number, shapes[number % 7 % 6])
    (events,) = await stage.heard(client)
    assert [args[1] for args in events] == list(range(300))
    for io in servers:
        await io.close()


async def test_while_the_table_is_locked_everything_waits_and_nothing_is_lost() -> None:
    async with pair(link=LinkOptions(ping_timeout=60.0)) as both:
        await both.sender.publish(both.channel, stored(1)[0])
        await both.hears(b"1")
        (number,) = (await query(f"INSERT INTO {TABLE} (payload) VALUES ('2') RETURNING id"))[0]
        blocker = await asyncpg.connect(database())
        async with blocker.transaction():
            await blocker.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
            await both.notify(f'{{"attachmentId":"{number}"}}')
            await both.sender.publish(both.channel, b"{3}")
            last = both.publish(stored(4)[0])
            assert both.heard == [b"1"]
        await blocker.close()
        await last
        await both.hears(b"1", b"2", b"{3}", b"4")
        assert both.hearer.health.ok


async def test_what_waits_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    async with pair(link=LinkOptions(max_pending_bytes=100_000)) as both:
        (number,) = (await query(f"INSERT INTO {TABLE} (payload) VALUES ('first') RETURNING id"))[0]
        await query(
            "SELECT pg_notify($1, $2) UNION ALL "
            "SELECT pg_notify($1, '{' || n || '}' || repeat(' ', 500)) FROM generate_series(1, 400) AS numbers (n)",
            both.channel,
            f'{{"attachmentId":"{number}"}}',
        )
        await both.publish(b"{end}")
        await until(lambda: len(both.heard) + both.hearer.health.lost == 402)
        kept = [each.strip() for each in both.heard]
        assert kept == [b"first", *(b"{%d}" % each for each in range(1, len(kept) - 1)), b"{end}"]
        assert 50 < len(kept) < 200
        assert both.hearer.health.ok
        assert ["max_pending_bytes" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("name", ['/é "quoted"; --', "/" + "x" * 90, "/a\0b", "/채팅"])
async def test_namespaces_may_have_any_name(name: str) -> None:
    channels = prefix()
    servers = [BaseServer(adapter=adapter(channels)) for _ in range(2)]
    stage = Stage(servers, 20.0)
    for io in servers:
        io.start()
        io.of(name)
    await stage.gather(name)
    client = stage.enter(1, name)
    servers[0].of(name).emit("news", 1, b"x")
    assert await stage.heard(client) == [[["news", 1, b"x"]]]
    for io in servers:
        await io.close()


# --- what goes --------------------------------------------------------------------------------------


async def test_ones_own_messages_do_not_come_back() -> None:
    async with pair() as both:
        own: list[bytes] = []
        both.sender.subscribe(both.channel, own.append)
        await both.sender.settled()
        both.publish(stored(1)[0])
        await both.publish(b"{2}")
        await both.hears(b"1", b"{2}")
        await both.notify("{3}")
        await until(lambda: own == [b"{3}"])
        assert both.sender.health.received == 1


async def test_one_that_is_refused_takes_no_other_along(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as both:
        both.publish(b"{1}")
        for payload in (b"{}", HEAD + b"x"):
            with pytest.raises(BrokerUnavailable, match="channel name"):
                await both.sender.publish("", payload)
            both.publish(b"{2}")
            wrong = both.sender.publish("", payload)
            both.publish(stored(3)[0])
            with pytest.raises(BrokerUnavailable):
                await wrong
        await both.hears(b"{1}", b"{2}", b"3", b"{2}", b"3")
        assert (both.sender.health.lost, both.sender.health.ok) == (4, True)
        assert len(caplog.records) == 1


async def test_what_is_too_large_is_refused_at_once() -> None:
    async with pair(max_message_size=1_000) as both:
        with pytest.raises(MessageTooLarge, match="max_message_size"):
            both.publish(HEAD + b"x" * 1_000)


@pytest.mark.parametrize("start", ["x" * 300, "é" * 30, "a\0b", '"; --'])
async def test_channels_may_have_any_name(start: str) -> None:
    name = f"{start}-{prefix()}"
    async with pair() as both:
        heard: list[bytes] = []
        both.hearer.subscribe(name, heard.append)
        await both.hearer.settled()
        both.sender.publish(name, b"\xf1")
        both.sender.publish(name + "x", b"\xf2")
        await both.sender.publish(name, b"{3}")
        await until(lambda: len(heard) == 2)
        assert heard == [b"\xf1", b"{3}"]
        both.hearer.unsubscribe(name, heard.append)
        await both.hearer.settled()
        both.sender.publish(name, b"\xf4")
        await both.publish(b"{end}")
        await both.hears(b"{end}")
        assert len(heard) == 2


async def test_a_channel_that_cannot_be_listened_to_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as both:
        both.hearer.subscribe("", both.heard.append)
        await both.hearer.settled()
        await both.publish(b"{1}")
        await both.hears(b"{1}")
        assert ["cannot listen" in record.getMessage() for record in caplog.records] == [True]


# --- what comes -------------------------------------------------------------------------------------

BEAT = Message(Kind.HEARTBEAT, "/", "stranger")

FORGED = [
    "",
    "{",
    "nonsense",
    "[]",
    '{"attachmentId":"-1"}',
    '{"attachmentId":{"a":1}}',
    '{"attachmentId":"99999999999999999999999"}',
    '{"uid":"x","type":3,"attachmentId":"9223372036854775807"}',
    '{"type":3,"uid":"x","nsp":"/","data":{"opts":{"rooms":5},"packet":{"data":["news"]}}}',
    '{"type":12,"uid":"x","nsp":"/","data":{"requestId":5}}',
    '{"type":11,"uid":"x","nsp":"/","data":{"requestId":"a","clientCount":-5}}',
    "[" * 7_900,
    '{"a":' * 1_300 + "1" + "}" * 1_300,
]

STORED: list[bytes | None] = [
    None,
    b"",
    b"\xc1",
    b"\x91" * 100_000,
    b"\xdf\xff\xff\xff\xff",
    b"x" * 2_000_001,
    pack_plain(BEAT.plain())[:-1],
    pack_plain(BEAT.plain()) + b"\0",
    pack_plain({**BEAT.plain(), "type": 77}),
]


async def test_what_is_forged_is_counted_and_what_follows_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    channels = prefix()
    io = BaseServer(adapter=adapter(channels, max_message_size=500_000))
    stage = Stage([io], 20.0)
    io.start()
    await io.adapter.ready()  # type: ignore[attr-defined]
    client = stage.enter(0)
    health = io.adapter.health  # type: ignore[attr-defined]
    texts = list(FORGED)
    for payload in STORED:
        rows = await query(f"INSERT INTO {TABLE} (payload) VALUES ($1) RETURNING id", payload)
        texts.append(json.dumps({"uid": "x", "type": 3, "attachmentId": str(rows[0][0])}))
    for text in texts:
        await query("SELECT pg_notify($1, $2)", f"{channels}#/", text)
    good = Message(
        Kind.BROADCAST, "/", "stranger", Broadcast(opts=Opts(), packet=EventPacket(["news", 1]))
    ).plain()
    for mistaken in ({**good, "nsp": "/other"}, {**good, "uid": io.adapter.uid}, good):  # type: ignore[attr-defined]
        await query("SELECT pg_notify($1, $2)", f"{channels}#/", json.dumps(mistaken))

    def heard() -> bool:
        client.listen()
        return bool(client.events)

    await stage.until(heard, "what is no forgery arrives")
    assert client.events == [["news", 1]]
    assert health.rejected == len(texts)
    assert health.ok
    assert len(caplog.records) == 2, "the first and the tenth"
    assert all(
        record.getMessage().isprintable() and len(record.getMessage()) < 500 for record in caplog.records
    )
    await io.close()


async def test_forged_bytes_are_counted_and_what_follows_is_heard() -> None:
    async with pair(max_message_size=500_000) as both:
        (number,) = (
            await query(f"INSERT INTO {TABLE} (payload) VALUES ($1) RETURNING id", b"\xf1" * 2_000_001)
        )[0]
        texts = ['{"bytes":"', '{"bytes":"?"}', '{"bytes":"QQ=="', f'{{"attachmentId":"{number}"}}']
        for text in texts:
            await both.notify(text)
        await both.publish(b"\xf1")
        await both.hears(b"\xf1")
        assert (both.hearer.health.rejected, both.hearer.health.ok) == (len(texts), True)


async def test_an_attachment_that_has_gone_holds_nothing_up() -> None:
    async with pair() as both:
        await both.notify('{"attachmentId":"9000000000000000000"}')
        await both.publish(b"{1}")
        await both.hears(b"{1}")
        assert both.hearer.health.rejected == 1


# --- the table --------------------------------------------------------------------------------------


async def test_old_attachments_are_removed() -> None:
    table = f"{TABLE}_old"
    link = LinkOptions(ping_interval=0.05)
    bus = PostgresBus(database(), table=table, cleanup_interval=0.2, link=link)
    bus.start()
    await bus.settled()
    await bus.publish("channel", stored(1)[0])

    async def count() -> int:
        return int((await query(f"SELECT count(*) FROM {table}"))[0][0])

    async with asyncio.timeout(20):
        while await count():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.02)
    assert bus.health.ok
    await bus.close()
    await query(f"DROP TABLE {table}")


async def test_where_there_can_be_no_table_the_health_says_so() -> None:
    bus = PostgresBus(database(), table="nowhere.attachments")
    bus.start()
    await until(lambda: bus.health.reason is not None)
    assert "nowhere.attachments" in str(bus.health.reason)
    await bus.close()


class Interrupted(PostgresBus):
    """It is closed at the moment when a link that broke is about to be given back."""

    async def _disconnect(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await super()._disconnect()


async def test_its_end_leaves_no_connection() -> None:
    name = prefix()
    bus = Interrupted(f"{database()}?application_name={name}", table="nowhere.attachments")
    bus.start()
    task = bus._task
    assert task is not None
    await until(task.done)
    await bus.close()

    async def count() -> int:
        return int(
            (await query("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name))[0][0]
        )

    async with asyncio.timeout(20):
        while await count():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.02)


# --- the options ------------------------------------------------------------------------------------


def test_what_nodes_call_each_other_begins_with_the_prefix() -> None:
    made = PostgresAdapter(channel_prefix="chat", forwarding=False)
    assert (made.prefix, made.forwarding) == ("chat", False)
    assert (PostgresAdapter().prefix, PostgresAdapter().forwarding) == ("socket.io", True)


@pytest.mark.parametrize(
    "options",
    [
        {"server": "mysql://localhost"},
        {"server": 5},
        {"table_name": "a b"},
        {"payload_threshold": -1},
        {"cleanup_interval": 0},
        {"requests_timeout": 0},
        {"max_message_size": 0},
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        PostgresAdapter(**options)


async def test_a_pool_serves_and_is_left_open() -> None:
    channels = prefix()
    async with asyncpg.create_pool(database(), min_size=0, max_size=2) as pool:
        for _ in range(2):  # its connections have come back
            io = BaseServer(adapter=PostgresAdapter(pool, table_name=TABLE, channel_prefix=channels))
            io.start()
            await io.adapter.ready()  # type: ignore[attr-defined]
            await io.emit("news", b"x")
            await io.close()
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_bus_that_was_closed_starts_again() -> None:
    async with pair() as both:
        for number in range(3):
            await both.publish(b"{%d}" % number)
            await until(lambda n=number: both.heard[-1:] == [b"{%d}" % n])  # type: ignore[misc]
            await both.hearer.close()
            both.hearer.start()
            await both.hearer.settled()
