"""Messages on channels: their names, which are the official sharded adapter's, and who hears what."""

from __future__ import annotations

import pytest

from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.codec import encode
from socketeer.adapters.messages import Answer, Kind, Message
from tests.adapters.bus import Exchange, LoopBus
from tests.engine.fakes import settle


class Node:
    """A wire, and what it has heard."""

    def __init__(self, exchange: Exchange, uid: str, nsp: str = "/") -> None:
        self.bus = LoopBus(exchange)
        self.wire = ChannelWire(self.bus, nsp, "socket.io")
        self.heard: list[Message] = []
        self.wire.open(uid, self.heard.append)


def beat(uid: str, nsp: str = "/") -> Message:
    return Message(Kind.HEARTBEAT, nsp, uid)


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.mark.parametrize("nsp", ["/", "/chat"])
def test_the_channels_have_the_official_names(exchange: Exchange, nsp: str) -> None:
    node = Node(exchange, "a", nsp)
    assert set(exchange.receivers) == {f"socket.io#{nsp}#", f"socket.io#{nsp}#a#"}
    node.wire.close()
    assert not any(exchange.receivers.values())


async def test_others_hear_and_oneself_does_not(exchange: Exchange) -> None:
    a, b, c = (Node(exchange, uid) for uid in "abc")
    a.wire.send(beat("a"))
    b.wire.send(beat("b"))
    await settle()
    assert (a.heard, b.heard, c.heard) == ([beat("b")], [beat("a")], [beat("a"), beat("b")])
    assert [node.bus.health.rejected for node in (a, b, c)] == [0, 0, 0]


async def test_an_answer_reaches_who_has_asked(exchange: Exchange) -> None:
    a, b, c = (Node(exchange, uid) for uid in "abc")
    answer = Message(Kind.BROADCAST_ACK, "/", "a", Answer(request_id="r1", packet=b"x"))
    a.wire.answer("b", answer)
    await settle()
    assert (a.heard, b.heard, c.heard) == ([], [answer], [])


async def test_another_namespace_is_not_heard(exchange: Exchange) -> None:
    node, chat = Node(exchange, "a"), Node(exchange, "b", "/chat")
    chat.wire.send(beat("b", "/chat"))
    node.bus.publish("socket.io#/#", encode(beat("b", "/chat").plain()))
    await settle()
    assert node.heard == []
    node.bus.publish("socket.io#/#", encode(beat("b").plain()))
    await settle()
    assert node.heard == [beat("b")]


async def test_what_is_no_message_is_counted_and_what_follows_is_heard(exchange: Exchange) -> None:
    node = Node(exchange, "a")
    for payload in (b"\xc1", b"{}", encode(beat("b").plain())):
        node.bus.publish("socket.io#/#", payload)
    await settle()
    assert node.bus.health.rejected == 2
    assert node.heard == [beat("b")]


async def test_what_is_on_its_way_at_the_end_is_not_heard(exchange: Exchange) -> None:
    node = Node(exchange, "a")
    receive = node.wire.receive
    node.wire.close()
    receive(encode(beat("b").plain()))
    assert node.heard == []


async def test_the_nodes_are_those_that_listen(exchange: Exchange) -> None:
    a, b, _ = Node(exchange, "a"), Node(exchange, "b"), Node(exchange, "c", "/chat")
    assert await a.wire.server_count() == 2
    b.wire.close()
    assert await a.wire.server_count() == 1
