"""The official adapter's format: what is sent in which form, and what comes in its order while attachments are fetched."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.adapters.messages import Broadcast, EventPacket, Kind, Message, Opts
from socketeer.adapters.postgres_wire import (
    Inbox,
    PostgresWire,
    attachment_id,
    channel_name,
    divide,
    opened,
    possible,
    repeated,
)
from socketeer.errors import BrokerUnavailable, PacketError
from socketeer.protocol.msgpack import pack_plain, unpack_plain
from socketeer.server.published import published
from tests.adapters.bus import Exchange, LoopBus

BEAT = Message(Kind.HEARTBEAT, "/", "other")


class Recorder(LoopBus):
    """Keeps what is published."""

    def __init__(self) -> None:
        super().__init__(Exchange())
        self.sent: list[tuple[str, bytes]] = []

    def publish(self, channel: str, payload: bytes) -> Awaitable[None]:
        self.sent.append((channel, payload))
        return published(None)


class Node:
    def __init__(self, nsp: str = "/", threshold: int = 8000) -> None:
        self.bus = Recorder()
        self.wire = PostgresWire(self.bus, nsp, "socket.io", threshold)
        self.heard: list[Message] = []
        self.wire.open("me", self.heard.append)


def event(*args: Any, nsp: str = "/") -> Message:
    return Message(Kind.BROADCAST, nsp, "other", Broadcast(opts=Opts(), packet=EventPacket(["news", *args])))


# --- what goes --------------------------------------------------------------------------------------


def test_channels_have_the_official_names() -> None:
    assert channel_name("socket.io", "/") == "socket.io#/"
    assert channel_name("socket.io", "/채팅") == "socket.io#/채팅"
    longest = "/" + "x" * 52
    assert channel_name("socket.io", longest) == f"socket.io#{longest}"


@pytest.mark.parametrize("nsp", ["/" + "x" * 53, "/" + "é" * 27, "/a\0b", "/\ud800"])
def test_what_can_be_no_channel_has_one_named_after_a_hash(nsp: str) -> None:
    name = channel_name("socket.io", nsp)
    assert len(name) <= 63
    assert name.isascii()
    assert "\0" not in name
    assert name != channel_name("socket.io", nsp + "x")
    assert name != channel_name("other", nsp)


def test_a_message_is_the_official_json() -> None:
    node = Node("/chat")
    node.wire.send(event(1, "é", nsp="/chat"))
    expected = (
        '{"type":3,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"packet":{"type":2,"data":["news",1,"é"]}},'
        '"uid":"other","nsp":"/chat"}'
    )
    ((channel, payload),) = node.bus.sent
    assert channel == "socket.io#/chat"
    assert json.loads(payload) == json.loads(expected)
    assert divide(payload) == (payload.decode(), None)


@pytest.mark.parametrize("args", [[b"\x00"], ["x" * 9_000], ["é" * 4_500], [{"a": [bytearray(b"b")]}]])
def test_what_is_binary_or_long_goes_through_the_table(args: list[Any]) -> None:
    node = Node()
    message = event(*args)
    node.wire.send(message)
    text, attachment = divide(node.bus.sent[0][1])
    assert text + '7"}' == '{"uid":"other","type":3,"attachmentId":"7"}'
    assert attachment is not None
    assert unpack_plain(attachment) == message.plain()


@pytest.mark.parametrize("threshold", [0, 100, 7_000, 8_000, 50_000])
def test_the_threshold_counts_bytes_and_a_notification_has_room_for_no_more(threshold: int) -> None:
    node = Node(threshold=threshold)
    most = min(threshold, 7_983)
    empty = len(json.dumps(event("").plain(), separators=(",", ":")))
    for extra in range(-2, 3):
        node.bus.sent.clear()
        size = max(0, most - empty + extra)
        node.wire.send(event("x" * size))
        text, attachment = divide(node.bus.sent[0][1])
        assert (attachment is None) == (empty + size <= most)
        assert len(text.encode()) <= 7_983


def test_an_answer_goes_to_all() -> None:
    node = Node()
    node.wire.answer("who asked", BEAT)
    assert [channel for channel, _ in node.bus.sent] == ["socket.io#/"]


async def test_nobody_says_how_many_listen() -> None:
    with pytest.raises(BrokerUnavailable):
        await Node().wire.server_count()


def test_equal_texts_in_one_transaction_differ_and_mean_the_same() -> None:
    texts = [repeated('{"a":1}', times) for times in range(5_000)]
    assert len(set(texts)) == 5_000
    assert texts[0] == '{"a":1}'
    assert max(map(len, texts)) < len(texts[0]) + 8
    assert all(json.loads(text) == {"a": 1} for text in texts[::97])


# --- what is not of this format ----------------------------------------------------------------------


@given(st.binary(max_size=300).filter(lambda payload: not payload.startswith(b"{")), st.integers(0, 5_000))
def test_bytes_arrive_as_they_are(payload: bytes, times: int) -> None:
    text, attachment = divide(payload)
    assert attachment is None
    assert json.loads(text) == {"bytes": base64.b64encode(payload).decode()}
    assert opened(repeated(text, times).encode()) == payload
    assert attachment_id(text.encode()) is None


@pytest.mark.parametrize("threshold", [0, 13, 100, 7_983, 50_000])
def test_bytes_that_a_notification_has_no_room_for_are_an_attachment(threshold: int) -> None:
    most = min(threshold, 7_983)
    fits = max(-1, (most - len('{"bytes":""}')) // 4 * 3)
    for size in range(max(0, fits - 3), fits + 4):
        payload = b"\xf1\n" * size
        payload = payload[:size]
        text, attachment = divide(payload, threshold)
        if size <= fits:
            assert len(text) <= most
            assert (opened(text.encode()), attachment) == (payload, None)
        else:
            assert attachment_id(f'{text}7"}}'.encode()) == 7
            assert attachment == payload


def test_json_is_in_no_envelope() -> None:
    for payload in (b'{"uid":"a"}', b"{}", b'{"bytes":5}', b"", b"[]", b'"bytes"'):
        assert opened(payload) == payload


@pytest.mark.parametrize(
    "payload",
    [
        b'{"bytes":"',
        b'{"bytes":"}',
        b'{"bytes":"QQ=="',
        b'{"bytes":"QQ"}',
        b'{"bytes":"QQ=A"}',
        b'{"bytes":"QQ==QQ=="}',
        b'{"bytes":"Q Q="}',
        b'{"bytes":"-_8="}',
        b'{"bytes":"QQ==","more":"QQ=="}',
        b'{"bytes":"\xff"}',
        b'{"bytes":"QQ=="}x',
    ],
)
def test_what_is_no_envelope(payload: bytes) -> None:
    with pytest.raises(PacketError):
        opened(payload)


def test_an_inbox_opens_envelopes_in_their_order() -> None:
    order = Order()
    frames = [b"\xf1" + b"%d" % number for number in range(4)]
    texts = [divide(frame)[0].encode() for frame in frames]
    assert order.inbox.take("a", texts[0])
    order.take("a", 7, stored=True)
    assert order.inbox.take("a", texts[1])
    with pytest.raises(PacketError):
        order.inbox.take("a", b'{"bytes":"?"}')
    assert order.inbox.take("a", texts[2])
    assert order.got == {"a": frames[:1]}
    order.fetch(1)
    assert order.got == {"a": [frames[0], b"7", *frames[1:3]]}
    assert order.inbox._size == 0


def test_names_that_cannot_be_are_hashes() -> None:
    longest = "x" * 50 + "-node#abcdef#"
    assert possible(longest) == longest
    hashed = [possible(f"{'x' * length}-node#abcde{end}#") for length in (51, 500) for end in "fg"]
    assert len(set(hashed)) == 4
    assert all(len(name) <= 63 and possible(name) == name for name in hashed)


# --- what comes -------------------------------------------------------------------------------------


def test_json_and_attachments_are_heard() -> None:
    node = Node()
    plain = {**event(1).plain(), "nodeId": "of a cluster of Node.js"}
    for payload in (json.dumps(plain).encode(), pack_plain(plain)):
        node.wire.receive(payload)
    assert [message.data.packet.data for message in node.heard] == [["news", 1]] * 2  # type: ignore[union-attr]


def test_a_missing_namespace_is_that_of_the_channel() -> None:
    """The official emitter does not name it."""
    node = Node("/chat")
    plain = event(1, nsp="/chat").plain()
    del plain["nsp"]
    node.wire.receive(json.dumps(plain).encode())
    assert [message.nsp for message in node.heard] == ["/chat"]


def test_oneself_and_other_namespaces_are_not_heard() -> None:
    node = Node()
    for message in (Message(Kind.HEARTBEAT, "/", "me"), Message(Kind.HEARTBEAT, "/chat", "other")):
        node.wire.receive(json.dumps(message.plain()).encode())
    assert (node.heard, node.bus.health.rejected) == ([], 0)


def test_after_the_end_nothing_is_heard() -> None:
    node = Node()
    node.wire.close()
    node.wire.receive(json.dumps(BEAT.plain()).encode())
    assert (node.heard, any(node.bus.exchange.receivers.values())) == ([], False)


HOSTILE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'{"type":3}',
    b'{"type":3,"uid":5,"nsp":"/"}',
    b'{"type":99,"uid":"other"}',
    b'{"type":2,"uid":"other","nsp":["/"]}',
    b'{"type":3,"uid":"other","data":{"opts":{},"packet":{"data":["connect"]}}}',
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b"\xc1",
    b"\x81",
    b"\xdd\xff\xff\xff\xff",
    b"\x91" * 3_000,
    pack_plain(BEAT.plain())[:-1],
    pack_plain(BEAT.plain()) + b"\0",
]


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_message_is_counted(payload: bytes) -> None:
    node = Node()
    node.wire.receive(payload)
    node.wire.receive(json.dumps(BEAT.plain()).encode())
    assert (node.heard, node.bus.health.rejected) == ([BEAT], 1)


@given(st.binary(max_size=200))
def test_whatever_comes_does_no_harm(payload: bytes) -> None:
    node = Node()
    node.wire.receive(payload)
    node.wire.receive(pack_plain(event(1).plain())[: len(payload)] + payload)
    assert node.heard == []


@pytest.mark.parametrize(
    ("payload", "number"),
    [
        (b'{"uid":"a","type":3,"attachmentId":"17"}', 17),
        (b'{"attachmentId":17}', 17),
        (b'{"attachmentId":"9223372036854775807"}', 2**63 - 1),
        (b'{"uid":"a"}', None),
        (b'{"uid":"a","attachmentId":null}', None),
        (b'{"data":{"attachmentId":"17"}}', None),
        (b'["attachmentId"]', None),
    ],
)
def test_the_id_of_an_attachment(payload: bytes, number: int | None) -> None:
    assert attachment_id(payload) == number


@pytest.mark.parametrize(
    "number",
    [
        '"-1"',
        '"0"',
        "0",
        "-5",
        "1.0",
        "true",
        '""',
        '"x"',
        '"9223372036854775808"',
        "1e400",
        '"1' + "0" * 5_000 + '"',
    ],
)
def test_what_is_no_id(number: str) -> None:
    with pytest.raises(PacketError):
        attachment_id(b'{"attachmentId":%b}' % number.encode())


def test_an_id_in_what_is_no_json() -> None:
    with pytest.raises(PacketError):
        attachment_id(b'{"attachmentId"')


# --- the order --------------------------------------------------------------------------------------


class Order:
    """An inbox, and what has been handed on."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self.inbox = Inbox(lambda channel, payload: self.got.setdefault(channel, []).append(payload), limit)
        self.got: dict[str, list[bytes]] = {}
        self.missed: list[tuple[str, int]] = []

    def take(self, channel: str, number: int, stored: bool) -> bool:
        text = b'{"attachmentId":%d}' % number if stored else b"%d" % number
        return self.inbox.take(channel, text)

    def fetch(self, most: int, some: int = 1_000) -> None:
        """Fetch those that are wanted, or only the first of them."""
        found = {number: b"%d" % number for number in self.inbox.wanted(most)[:some]}
        self.inbox.fetched(found, lambda channel, number: self.missed.append((channel, number)))


def test_what_comes_later_waits_for_an_attachment() -> None:
    order = Order()
    order.take("a", 1, stored=False)
    order.take("a", 2, stored=True)
    order.take("a", 3, stored=False)
    order.take("b", 4, stored=False)
    assert order.got == {"a": [b"1"], "b": [b"4"]}
    order.fetch(10)
    assert order.got["a"] == [b"1", b"2", b"3"]
    assert not order.inbox.waiting


def test_what_is_not_to_be_had_is_told_and_passed_over() -> None:
    order = Order()
    order.take("a", 1, stored=True)
    order.take("a", 2, stored=False)
    order.inbox.wanted(10)
    order.inbox.fetched({1: None}, lambda channel, number: order.missed.append((channel, number)))
    assert (order.got, order.missed) == ({"a": [b"2"]}, [("a", 1)])


def test_one_attachment_for_many() -> None:
    order = Order()
    for channel in "aba":
        order.take(channel, 5, stored=True)
    assert order.inbox.wanted(10) == [5]
    order.fetch(10)
    assert order.got == {"a": [b"5", b"5"], "b": [b"5"]}


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 3), st.integers(1, 3)), max_size=80
    )
)
def test_each_channel_keeps_its_order(steps: list[tuple[str, bool, int, int]]) -> None:
    order, sent = Order(), dict[str, list[bytes]]()
    for number, (channel, stored, fetches, some) in enumerate(steps, 1):
        assert order.take(channel, number, stored)
        sent.setdefault(channel, []).append(b"%d" % number)
        if fetches == 3:
            order.fetch(5, some)
        assert all(order.got.get(each, []) == sent[each][: len(order.got.get(each, []))] for each in sent)
    while order.inbox.waiting:
        order.fetch(2)
    assert order.got == sent
    assert order.inbox.clear() == 0
    assert order.inbox._size == 0


def test_what_waits_is_bounded() -> None:
    order = Order(limit=10_000)
    taken = [order.take("a", 1, stored=True)]
    while taken[-1]:
        taken.append(order.take("a", 2, stored=False))
    assert 10 < len(taken) < 35
    assert order.take("b", 3, stored=False), "who waits for nothing is not held up"
    assert order.inbox.clear() == len(taken) - 1
    assert not order.inbox.waiting
    assert order.take("a", 4, stored=False)
    assert order.got == {"b": [b"3"], "a": [b"4"]}
