"""The format, on subjects and in the log, as ``docs/reference/nats-format.md`` says; and sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import nats
import pytest

from socketeer.adapters.codec import decode, encode
from socketeer.adapters.durable import Entry
from socketeer.adapters.messages import Broadcast, EventPacket, Fetch, Fetched, Kind, Message, Opts
from socketeer.adapters.nats_jetstream import JetStreamBus
from socketeer.adapters.nats_wire import JetStreamWire, NatsWire
from socketeer.errors import BrokerUnavailable
from socketeer.server.adapter import StoredSession
from tests.adapters.bus import Exchange, LoopBus
from tests.adapters.nats_streams import SMALL, remove_streams, until
from tests.adapters.redis_nodes import prefix
from tests.support import requirements

EVENT = Message(Kind.BROADCAST, "/a b", "one", Broadcast(opts=Opts(), packet=EventPacket(["e", b"\xff"])))
SESSION = StoredSession("sid", "p-i_d", ("sid", "é"), {"n": [1, b"\x00"]})


def test_the_subjects_of_a_namespace() -> None:
    exchange = Exchange()
    wire = NatsWire(LoopBus(exchange), "/a b", "socket.io")
    wire.open("1f", lambda message: None)
    assert set(exchange.receivers) == {"socket.io.all./a=20b", "socket.io.node./a=20b.1f"}
    wire.close()
    assert not any(exchange.receivers.values())


async def test_who_asked_has_a_subject_whatever_the_id() -> None:
    exchange, heard = Exchange(), list[Message]()
    one, two = (NatsWire(LoopBus(exchange), "/", "socket.io") for _ in range(2))
    strange = "a.b > *\r\nPUB x 0"
    one.open(strange, heard.append)
    two.answer(strange, Message(Kind.FETCH_SOCKETS_RESPONSE, "/", "two", Fetched(request_id="r", sockets=[])))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [each.uid for each in heard] == ["two"]
    assert "socket.io.node./.a=2Eb=20=3E=20=2A=0D=0APUB=20x=200" in exchange.receivers


class Node:
    """A wire over JetStream, what it has heard, and what has come by."""

    def __init__(self, start: str, nsp: str = "/a b", uid: str = "one") -> None:
        self.bus = JetStreamBus(start, SMALL, requirements.nats())
        self.wire = JetStreamWire(self.bus, nsp, self.bus)
        self.heard: list[Message] = []
        self.passed: list[Entry] = []
        self.aways = 0
        self.wire.open(uid, self.heard.append)
        self.wire.follow(self.passed.append, self.away)
        self.bus.start()

    def away(self) -> None:
        self.aways += 1

    async def close(self) -> None:
        self.wire.close()
        await self.bus.close()


class Scene:
    def __init__(self) -> None:
        self.start = prefix()
        self.nodes: list[Node] = []

    async def node(self, **options: Any) -> Node:
        node = Node(self.start, **options)
        self.nodes.append(node)
        await node.bus.settled()
        return node


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    for node in made.nodes:
        await node.close()
    await remove_streams(made.start)


async def test_everything_for_all_nodes_is_kept_in_order_but_heartbeats(scene: Scene) -> None:
    one, two = await scene.node(), await scene.node(uid="two")
    fetch = Message(Kind.FETCH_SOCKETS, "/a b", "one", Fetch(opts=Opts(), request_id="r"))
    one.wire.append(EVENT, 1)
    one.wire.send(fetch)
    await one.wire.append(EVENT, 2)
    await one.wire.send(Message(Kind.HEARTBEAT, "/a b", "one"))
    await one.wire.answer("two", Message(Kind.FETCH_SOCKETS_RESPONSE, "/a b", "one", Fetched("r", [])))
    await until(lambda: len(one.passed) == len(two.passed) == 3 and len(two.heard) == 2)
    assert one.passed == two.passed
    assert [(each.message.kind, each.number) for each in one.passed] == [
        (Kind.BROADCAST, 1),
        (Kind.FETCH_SOCKETS, 0),
        (Kind.BROADCAST, 2),
    ]
    assert [each.offset for each in one.passed] == [f"{one.bus.tag}-{place}" for place in (1, 2, 3)]
    assert one.passed[0].message == EVENT
    assert [each.kind for each in two.heard] == [Kind.HEARTBEAT, Kind.FETCH_SOCKETS_RESPONSE]
    assert one.heard == []


async def test_what_is_stored_is_as_the_page_says(scene: Scene) -> None:
    one = await scene.node()
    await one.wire.append(EVENT, 7)
    await one.wire.save(SESSION, 60)
    client = await nats.connect(requirements.nats())
    entry = await client.jsm().get_msg(f"{scene.start}-log", seq=1)
    assert entry.subject == f"{scene.start}.log./a=20b"
    assert decode(entry.data or b"") == {
        "type": 3,
        "data": {
            "opts": {"rooms": [], "except": [], "flags": {}},
            "packet": {"type": 2, "data": ["e", b"\xff"]},
        },
        "uid": "one",
        "nsp": "/a b",
        "number": 7,
    }
    session = await client.jsm().get_msg(f"{scene.start}-sessions", seq=1)
    assert session.subject == f"{scene.start}.session./a=20b.p-i_d"
    stored = decode(session.data or b"")
    assert 50_000 < stored.pop("until") - time.time() * 1000 <= 60_000
    assert stored == {"sid": "sid", "pid": "p-i_d", "rooms": ["sid", "é"], "data": {"n": [1, b"\x00"]}}
    await client.close()


async def test_the_log_is_read_on_from_an_offset(scene: Scene) -> None:
    one, other = await scene.node(), await scene.node(nsp="/other")
    for number in range(1, 4):
        await one.wire.append(EVENT, number)
        await other.wire.append(Message(Kind.BROADCAST, "/other", "one", EVENT.data), number)
    await until(lambda: len(one.passed) == 3)
    assert [one.wire.place(each.offset) for each in one.passed] == [(1, 1), (1, 3), (1, 5)]
    first, *rest = one.passed
    page = await one.wire.read(first.offset)
    assert (list(page.entries), page.last, page.more) == (rest, rest[-1].offset, False)
    assert await one.wire.read(page.last) == ([], page.last, False)
    assert await one.wire.holds(first.offset)
    assert await one.wire.holds(f"{one.bus.tag}-0") is False
    assert await one.wire.holds(f"{one.bus.tag}-7") is False, "it has not come so far"
    await one.wire.reached(page.last)
    waiting = asyncio.ensure_future(one.wire.reached(f"{one.bus.tag}-8"))
    for number in (4, 5):
        await one.wire.append(EVENT, number)
    await waiting


async def test_offsets_that_are_none(scene: Scene) -> None:
    one = await scene.node()
    await one.wire.append(EVENT, 1)
    await one.wire.save(SESSION, 60)
    tag = one.bus.tag
    for strange in (
        "",
        "1",
        f"{tag}-",
        f"{tag}-01",
        f"{tag}-0",
        f"{tag}--1",
        f"{tag}-²",
        f"{tag}-" + "9" * 1000,
    ):
        assert not await one.wire.holds(strange)
        assert await one.wire.take(SESSION.pid, strange) is None
        with pytest.raises(BrokerUnavailable):
            await one.wire.read(strange)
    assert await one.wire.take(SESSION.pid, f"{tag}-2") is None
    assert await one.wire.take(SESSION.pid, f"{tag}-1") == (SESSION, f"{tag}-1", None), "it is still there"


async def test_of_all_who_ask_for_a_session_one_gets_it(scene: Scene) -> None:
    nodes = [await scene.node(uid=f"n{number}") for number in range(3)]
    await nodes[0].wire.append(EVENT, 1)
    nodes[0].wire.save(StoredSession("old", SESSION.pid, (), {}), 60)
    nodes[0].wire.save(SESSION, 60)
    offset = f"{nodes[0].bus.tag}-1"
    assert await nodes[0].wire.take("nobody", offset) is None
    taken = await asyncio.gather(*(node.wire.take(SESSION.pid, offset) for node in nodes * 3))
    assert [each.session for each in taken if each is not None] == [SESSION]
    assert await nodes[1].wire.take(SESSION.pid, offset) is None


async def test_who_has_got_everything_needs_no_older_broadcasts(scene: Scene) -> None:
    """The last event for a client may be long gone from the log: its session says that it has missed nothing since."""
    one, other = await scene.node(), await scene.node(nsp="/other")
    await one.wire.append(EVENT, 1)
    for number in range(2, 5):
        await one.wire.append(EVENT, number)
    await until(lambda: len(one.passed) == 4)
    tag = one.bus.tag
    session = StoredSession("sid", "p", (), {}, f"{tag}-1")
    for offset, kept in ((f"{tag}-1", True), (f"{tag}-2", False)):
        await one.wire.save(session, 60)
        client = await nats.connect(requirements.nats())
        await client.jsm().purge_stream(f"{scene.start}-log", seq=4)
        await client.close()
        taken = await other.wire.take("p", offset)
        assert taken is None, "of another namespace"
        taken = await one.wire.take("p", offset)
        assert taken == ((StoredSession("sid", "p", (), {}), f"{tag}-4", f"{tag}-4") if kept else None)
    assert await one.wire.holds(f"{tag}-3")
    assert not await one.wire.holds(f"{tag}-2")


async def test_sessions_that_are_none(scene: Scene) -> None:
    one = await scene.node()
    await one.wire.append(EVENT, 1)
    good = {"sid": "sid", "pid": "p", "rooms": [], "data": {}, "until": int(time.time() * 1000) + 60_000}
    rejected = 0
    for strange in (
        b"",
        b"\xc1",
        b"[]",
        b"{}",
        {**good, "pid": "other"},
        {**good, "rooms": 5},
        {**good, "sid": "a\n"},
        {**good, "until": None},
    ):
        payload = strange if isinstance(strange, bytes) else encode(strange)
        await one.bus.publish(one.wire._session("p"), payload)
        assert await one.wire.take("p", f"{one.bus.tag}-1") is None
        rejected += 1
        assert one.bus.health.rejected == rejected
    await one.bus.publish(one.wire._session("p"), encode({**good, "until": 1}))
    assert await one.wire.take("p", f"{one.bus.tag}-1") is None
    assert one.bus.health.rejected == rejected, "its time was up, and that is all"


async def test_who_does_not_follow_any_more_hears_nothing(scene: Scene) -> None:
    one, two = await scene.node(), await scene.node(uid="two")
    two.wire.close()
    await two.bus.settled()
    await one.wire.append(EVENT, 1)
    await until(lambda: len(one.passed) == 1)
    assert (two.passed, two.aways) == ([], 1)
    with pytest.raises(BrokerUnavailable):
        await two.wire.reached(one.passed[0].offset)
