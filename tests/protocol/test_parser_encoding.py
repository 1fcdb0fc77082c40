"""Encoding; and the round trip, for any payload that can be sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from socketeer.errors import PacketError
from socketeer.protocol.frame import Message
from socketeer.protocol.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED_EVENTS, Packet
from socketeer.protocol.parser import Parser, Partial

CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float


class Picture(msgspec.Struct):
    name: str
    pixels: bytes


class Album(BaseModel):
    title: str
    cover: bytes


def event(*args: Any, prefix: bytes = b"", ack_id: int | None = None) -> Message:
    return Parser().encode_event(prefix, ack_id, args)


# --- the bytes -------------------------------------------------------------------------------------


def test_an_event_byte_by_byte() -> None:
    assert event("foo").text == b'42["foo"]'
    assert event("foo", 1, None, "\u00e9", {"a": [True, 2.5]}).text == (
        '42["foo",1,null,"\u00e9",{"a":[true,2.5]}]'.encode()
    )
    assert event("foo", ack_id=0).text == b'420["foo"]'
    assert event("foo", ack_id=12).text == b'4212["foo"]'
    assert event("foo", prefix=b"/admin,").text == b'42/admin,["foo"]'
    assert event("foo", prefix=b"/admin,", ack_id=12).text == b'42/admin,12["foo"]'
    assert Parser().encode_event(b"", None, ["foo"]).text == b'42["foo"]'


def test_an_acknowledgement_byte_by_byte() -> None:
    parser = Parser()
    assert parser.encode_ack(b"", 0, ()).text == b"430[]"
    assert parser.encode_ack(b"/admin,", 12, (1, "a")).text == b'43/admin,12[1,"a"]'


@pytest.mark.parametrize(
    ("type_", "prefix", "data", "text"),
    [
        (CONNECT, b"", {"sid": "x"}, b'40{"sid":"x"}'),
        (CONNECT, b"/admin,", {"sid": "x"}, b'40/admin,{"sid":"x"}'),
        (CONNECT, b"", None, b"40"),
        (DISCONNECT, b"", None, b"41"),
        (DISCONNECT, b"/admin,", None, b"41/admin,"),
        (CONNECT_ERROR, b"", {"message": "no"}, b'44{"message":"no"}'),
        (CONNECT_ERROR, b"/admin,", {"message": "no", "data": [1]}, b'44/admin,{"message":"no","data":[1]}'),
    ],
)
def test_control_packets_byte_by_byte(type_: int, prefix: bytes, data: Any, text: bytes) -> None:
    assert Parser().encode_control(type_, prefix, data) == Message(text)


def test_binary_leaves_placeholders_in_the_order_of_the_payload() -> None:
    message = event("foo", b"0", {"a": [bytearray(b"1")], "b": {"c": memoryview(b"2")}}, b"")
    assert message.text == (
        b'454-["foo",{"_placeholder":true,"num":0},'
        b'{"a":[{"_placeholder":true,"num":1}],"b":{"c":{"_placeholder":true,"num":2}}},'
        b'{"_placeholder":true,"num":3}]'
    )
    assert list(message.attachments) == [b"0", b"1", b"2", b""]
    assert event("foo", b"0", prefix=b"/admin,", ack_id=7).text == (
        b'451-/admin,7["foo",{"_placeholder":true,"num":0}]'
    )
    acknowledged = Parser().encode_ack(b"/admin,", 7, (b"0",))
    assert acknowledged.text == b'461-/admin,7[{"_placeholder":true,"num":0}]'
    assert list(acknowledged.attachments) == [b"0"]


def test_what_is_sent_later_does_not_change_what_was_sent() -> None:
    sent = bytearray(b"before")
    message = event("foo", sent)
    sent[:] = b"after!"
    assert list(message.attachments) == [b"before"]


@pytest.mark.parametrize("compress", [True, False])
def test_events_say_whether_they_are_worth_compressing(compress: bool) -> None:
    parser = Parser()
    for args in (("foo",), ("foo", b"0")):
        assert parser.encode_event(b"", None, args, compress).compress is compress
        assert parser.encode_event(b"", 1, args, compress).compress is compress
        assert parser.encode_event(b"", 1, args).compress
        assert parser.encode_ack(b"", 1, args).compress


@pytest.mark.parametrize(
    ("nsp", "prefix"), [("/", b""), ("/admin", b"/admin,"), ("/d\u00e9j\u00e0", "/d\u00e9j\u00e0,".encode())]
)
def test_namespace_prefix(nsp: str, prefix: bytes) -> None:
    assert Parser().namespace_prefix(nsp) == prefix


# --- what can be sent ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (float("nan"), "null"),
        (float("inf"), "null"),
        ((1, (2,)), "[1,[2]]"),
        ({1}, "[1]"),
        (frozenset({"a"}), '["a"]'),
        ({2: "a", None: "b", True: "c", 2.5: "d"}, '{"2":"a","null":"b","true":"c","2.5":"d"}'),
        ({"a": {1: {2: 3}}}, '{"a":{"1":{"2":3}}}'),
        (datetime(2026, 11, 22, 12, 30, tzinfo=UTC), '"2026-11-22T12:30:00+00:00"'),
        (date(2026, 11, 22), '"2026-11-22"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Point(1, 2.5), '{"x":1,"y":2.5}'),
        ("\x1e\x00\u2028", '"\\u001e\\u0000\u2028"'),
        (2**64 - 1, "18446744073709551615"),
    ],
)
def test_values_become_what_javascript_makes_of_them(value: Any, json: str) -> None:
    assert event("foo", value) == Message(f'42["foo",{json}]'.encode())
    assert Parser().encode_ack(b"", 1, (value,)) == Message(f"431[{json}]".encode())


@pytest.mark.parametrize("value", [Picture("p", b"\x01"), Album(title="p", cover=b"\x01")])
def test_binary_within_models(value: Any) -> None:
    first = next(iter(value.__annotations__ if isinstance(value, BaseModel) else value.__struct_fields__))
    second = "cover" if first == "title" else "pixels"
    message = event("foo", [value])
    assert message.text == (
        f'451-["foo",[{{"{first}":"p","{second}":{{"_placeholder":true,"num":0}}}}]]'.encode()
    )
    assert list(message.attachments) == [b"\x01"]


def test_binary_beside_keys_that_are_no_strings() -> None:
    message = event("foo", b"0", {1: b"1"})
    assert message.text == (b'452-["foo",{"_placeholder":true,"num":0},{"1":{"_placeholder":true,"num":1}}]')
    assert list(message.attachments) == [b"0", b"1"]


@pytest.mark.parametrize(
    "value",
    [object(), {"a": [object]}, print, 2**64, "\ud800", {b"key": 1}, {(1, 2): 3}, {1: object()}, CIRCLE],
    ids=[
        "object",
        "class",
        "function",
        "integer",
        "surrogate",
        "bytes as key",
        "tuple as key",
        "key and value",
        "circle",
    ],
)
def test_what_cannot_be_sent(value: Any) -> None:
    parser = Parser()
    with pytest.raises(TypeError, match=r"^cannot send "):
        parser.encode_event(b"", None, ("foo", b"left over", value))
    with pytest.raises(TypeError, match=r"^cannot send "):
        parser.encode_ack(b"", 1, (b"left over", value))
    # Nothing of it is left for the next packet.
    assert parser.encode_event(b"", None, ("foo",)) == Message(b'42["foo"]')
    assert list(parser.encode_ack(b"", 1, (b"1",)).attachments) == [b"1"]


# --- there and back --------------------------------------------------------------------------------

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.binary(max_size=20),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
payloads = st.lists(values, max_size=5)
names = st.text().filter(lambda name: name not in RESERVED_EVENTS)
namespaces = st.one_of(st.just("/"), st.text(max_size=10).map(lambda name: "/" + name.replace(",", "")))
ids = st.integers(0, 2**53 - 1)


def received(message: Message) -> Packet:
    """What the other side's parser makes of it."""
    packet: Packet | Partial | None = Parser(10_000).decode(message.text)
    for number, attachment in enumerate(message.attachments, 1):
        assert isinstance(packet, Partial)
        assert packet.expected == len(message.attachments)
        done = packet.add(attachment)
        assert (done is not None) == (number == len(message.attachments))
        packet = packet if done is None else done
    assert isinstance(packet, Packet)
    return packet


@given(namespaces, st.none() | ids, names, payloads)
def test_an_event_arrives_as_it_was_sent(nsp: str, ack_id: int | None, name: str, args: list[Any]) -> None:
    message = Parser().encode_event(Parser().namespace_prefix(nsp), ack_id, [name, *args])
    assert received(message) == Packet(EVENT, nsp, [name, *args], ack_id)


@given(namespaces, ids, payloads)
def test_an_acknowledgement_arrives_as_it_was_sent(nsp: str, ack_id: int, args: list[Any]) -> None:
    message = Parser().encode_ack(Parser().namespace_prefix(nsp), ack_id, tuple(args))
    assert received(message) == Packet(ACK, nsp, args, ack_id)


@given(namespaces, names, payloads)
def test_half_a_packet_is_an_error_or_another_packet(nsp: str, name: str, args: list[Any]) -> None:
    """A text frame is whole or it is not: what is cut, and what has something behind it, is never accepted."""
    text = Parser().encode_event(Parser().namespace_prefix(nsp), 1, [name, *args]).text
    begin = text.index(b"1[") + 1 if nsp == "/" else text.index(b",1[") + 2
    for end in range(begin + 1, len(text)):
        with pytest.raises(PacketError):
            Parser(10_000).decode(text[:end])
    for tail in (b"]", b"1", b"\x1e", b'["foo"]'):
        with pytest.raises(PacketError):
            Parser(10_000).decode(text + tail)


# --- whatever comes --------------------------------------------------------------------------------

pieces = st.sampled_from(
    [
        *b'0123456789-/,[]{}":.? \xff\xc3',
        b'"foo"',
        b'["foo"',
        b'{"_placeholder":true,"num":0}',
        b"\xed\xa0\x80",
    ]
).map(lambda piece: bytes([piece]) if isinstance(piece, int) else piece)
packetlike = st.lists(pieces, max_size=20).map(b"".join)


@given(st.one_of(st.binary(), packetlike), st.lists(st.binary(max_size=3), max_size=12))
def test_any_bytes_are_a_packet_or_a_packet_error(data: bytes, attachments: list[bytes]) -> None:
    parser = Parser()
    try:
        packet: Packet | Partial | None = parser.decode(data, 0)
        while isinstance(packet, Partial) and attachments:
            packet = packet.add(attachments.pop()) or packet
    except PacketError:
        return
    if isinstance(packet, Packet):
        assert packet.type in {CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR}
        assert packet.nsp[:1] == "/"
        assert packet.id is None or packet.id < 2**53


@given(values, st.integers(1, 10), st.lists(st.binary(max_size=3), min_size=10, max_size=10))
def test_any_json_around_attachments(value: Any, count: int, attachments: list[bytes]) -> None:
    """Placeholders that a peer invented lead to its own attachments or to a packet error, and nowhere else."""

    def invented(value: Any) -> Any:
        if isinstance(value, bytes):
            return {"_placeholder": True, "num": len(value)}
        if isinstance(value, dict):
            return {key: invented(each) for key, each in value.items()}
        return [invented(each) for each in value] if isinstance(value, list) else value

    partial = Parser().decode(b"5%d-" % count + orjson.dumps(["foo", invented(value)]), 0)
    assert isinstance(partial, Partial)
    for each in attachments[: count - 1]:
        assert partial.add(each) is None
    try:
        packet = partial.add(attachments[count - 1])
    except PacketError:
        assert _most(value) >= count
    else:
        assert packet is not None
        assert _most(value) < count
        assert packet.data == ["foo", _replaced(value, attachments)]


def _most(value: Any) -> int:
    """The greatest number that a placeholder points at."""
    if isinstance(value, bytes):
        return len(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max(map(_most, inner), default=-1)


def _replaced(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, bytes):
        return attachments[len(value)]
    if isinstance(value, dict):
        return {key: _replaced(each, attachments) for key, each in value.items()}
    return [_replaced(each, attachments) for each in value] if isinstance(value, list) else value
