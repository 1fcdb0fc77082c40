"""The msgpack parser. That it agrees with the official one is shown in interop/test_parsers.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from math import isnan
from typing import Any
from uuid import UUID

import msgspec
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.errors import PacketError
from socketeer.protocol.frame import Message
from socketeer.protocol.msgpack import MsgpackParser
from socketeer.protocol.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED_EVENTS, Packet
from socketeer.testing.wire import check_packet

PARSER = MsgpackParser()
ROOT = PARSER.namespace_prefix("/")
NOON = datetime(2024, 2, 29, 12, 0, 0, 678_000, tzinfo=UTC)


def binary(message: Message) -> bytes:
    assert message.text == b""
    (data,) = message.attachments
    return data


def arrives(*args: Any) -> list[Any]:
    """What a peer gets of an event's arguments."""
    packet = PARSER.decode_binary(binary(PARSER.encode_event(ROOT, None, ("x", *args))))
    got: list[Any]
    name, *got = packet.data
    assert name == "x"
    return got


def packed(**packet: Any) -> bytes:
    return ormsgpack.packb(packet)


def with_payload(payload: bytes, type_: int = EVENT) -> bytes:
    """A packet with a payload that is written by hand."""
    return b"\x83\xa4type%c\xa3nsp\xa1/\xa4data%b" % (type_, payload)


# --- on the wire: the bytes are those of socket.io-msgpack-parser 3.0.2 ---------------------------

PACKETS: dict[str, tuple[Message, Packet]] = {
    "82a47479706500a36e7370a12f": (PARSER.encode_control(CONNECT, ROOT), Packet(CONNECT, "/", None)),
    "82a47479706501a36e7370a52f63686174": (
        PARSER.encode_control(DISCONNECT, PARSER.namespace_prefix("/chat")),
        Packet(DISCONNECT, "/chat", None),
    ),
    "83a47479706504a46461746181a76d657373616765a178a36e7370a12f": (
        PARSER.encode_control(CONNECT_ERROR, ROOT, {"message": "x"}),
        Packet(CONNECT_ERROR, "/", {"message": "x"}),
    ),
    "83a47479706502a46461746193a178c40101cbbff8000000000000a36e7370a12f": (
        PARSER.encode_event(ROOT, None, ("x", b"\x01", -1.5)),
        Packet(EVENT, "/", ["x", b"\x01", -1.5]),
    ),
    "84a47479706502a46461746191a178a26964cd0100a36e7370a12f": (
        PARSER.encode_event(ROOT, 256, ["x"]),
        Packet(EVENT, "/", ["x"], 256),
    ),
    "84a2696401a47479706503a46461746190a36e7370a12f": (
        PARSER.encode_ack(ROOT, 1, ()),
        Packet(ACK, "/", [], 1),
    ),
}


@pytest.mark.parametrize(("wire", "message", "packet"), [(wire, *row) for wire, row in PACKETS.items()])
def test_packet(wire: str, message: Message, packet: Packet) -> None:
    assert binary(message).hex() == wire
    assert PARSER.decode_binary(bytes.fromhex(wire)) == packet


@pytest.mark.parametrize("wire", PACKETS)
def test_packet_cut_short_or_with_bytes_behind(wire: str) -> None:
    data = bytes.fromhex(wire)
    for end in range(len(data)):
        with pytest.raises(PacketError):
            PARSER.decode_binary(data[:end])
    for tail in (b"\x00", b"\xc0", data):
        with pytest.raises(PacketError, match="trailing"):
            PARSER.decode_binary(data + tail)


def test_what_a_javascript_client_sends() -> None:
    """Of new Date(5), Date(-5), typed arrays, a Float64Array, a Buffer, undefined, and its options."""
    wire = (
        "85a47479706502a4646174619ca178d40000d7000000000000000005d700fffffffffffffffbc7010000"
        "c708000000000000000000c70200010282a161d40000a162c70800000000000000f83fc40101"
        "cf1000000000000000cbbff8000000000000c0a76f7074696f6e7381a8636f6d7072657373c3"
        "a2696403a36e7370a12f"
    )
    before = datetime(1970, 1, 1, tzinfo=UTC)
    assert PARSER.decode_binary(bytes.fromhex(wire)) == Packet(
        EVENT,
        "/",
        [
            *("x", None, before + timedelta(milliseconds=5), before - timedelta(milliseconds=5)),
            *(b"\x00", bytes(8), b"\x01\x02", {"a": None, "b": b"\x00\x00\x00\x00\x00\x00\xf8\x3f"}),
            *(b"\x01", 2**60, -1.5, None),
        ],
        3,
    )


@pytest.mark.parametrize("type_", [CONNECT, DISCONNECT])
def test_undefined_is_no_data_and_nil_is_wrong_data(type_: int) -> None:
    assert PARSER.decode_binary(with_payload(b"\xd4\x00\x00", type_)) == Packet(type_, "/", None)
    with pytest.raises(PacketError, match="invalid payload"):
        PARSER.decode_binary(with_payload(b"\xc0", type_))


# --- extensions -----------------------------------------------------------------------------------

EXTENSIONS: dict[bytes, Any] = {
    b"\xd4\x00\x00": None,
    b"\xd4\x00\x07": None,
    b"\xc7\x01\x00\x07": b"\x07",
    b"\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x01": datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC),
    b"\xc7\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01": b"\x00\x00\x00\x00\x00\x00\x00\x01",
    b"\xc7\x00\x00": b"",
    b"\xc8\x01\x00\x00" + b"x" * 256: b"x" * 256,
    b"\xc9\x00\x01\x00\x00\x00" + b"x" * 65_536: b"x" * 65_536,
    b"\xd6\xff\x00\x00\x00\x01": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    b"\xd7\xff\x00\x00\x00\x04\x00\x00\x00\x01": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    b"\xc7\x0c\xff\x00\x00\x00\x00" + b"\xff" * 8: datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
}


@pytest.mark.parametrize(("data", "value"), EXTENSIONS.items(), ids=lambda each: repr(each)[:40])
def test_an_extension(data: bytes, value: Any) -> None:
    packet = PARSER.decode_binary(with_payload(b"\x92\xa1x" + data))
    assert packet.data == ["x", value]
    assert type(packet.data[1]) is type(value)


@given(st.lists(st.sampled_from([*EXTENSIONS, b"\xa3\xc7\x01\x00", b"\xc4\x03\xc7\x08\x00"]), max_size=14))
def test_an_extension_is_read_right_whatever_stands_beside_it(pieces: list[bytes]) -> None:
    pieces = [
        piece for piece in pieces if piece[:1] != b"\xa3"
    ]  # not UTF-8; it stands for what must not confuse
    packet = PARSER.decode_binary(with_payload(bytes([0x91 + len(pieces)]) + b"\xa1x" + b"".join(pieces)))
    assert packet.data[1:] == [EXTENSIONS.get(piece, b"\xc7\x08\x00") for piece in pieces]


@pytest.mark.parametrize(
    "data",
    [
        *(b"\xd4\x01\x00", b"\xd8\x05" + bytes(16), b"\xc7\x01\x7f\x00", b"\xd4\x80\x00"),
        b"\xd7\x00\x7f" + b"\xff" * 7,  # a Date of JavaScript's, but in no year of ours
        b"\xd7\x00\x80" + bytes(7),
        b"\xc7\x03\xff\x00\x00\x00",
        b"\xc7\x0c\xff\xff\xff\xff\xff" + bytes(8),
        b"\xc7\x0c\xff\x00\x00\x00\x00\x7f" + b"\xff" * 7,
    ],
)
def test_an_extension_that_is_not_known(data: bytes) -> None:
    with pytest.raises(PacketError, match="expected extensions of type 0 or -1 and dates in range"):
        PARSER.decode_binary(with_payload(b"\x92\xa1x" + data))


# --- what is refused ------------------------------------------------------------------------------

NO_PACKETS: list[tuple[bytes, str]] = [
    (b"", "truncated"),
    (b"\xc1", "malformed"),
    (b"\xc0", "Expected `object`, got `None`"),
    (b"\x90", "Expected `object`, got `array`"),
    (b"\x80", "missing required field `type`"),
    (packed(type=2, data=["x"]), "missing required field `nsp`"),
    (packed(type=5, data=["x"], nsp="/"), "Expected `int` <= 4"),
    (packed(type=-1, data=["x"], nsp="/"), "Expected `int` >= 0"),
    (packed(type=True, data=["x"], nsp="/"), "Expected `int`, got `bool`"),
    (packed(type="2", data=["x"], nsp="/"), "Expected `int`, got `str`"),
    (packed(type=float("nan"), data=["x"], nsp="/"), "Expected `int`, got `float`"),
    (packed(type=2.0, data=["x"], nsp="/"), "Expected `int`, got `float`"),
    (packed(type=2.5, data=["x"], nsp="/"), "Expected `int`, got `float`"),
    (packed(type=2, data=["x"], nsp=1), "Expected `str`, got `int` - at `$.nsp`"),
    (packed(type=2, data=["x"], nsp=None), "Expected `str`, got `None`"),
    (packed(type=2, data=["x"], nsp=b"/"), "Expected `str`, got `bytes`"),
    (packed(type=2, data=["x"], nsp="/", id="1"), "got `str` - at `$.id`"),
    (packed(type=2, data=["x"], nsp="/", id=None), "got `None` - at `$.id`"),
    (packed(type=2, data=["x"], nsp="/", id=True), "got `bool` - at `$.id`"),
    (packed(type=2, data=["x"], nsp="/", id=-1), "Expected `int` >= 0"),
    (packed(type=2, data=["x"], nsp="/", id=2**53), "Expected `int` <= 9007199254740991"),
    (packed(type=2, data=["x"], nsp="/", id=1.5), "got `float` - at `$.id`"),
    (packed(type=2, nsp="/"), "invalid payload"),
    (packed(type=2, data={}, nsp="/"), "invalid payload"),
    (packed(type=2, data="x", nsp="/"), "invalid payload"),
    (packed(type=2, data=[], nsp="/"), "invalid payload"),
    (packed(type=2, data=[None], nsp="/"), "invalid payload"),
    (packed(type=2, data=[True], nsp="/"), "invalid payload"),
    (packed(type=2, data=[b"x"], nsp="/"), "invalid payload"),
    (packed(type=2, data=[["x"]], nsp="/"), "invalid payload"),
    *((packed(type=2, data=[name], nsp="/"), "invalid payload") for name in sorted(RESERVED_EVENTS)),
    (packed(type=3, data=None, nsp="/"), "invalid payload"),
    (packed(type=3, nsp="/", id=1), "invalid payload"),
    (packed(type=0, data=[], nsp="/"), "invalid payload"),
    (packed(type=0, data="x", nsp="/"), "invalid payload"),
    (packed(type=1, data={}, nsp="/"), "invalid payload"),
    (packed(type=4, nsp="/"), "invalid payload"),
    (packed(type=4, data=1, nsp="/"), "invalid payload"),
    # Keys that are no strings, in the envelope and below it.
    (b"\x81\x01\x02", "Expected `str`, got `int` - at `key`"),
    (b"\x81\x91\x01\x02", "Expected `str`, got `array` - at `key`"),
    *(
        (with_payload(b"\x92\xa1x\x81" + key + b"\x01"), "invalid payload: invalid type")
        for key in (
            b"\x01",
            b"\xc0",
            b"\xc3",
            b"\xc4\x01a",
            b"\x91\x01",
            b"\x81\xa1a\x01",
            b"\xcb" + bytes(8),
        )
    ),
    # Strings that are not UTF-8: cut off, overlong, half a pair.
    *(
        (with_payload(b"\x92\xa1x" + bad), "UTF-8")
        for bad in (b"\xa1\xff", b"\xa1\xc3", b"\xa2\xc0\xaf", b"\xa3\xed\xa0\x80", b"\x81\xa1\xff\x01")
    ),
    (b"\x82\xa4type\x02\xa3nsp\xa1\xff", "invalid packet"),  # in the words of whichever decoder looks first
    # Lengths that nothing follows: nothing is set aside for them.
    *(
        (with_payload(b"\x92\xa1x" + head + b"\xff\xff\xff\xff"), "truncated")
        for head in (b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9")
    ),
    *((head + b"\xff\xff\xff\xff", "got|truncated") for head in (b"\xdd", b"\xdf", b"\xdb", b"\xc6")),
    # Bombs of depth.
    *((with_payload(b"\x92\xa1x" + bomb * 200_000), "nested too deep") for bomb in (b"\x91", b"\x81\xa1a")),
    (b"\x91" * 200_000, "Expected `object`, got `array`"),
    (b"\x81\xa1a" * 200_000, "nested too deep"),
]


@pytest.mark.parametrize(("data", "complaint"), NO_PACKETS, ids=lambda each: repr(each)[:60])
def test_no_packet(data: bytes, complaint: str) -> None:
    with pytest.raises(PacketError, match=complaint if "|" in complaint else re.escape(complaint)):
        PARSER.decode_binary(data)


@pytest.mark.parametrize("depth", range(100, 2_000, 100))
def test_any_depth_is_read_or_refused(depth: int) -> None:
    data = with_payload(b"\x92\xa1x" + b"\x91" * depth + b"\x90")
    if depth < 500:
        check_packet(PARSER.decode_binary(data))
    else:
        read_or_refused(data)


def test_many_large_lengths_within_each_other_cost_little() -> None:
    """Each declares as many items as there are bytes behind it: at a byte for an item that must not add up."""
    bomb = with_payload(b"\x92\xa1x" + b"\xdd\x00\x0f\x00\x00" * 900 + b"\x01" * 990_000)
    with pytest.raises(PacketError, match="truncated"):
        PARSER.decode_binary(bomb)


def test_text_is_refused() -> None:
    for text in (b"4", b'42["x"]', b"", b"4\x83"):
        with pytest.raises(PacketError, match="got text, expected binary: the parser is msgpack"):
            PARSER.decode(text)


def test_what_is_let_through() -> None:
    """Unknown keys, keys that come twice (the last counts, as in JavaScript), NaN."""
    twice = b"\x84\xa4type\x03\xa3nsp\xa1/\xa4data\x91\xa1x\xa4type\x02"
    assert PARSER.decode_binary(twice) == Packet(EVENT, "/", ["x"])
    assert PARSER.decode_binary(with_payload(b"\x92\xa1x\x82\xa1a\x01\xa1a\x02")).data == ["x", {"a": 2}]
    unknown = packed(type=2, more={"a": [1]}, data=["x"], nsp="/", id=3, attachments=7)
    assert PARSER.decode_binary(unknown) == Packet(EVENT, "/", ["x"], 3)
    assert PARSER.decode_binary(packed(type=2, data=[1.5, 2], nsp="")) == Packet(EVENT, "", [1.5, 2])
    (nan,) = PARSER.decode_binary(packed(type=3, data=[float("nan")], nsp="/")).data
    assert isnan(nan)


# --- Python's values, as with the default parser ----------------------------------------------------


class Colour(Enum):
    RED = "red"


class Point(msgspec.Struct):
    x: int
    content: bytes
    when: datetime


@dataclass
class Holder:
    value: Any
    _hidden: int = 0


class Model:
    """As pydantic's models, by the one method that counts."""

    def model_dump(self) -> dict[str, Any]:
        return {"content": b"1", "keys": {1: 2}}


VALUES: list[tuple[Any, Any]] = [
    ((1, (2,)), [1, [2]]),
    ({1}, [1]),
    (frozenset({"a"}), ["a"]),
    (Colour.RED, "red"),
    (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (NOON, NOON),
    (NOON.astimezone(timezone(timedelta(hours=-7))), NOON),
    (NOON.replace(microsecond=678_999), NOON),
    (NOON.replace(tzinfo=None), "2024-02-29T12:00:00.678000"),
    (NOON.date(), "2024-02-29"),
    (NOON.time(), "12:00:00.678000"),
    (Point(1, b"2", NOON), {"x": 1, "content": b"2", "when": NOON}),
    (Holder(b"1"), {"value": b"1"}),
    (Model(), {"content": b"1", "keys": {"1": 2}}),
    (
        {1: {2.5: "a"}, None: 0, False: {Colour.RED: b"1"}},
        {"1": {"2.5": "a"}, "null": 0, "false": {"red": b"1"}},
    ),
    ({NOON: 1, UUID(int=5): 2}, {NOON.isoformat(): 1, "00000000-0000-0000-0000-000000000005": 2}),
    (Holder({1: Holder({2: {3}})}), {"value": {"1": {"value": {"2": [3]}}}}),
    (bytearray(b"1"), b"1"),
    (memoryview(b"abcdef")[::2], b"ace"),
    ([2**64 - 1, -(2**63)], [2**64 - 1, -(2**63)]),
    (float("inf"), float("inf")),
]


@pytest.mark.parametrize(("value", "seen"), VALUES, ids=lambda each: repr(each).partition(" at 0x")[0][:40])
def test_value(value: Any, seen: Any) -> None:
    assert arrives(value) == [seen]
    assert arrives({"deep": [value]}) == [{"deep": [seen]}]
    ack = PARSER.decode_binary(binary(PARSER.encode_ack(ROOT, 1, [value])))
    assert ack.data == [seen]
    error = PARSER.decode_binary(binary(PARSER.encode_control(CONNECT_ERROR, ROOT, {"data": value})))
    assert error.data == {"data": seen}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (2**64, "Integer exceeds 64-bit range"),
        (-(2**63) - 1, "Integer exceeds 64-bit range"),
        (object(), "not msgpack serializable: object"),
        ("\ud800", "surrogates"),
        ({(1, 2): 3}, "Dict key must"),
        ({b"a": 1}, "Dict key must"),
        ({2**70: 1}, "Dict integer key must be within 64-bit range"),
        (Holder({1: object()}), "not msgpack serializable: object"),
    ],
)
def test_a_value_that_cannot_be_sent(value: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=f"^cannot send .*{complaint}"):
        PARSER.encode_event(ROOT, None, ("x", value))


def test_a_circle_of_keys_cannot_be_sent() -> None:
    circle: dict[int, Any] = {}
    circle[1] = circle
    with pytest.raises(TypeError, match="nested too deep"):
        PARSER.encode_event(ROOT, None, ("x", circle))


def test_the_compress_flag() -> None:
    assert PARSER.encode_event(ROOT, None, ("x",)).compress
    assert not PARSER.encode_event(ROOT, 1, ("x",), compress=False).compress


# --- properties -------------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=50)
    | st.binary(max_size=50)
    | st.datetimes(timezones=st.just(UTC), allow_imaginary=False).map(
        lambda when: when.replace(microsecond=when.microsecond // 1000 * 1000, fold=0)
    )
)
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=20) | st.dictionaries(st.text(max_size=40), below, max_size=20),
    max_leaves=30,
)
names = st.text(max_size=40).filter(lambda name: name not in RESERVED_EVENTS)
ids = st.none() | st.integers(0, 2**53 - 1)
objects = st.none() | st.dictionaries(st.text(max_size=40), values, max_size=5)
packets = st.one_of(
    st.builds(Packet, st.just(CONNECT), st.text(), objects),
    st.builds(Packet, st.just(DISCONNECT), st.text(), st.none()),
    st.builds(
        lambda nsp, name, args, ack_id: Packet(EVENT, nsp, [name, *args], ack_id),
        *(st.text(), names, st.lists(values, max_size=5), ids),
    ),
    st.builds(Packet, st.just(ACK), st.text(), st.lists(values, max_size=5), st.integers(0, 2**53 - 1)),
    st.builds(Packet, st.just(CONNECT_ERROR), st.text(), st.text() | st.dictionaries(st.text(), values)),
)


def encoded(packet: Packet) -> bytes:
    prefix = PARSER.namespace_prefix(packet.nsp)
    if packet.type == EVENT:
        return binary(PARSER.encode_event(prefix, packet.id, packet.data))
    if packet.type == ACK:
        assert packet.id is not None
        return binary(PARSER.encode_ack(prefix, packet.id, packet.data))
    return binary(PARSER.encode_control(packet.type, prefix, packet.data))


@given(packets)
def test_what_is_sent_comes_back(packet: Packet) -> None:
    assert repr(PARSER.decode_binary(encoded(packet))) == repr(packet)


def read_or_refused(data: bytes) -> None:
    """Whatever a peer sends, it is a valid packet or a PacketError."""
    try:
        packet = PARSER.decode_binary(data)
    except PacketError:
        return
    check_packet(packet)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    read_or_refused(data)
    read_or_refused(with_payload(data))
    read_or_refused(with_payload(b"\x92\xa1x" + data))


@given(packets, st.data())
def test_a_packet_with_bytes_changed_cut_or_added(packet: Packet, data: st.DataObject) -> None:
    wire = bytearray(encoded(packet))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire)))
        wire[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read_or_refused(bytes(wire))
