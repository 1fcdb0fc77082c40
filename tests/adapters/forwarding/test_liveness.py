"""Nodes that end without a word, that are busy, and messages that are lost between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from socketeer.adapters.forwarding import liveness
from socketeer.adapters.forwarding import node as node_module
from socketeer.errors import BrokerUnavailable
from tests.adapters.bus import LoopBus
from tests.adapters.forwarding.stage import Node, cluster, joined, until
from tests.engine.fakes import FakeCarrier


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes a moment, so that the tests need not wait."""
    monkeypatch.setattr(liveness, "ACCEPT_TIMEOUT", 0.1)
    monkeypatch.setattr(liveness, "STRANGER_TIMEOUT", 0.05)
    monkeypatch.setattr(liveness, "TICK", 0.05)


@pytest.fixture
async def nodes() -> AsyncIterator[list[Node]]:
    async with cluster() as made:
        yield made


def channel(node: Node) -> str:
    return f"test-node#{node.engine.node_id}#"


def kill(node: Node) -> None:
    """It hears nothing more, and the broker knows."""
    node.bus.exchange.receivers[channel(node)] = []
    node.bus.unsubscribe = lambda channel, receive: None
    node.bus.publish = lambda channel, payload: None


def deafen(node: Node) -> None:
    """It hears nothing more, and the broker does not know."""
    node.bus.exchange.receivers[channel(node)] = [(node.bus, lambda payload: None)]
    node.bus.unsubscribe = lambda channel, receive: None


async def test_an_owner_that_has_been_killed(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    await poller.post(b, b'42["echo",1]')
    kill(a)
    answer = await poller.get(b)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)
    assert len(b.io._forwarding._peers) == 0  # type: ignore[union-attr]


async def test_an_owner_that_is_killed_while_a_poll_waits(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    poll = asyncio.create_task(poller.get(b))
    await until(lambda: a.tunnels)
    kill(a)
    answer = await poll
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)
    assert b.tunnels == 0


async def test_an_owner_that_is_killed_closes_its_websockets_elsewhere(nodes: list[Node]) -> None:
    a, b = nodes
    ws = await (await joined(a)).upgraded(b)
    kill(a)
    await until(lambda: ws.closed)
    assert b.tunnels == 0


async def test_a_node_that_is_killed_takes_the_sessions_of_its_websockets_along(nodes: list[Node]) -> None:
    a, b = nodes
    await (await joined(a)).upgraded(b)
    kill(b)
    await until(lambda: a.reasons == ["transport error"])
    assert a.tunnels == 0


async def test_a_node_that_is_killed_takes_the_polls_that_wait_on_it_along(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    poll = asyncio.create_task(poller.get(b))
    await until(lambda: a.tunnels)
    kill(b)
    await until(lambda: a.reasons == ["transport error"])
    poll.cancel()


async def test_an_owner_that_is_there_but_busy_is_waited_for(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    forwarding = a.io._forwarding
    assert forwarding is not None
    held: list[bytes] = []
    receivers = a.bus.exchange.receivers
    receivers[channel(a)] = [(a.bus, held.append)]
    poll = asyncio.create_task(poller.post(b, b'42["echo",1]'))
    await asyncio.sleep(0.3)  # three times the patience with an owner that is not there
    assert not poll.done()
    receivers[channel(a)] = [(a.bus, forwarding.receive)]
    for payload in held:
        forwarding.receive(payload)
    assert (await poll).status == 200


async def test_an_owner_that_stays_busy_is_given_up(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "PATIENCE", 0.1)
    a, b = nodes
    poller = await joined(a)
    deafen(a)
    assert (await poller.get(b)).status == 400


async def test_a_silent_node_counts_as_gone_at_last_whatever_the_broker_says(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "DEAD_AFTER", 0.2)
    a, b = nodes
    ws = await (await joined(a)).upgraded(b)
    deafen(a)
    await until(lambda: ws.closed)


async def test_nodes_that_live_are_not_given_up(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "DEAD_AFTER", 3.0)
    a, b = nodes
    ws = await (await joined(a)).upgraded(b)
    published = b.bus.health.published
    await until(lambda: b.bus.health.published >= published + 5)  # they ask each other
    assert (ws.closed, a.reasons) == ([], [])


class Blind(LoopBus):
    """A bus that does not know who listens."""

    async def subscribers(self, channel: str) -> int:
        raise BrokerUnavailable("it cannot tell")


async def test_a_bus_that_cannot_tell_who_listens(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "UNSURE_PATIENCE", 0.1)
    a, b = nodes
    b.bus.__class__ = Blind
    poller = await joined(a)
    assert (await poller.post(b, b'42["echo",1]')).status == 200
    kill(a)
    assert (await poller.get(b)).status == 400
    answer = await b.handle("EIO=4&transport=polling&sid=abcdef12345678901234")
    assert answer.status == 400


class Gone(LoopBus):
    """A bus that goes away when it is asked."""

    async def subscribers(self, channel: str) -> int:
        self.health.away("of the test")
        raise BrokerUnavailable("of the test")


async def test_a_bus_that_goes_away_meanwhile(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    deafen(a)
    b.bus.__class__ = Gone
    assert (await poller.get(b)).status == 503


async def lost_on_the_way(a: Node, b: Node, ws: FakeCarrier) -> None:
    """One message of `a`'s never arrives at `b`."""
    receivers = a.bus.exchange.receivers
    there = receivers.pop(channel(b))
    a.io.local.emit("lost")
    await asyncio.sleep(0.01)
    receivers[channel(b)] = there
    assert ws.sent == []


async def test_a_lost_message_ends_its_tunnel(nodes: list[Node]) -> None:
    a, b = nodes
    ws = await (await joined(a)).upgraded(b)
    await lost_on_the_way(a, b, ws)
    a.io.local.emit("next")
    await until(lambda: ws.closed)
    await until(lambda: a.reasons == ["transport error"])
    assert (ws.sent, a.tunnels, b.tunnels) == ([], 0, 0)


@pytest.mark.parametrize("back", [0, 1])
async def test_a_link_that_has_been_away_finds_out_what_it_has_lost(nodes: list[Node], back: int) -> None:
    a, b = nodes
    ws = await (await joined(a)).upgraded(b)
    await lost_on_the_way(a, b, ws)
    nodes[back].bus.health.reconnections += 1
    await until(lambda: ws.closed and a.reasons)


async def test_a_link_that_has_been_away_and_has_lost_nothing_goes_on(nodes: list[Node]) -> None:
    a, b = nodes
    ws = await (await joined(a)).upgraded(b)
    published = a.bus.health.published
    b.bus.health.reconnections += 1
    await until(lambda: a.bus.health.published > published)
    a.io.local.emit("news")
    await until(lambda: ws.sent)
    assert ws.closed == []


# --- nodes that end in order ------------------------------------------------------------------------


async def test_a_node_that_ends_has_the_polls_answered_that_wait_on_it(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    poll = asyncio.create_task(poller.get(b))
    await until(lambda: a.tunnels)
    await b.io.close()
    assert (await poll).body == b"6"
    assert (await poller.post(a, b'42["echo",1]')).status == 200
    assert (a.heard, a.reasons) == ([1], [])


async def test_polls_that_come_while_a_node_ends_are_sent_on(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    forwarding = b.io._forwarding
    assert forwarding is not None
    await forwarding.leave()
    assert (await poller.get(b)).body == b"6"
    assert (await poller.post(b, b'42["echo",1]')).status == 200
    assert a.heard == [1]


async def test_an_owner_that_ends_says_so_everywhere(nodes: list[Node]) -> None:
    a, b = nodes
    waiting, upgraded = await joined(a), await joined(a)
    poll = asyncio.create_task(waiting.get(b))
    ws = await upgraded.upgraded(b)
    await until(lambda: a.tunnels == 2)
    await a.io.close()
    assert (await poll).body.endswith(b"1")
    await until(lambda: ws.closed)
    assert b.tunnels == 0
    assert a.reasons == ["server shutting down"] * 2
    answer = await upgraded.get(b)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)


async def test_a_node_that_ends_closes_the_websockets_of_others(nodes: list[Node]) -> None:
    a, b = nodes
    ws = await (await joined(a)).upgraded(b)
    await b.io.close()
    await until(lambda: a.reasons == ["transport error"])
    assert ws.closed == ["close"]


async def test_no_more_tunnels_than_may_be(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = nodes
    poller = await joined(a)
    monkeypatch.setattr(node_module, "MOST_TUNNELS", 0)
    assert (await poller.get(b)).status == 503
