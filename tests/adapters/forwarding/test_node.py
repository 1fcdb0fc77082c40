"""What comes over the bus and is not what a node of this cluster would send: dropped and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from socketeer.adapters.forwarding import Forwarding
from socketeer.adapters.forwarding import node as node_module
from socketeer.adapters.forwarding.frames import (
    OPENING,
    Answered,
    Asked,
    Frame,
    Kind,
    decode,
    encode,
    pack,
    pack_number,
    record,
)
from socketeer.adapters.health import LinkState
from socketeer.errors import BrokerUnavailable
from tests.adapters.forwarding.stage import Node, Poller, cluster, joined, until

FORGER = "forger"


@pytest.fixture
async def nodes() -> AsyncIterator[list[Node]]:
    async with cluster() as made:
        yield made


class Wire:
    """What a third party that can write to the broker sees and says."""

    def __init__(self, target: Node) -> None:
        self.bus = target.bus
        self.target = f"test-node#{target.engine.node_id}#"
        self.seen: list[Frame] = []
        self.bus.subscribe(f"test-node#{FORGER}#", lambda payload: self.seen.append(decode(payload)))

    async def say(
        self, kind: Kind, tunnel: int, number: int, body: bytes = b"", sender: str = FORGER
    ) -> None:
        await self.raw(encode(kind, sender, tunnel, number, body))

    async def raw(self, payload: bytes) -> None:
        self.bus.publish(self.target, payload)
        for _ in range(5):
            await asyncio.sleep(0)


def forwarding(node: Node) -> Forwarding:
    assert node.io._forwarding is not None
    return node.io._forwarding


def post(poller: Poller, body: bytes) -> bytes:
    return pack(Asked(poller.sid, "POST", 4, headers={"content-length": str(len(body))}, body=body))


@pytest.mark.parametrize("payload", [b"", b"\x00" * 100, b'{"type":3}', b"\xf1" * 24, b"\xff" * 100_000])
async def test_what_is_no_frame(nodes: list[Node], payload: bytes) -> None:
    await Wire(nodes[0]).raw(payload)
    assert nodes[0].bus.health.rejected == 1


async def test_a_request_that_is_said_again_is_not_done_again(nodes: list[Node]) -> None:
    a, _ = nodes
    poller, wire = await joined(a), Wire(a)
    body = post(poller, b'42["echo",1]')
    await wire.say(Kind.REQUEST, 5, 0, body)
    await until(lambda: a.heard == [1])
    for tunnel in (5, 4, 0):
        await wire.say(Kind.REQUEST, tunnel, 0, body)
    await wire.say(Kind.REQUEST, 6, 1, body)
    assert (a.heard, a.bus.health.rejected) == ([1], 4)
    await wire.say(Kind.REQUEST, 6, 0, body)
    await until(lambda: a.heard == [1, 1])
    assert [each.kind for each in wire.seen] == [Kind.RESPONSE, Kind.RESPONSE]


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.QUESTION, Kind.SOCKET])
@pytest.mark.parametrize("body", [b"", b"\xc0", pack(["x", "GET", 4]), pack(Answered(200))])
async def test_an_opening_of_nothing(nodes: list[Node], kind: Kind, body: bytes) -> None:
    a, _ = nodes
    await Wire(a).say(kind, 5, 0, body)
    assert (a.bus.health.rejected, a.tunnels) == (1, 0)


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.QUESTION, Kind.SOCKET])
async def test_a_session_that_is_not_there_is_refused(nodes: list[Node], kind: Kind) -> None:
    a, _ = nodes
    wire = Wire(a)
    await wire.say(kind, 5, 0, pack(Asked("abcdef12345678901234", "GET", 4)))
    await until(lambda: wire.seen)
    assert [each.kind for each in wire.seen] == [Kind.REFUSED]
    assert (a.bus.health.rejected, a.tunnels) == (0, 0)


async def test_a_node_that_seems_to_ask_itself(nodes: list[Node]) -> None:
    a, _ = nodes
    poller = await joined(a)
    await Wire(a).say(Kind.REQUEST, 5, 0, post(poller, b'42["echo",1]'), sender=a.engine.node_id)
    assert (a.bus.health.rejected, a.heard) == (1, [])


async def test_frames_of_tunnels_that_are_not_there(nodes: list[Node]) -> None:
    """They may just be late, so they are not counted."""
    a, _ = nodes
    wire = Wire(a)
    for kind in Kind:
        if kind not in OPENING:
            await wire.say(kind, 99, 0)
    assert (a.bus.health.rejected, a.tunnels) == (0, 0)
    assert [each.kind for each in wire.seen] == [Kind.ALIVE, Kind.UNKNOWN, Kind.UNKNOWN]


async def test_an_answer_of_another_node_than_the_owner_is_not_taken(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    poll = asyncio.create_task(poller.get(b))
    await until(lambda: a.tunnels)
    (peer,) = forwarding(b)._peers
    (tunnel,) = peer.tunnels
    wire = Wire(b)
    await wire.say(Kind.RESPONSE, tunnel, 1, pack(Answered(200, {}, False, b"4forged")))
    await wire.say(
        Kind.RESPONSE, tunnel, 0, pack(Answered(200, {}, False, b"4forged")), sender=a.engine.node_id
    )
    a.io.emit("real")
    assert (await poll).body == b'42["real"]'
    assert b.bus.health.rejected == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.RESPONSE, b""),
        (Kind.RESPONSE, pack(Answered(200, {"x": "y"}))[:-1]),
        (Kind.REFUSED, b"\x00"),
        (Kind.DATA, record(0, b"x")),
        (Kind.CREDIT, b"1"),
        (Kind.CREDIT, pack_number(10**6)),
        (Kind.CLOSED, b""),
        (Kind.RELEASE, b""),
    ],
)
async def test_what_does_not_belong_to_an_answer_ends_it(nodes: list[Node], kind: Kind, body: bytes) -> None:
    a, b = nodes
    poller = await joined(a)
    poll = asyncio.create_task(poller.get(b))
    await until(lambda: a.tunnels)
    await asyncio.sleep(0.02)  # the owner has said that it is at it
    (peer,) = forwarding(b)._peers
    (tunnel,) = peer.tunnels
    await Wire(b).say(kind, tunnel, 1, body, sender=a.engine.node_id)
    assert (await poll).status == 400
    assert b.bus.health.rejected == 1
    await until(lambda: not a.tunnels)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.DATA, record(0, b"x")[:-1]),
        (Kind.DATA, record(0, b"42[]") + record(0, b"more")),
        (Kind.ACCEPTED, b""),
        (Kind.RESPONSE, b""),
    ],
)
async def test_what_does_not_belong_to_a_request_ends_it(nodes: list[Node], kind: Kind, body: bytes) -> None:
    a, _ = nodes
    poller, wire = await joined(a), Wire(a)
    asked = Asked(poller.sid, "POST", 4, headers={"content-length": "10"}, follows=True)
    await wire.say(Kind.REQUEST, 5, 0, pack(asked))
    await wire.say(kind, 5, 1, body)
    assert a.bus.health.rejected == 1
    await until(lambda: not a.tunnels)
    assert a.heard == []


async def test_more_tunnels_than_may_be_are_refused(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = nodes
    poller, wire = await joined(a), Wire(a)
    monkeypatch.setattr(node_module, "MOST_TUNNELS", 0)
    await wire.say(Kind.REQUEST, 5, 0, post(poller, b'42["echo",1]'))
    assert [each.kind for each in wire.seen] == [Kind.REFUSED]
    assert a.heard == []


async def test_what_travels_of_a_request_is_bounded(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    payloads: list[bytes] = []
    a.bus.subscribe(f"test-node#{a.engine.node_id}#", payloads.append)
    headers: list[Any] = [
        ("cookie", "secret=1"),
        ("authorization", "secret"),
        ("user-agent", "x" * 10_000 + "\u00e9"),
        ("accept-encoding", "gzip, " * 1000),
        ("content-type", "text/plain\u00e9"),
    ]
    assert (await poller.post(b, b'42["echo",1]', headers=headers)).status == 200
    assert len(payloads[0]) < 1000
    assert b"secret" not in payloads[0]
    assert b"accept-encoding" not in payloads[0]


async def test_a_node_that_has_only_just_begun_waits_for_its_bus(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    b.bus.health.state = LinkState.CONNECTING
    up = asyncio.Event()

    async def settled() -> None:
        await up.wait()
        b.bus.health.up()

    b.bus.settled = settled
    poll = asyncio.create_task(poller.post(b, b'42["echo",1]'))
    await asyncio.sleep(0)
    up.set()
    assert (await poll).status == 200


async def test_but_not_for_long(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    b.bus.health.state = LinkState.CONNECTING

    async def settled() -> None:
        raise BrokerUnavailable("of the test")

    b.bus.settled = settled
    assert (await poller.get(b)).status == 503
