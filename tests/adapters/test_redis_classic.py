"""The classic format, to the byte where the official adapter's bytes are known, over a bus in this process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.adapters.cluster import ClusterAdapter
from socketeer.adapters.codec import decode, encode
from socketeer.adapters.redis_classic import ClassicWire
from socketeer.protocol.msgpack import pack_plain
from socketeer.server.adapter import AdapterHost
from socketeer.server.server import BaseServer
from socketeer.testing.stage import Actor
from tests.adapters.bus import Exchange, LoopBus

REQUESTS, RESPONSES = "socket.io-request#/#", "socket.io-response#/#"


class Node:
    """A server, and another node's ears and mouth on the same bus."""

    def __init__(self, *, specific: bool = False) -> None:
        exchange = Exchange()
        bus, self.bus = LoopBus(exchange), LoopBus(exchange)

        def adapter(nsp: AdapterHost) -> ClusterAdapter:
            wire = ClassicWire(bus, nsp.name, "socket.io", specific=specific)
            made = ClusterAdapter(nsp, wire, 5.0)
            wire.local = made
            return made

        self.io = BaseServer(adapter=adapter)
        self.io.start()
        self.adapter: Any = self.io.adapter

    def listen(self, channel: str) -> list[bytes]:
        heard: list[bytes] = []
        self.bus.subscribe(channel, heard.append)
        return heard

    async def tell(self, channel: str, payload: bytes) -> None:
        self.bus.publish(channel, payload)
        for _ in range(4):  # there, and an answer back
            await asyncio.sleep(0)


async def test_a_broadcast_is_what_the_official_adapter_sends() -> None:
    node = Node()
    own, uid = node.adapter.uid, "pWQd_I"
    heard = node.listen("socket.io#/#r1#")
    node.adapter.uid = uid
    node.io.to("r1").except_("r2").volatile.compress(False).emit("hi")
    node.adapter.uid = own
    await asyncio.sleep(0)
    official = (
        "93a6" + uid.encode().hex() + "83a47479706502a46461746191a26869a36e7370a12f83a5726f6f6d7391a27231"
        "a665786365707491a27232a5666c61677382a8766f6c6174696c65c3a8636f6d7072657373c2"
    )
    assert [each.hex() for each in heard] == [official]
    await node.io.close()


async def test_requests_have_the_official_names() -> None:
    node = Node()
    heard, uid = node.listen(REQUESTS), node.adapter.uid
    node.io.in_("a").except_("b").sockets_join("c")
    node.io.in_("a").sockets_leave(["c", "d"])
    node.io.disconnect_sockets(True)
    node.io.server_side_emit("hello", 1)
    await asyncio.sleep(0)
    assert [decode(each) for each in heard] == [
        {"uid": uid, "type": 2, "opts": {"rooms": ["a"], "except": ["b"]}, "rooms": ["c"]},
        {"uid": uid, "type": 3, "opts": {"rooms": ["a"], "except": []}, "rooms": ["c", "d"]},
        {"uid": uid, "type": 4, "opts": {"rooms": [], "except": []}, "close": True},
        {"uid": uid, "type": 6, "data": ["hello", 1]},
    ]
    await node.io.close()


async def test_names_of_rooms_and_sockets_are_told_to_who_asks() -> None:
    node = Node()
    actor = Actor(node.io, 0)
    actor.socket.join("a")
    heard = node.listen(RESPONSES)
    await node.tell(REQUESTS, encode({"uid": "x", "requestId": "1", "type": 1}))
    await node.tell(REQUESTS, encode({"uid": "x", "requestId": "2", "type": 0, "rooms": ["a"]}))
    await node.tell(REQUESTS, encode({"uid": "x", "requestId": "3", "type": 0, "rooms": ["b"]}))
    assert [decode(each) for each in heard] == [
        {"requestId": "1", "rooms": [actor.id, "a"]},
        {"requestId": "2", "sockets": [actor.id]},
        {"requestId": "3", "sockets": []},
    ]
    await node.io.close()


async def test_an_old_request_for_one_socket_is_answered_by_who_has_it() -> None:
    node = Node()
    actor = Actor(node.io, 0)
    heard = node.listen(RESPONSES)
    await node.tell(REQUESTS, encode({"requestId": "1", "type": 2, "sid": "nobody", "room": "a"}))
    await node.tell(REQUESTS, encode({"requestId": "2", "type": 2, "sid": actor.id, "room": "a"}))
    assert "a" in actor.socket.rooms
    await node.tell(REQUESTS, encode({"requestId": "3", "type": 3, "sid": actor.id, "room": "a"}))
    assert "a" not in actor.socket.rooms
    await node.tell(REQUESTS, encode({"requestId": "4", "type": 4, "sid": actor.id, "close": True}))
    assert not actor.socket.connected
    assert [decode(each) for each in heard] == [{"requestId": number} for number in "234"]
    await node.io.close()


@pytest.mark.parametrize("specific", [False, True])
async def test_answers_go_to_all_or_to_who_asked(specific: bool) -> None:
    node = Node(specific=specific)
    to_all, to_one = node.listen(RESPONSES), node.listen(f"{RESPONSES}x#")
    opts: dict[str, Any] = {"rooms": [], "except": []}
    await node.tell(REQUESTS, encode({"uid": "x", "requestId": "1", "type": 5, "opts": opts}))
    packet = {"type": 2, "data": ["a"], "nsp": "/"}
    await node.tell(
        REQUESTS,
        pack_plain(
            {"uid": "x", "requestId": "2", "type": 7, "packet": packet, "opts": {**opts, "flags": {}}}
        ),
    )
    expected = [{"requestId": "1", "sockets": []}, {"type": 8, "requestId": "2", "clientCount": 0}]
    assert [decode(each) for each in (to_one if specific else to_all)] == expected
    assert (to_all if specific else to_one) == []
    await node.io.close()


BROADCAST = "socket.io#/#*"


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        (BROADCAST, b""),
        (BROADCAST, b"{}"),
        (BROADCAST, b"\xc1"),
        (BROADCAST, pack_plain({})),
        (BROADCAST, pack_plain(["x"])),
        (BROADCAST, pack_plain(["x", {}, {}])),
        (BROADCAST, pack_plain([5, {"type": 2, "data": ["a"]}, {}])),
        (BROADCAST, pack_plain(["x", {"type": 2, "data": ["connect"]}, {}])),
        (BROADCAST, pack_plain(["x", {"type": 2, "data": ["a"]}, None])),
        (BROADCAST, b"\x91" * 5000),
        (REQUESTS, b""),
        (REQUESTS, b"{"),
        (REQUESTS, b"[1]"),
        (REQUESTS, b"{}"),
        (REQUESTS, b'{"type":{}}'),
        (REQUESTS, b'{"type":[]}'),
        (REQUESTS, b'{"type":99}'),
        (REQUESTS, b'{"type":1,"uid":[1]}'),
        (REQUESTS, b'{"type":2,"sid":[]}'),
        (REQUESTS, b'{"type":2,"sid":"a","room":{}}'),
        (REQUESTS, b'{"type":5,"uid":"x"}'),
        (REQUESTS, b'{"type":6,"uid":"x","data":[]}'),
        (RESPONSES, b""),
        (RESPONSES, b"5"),
        (RESPONSES, b'{"type":8}'),
        (RESPONSES, b'{"type":9,"requestId":5}'),
        (RESPONSES, b'{"requestId":"a","sockets":[5]}'),
    ],
)
async def test_what_is_no_message_is_counted_and_dropped(
    channel: str, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node()
    await node.tell(channel, payload)
    assert node.adapter.health.rejected == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await node.io.close()


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        (BROADCAST, pack_plain(["x", {"type": 2, "data": ["a"], "nsp": "/other"}, {}])),
        (REQUESTS, b'{"uid":"x","type":1,"requestId":{}}'),
        (RESPONSES, b"{}"),
        (RESPONSES, b'{"type":[]}'),
        (RESPONSES, b'{"requestId":"a"}'),
        (RESPONSES, b'{"requestId":"a","sockets":["an-id"]}'),
        (RESPONSES, b'{"requestId":"a","sockets":[]}'),
        (RESPONSES, b'{"type":6,"requestId":"a"}'),
    ],
)
async def test_what_is_for_others_is_passed_over(
    channel: str, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node()
    await node.tell(channel, payload)
    assert node.adapter.health.rejected == 0
    assert caplog.records == []
    await node.io.close()
