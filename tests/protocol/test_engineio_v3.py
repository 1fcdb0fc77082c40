"""Engine.IO 3: payloads in text and binary form, typed binary packets, and the bounds of all decoders.

JSONP has a file of its own, `test_engineio_v3_jsonp`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.errors import PacketError
from socketeer.protocol.engineio_v3 import (
    PONG_PACKET,
    Received,
    base64_packets,
    decode_binary,
    decode_binary_payload,
    decode_jsonp,
    decode_payload,
    decode_text_binary,
    encode_binary_payload,
    encode_payload,
    is_binary,
    typed,
)
from socketeer.protocol.frame import Message

MOST = 10_000
Decode = Callable[[bytes, int], list[Received]]
DECODERS: list[Decode] = [decode_payload, decode_binary_payload, decode_jsonp]

#: What a message's text may hold, with characters of each width in UTF-8 and in UTF-16.
texts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]), st.sampled_from("a:0\n\\<\u2028\u2029\uffff\U0001f600")
    )
)
messages = st.lists(
    st.builds(
        lambda text, attachments: Message(b"4" + text.encode(), attachments),
        texts,
        st.lists(st.binary(max_size=300), max_size=3),
    ),
    max_size=6,
)


def text(*packets: str) -> list[Received]:
    return [Received(False, packet.encode()) for packet in packets]


def code_units(packet: bytes) -> int:
    return sum(2 if ord(character) > 0xFFFF else 1 for character in packet.decode())


# --- binary packets --------------------------------------------------------------------------------


def test_a_pong_is_what_the_server_answers() -> None:
    assert PONG_PACKET.text == b"3"


def test_a_binary_packet_has_its_type_in_front() -> None:
    message = Message(b"452-[]", [b"\x09", b""], compress=False)
    out = typed(message)
    assert (out.text, list(out.attachments), out.compress) == (b"452-[]", [b"\x04\x09", b"\x04"], False)
    assert typed(message) is out, "encoded once for many"
    assert list(message.attachments) == [b"\x09", b""], "and for Engine.IO 4 it is as before"


def test_a_message_without_binary_is_the_same_in_both_protocols() -> None:
    message = Message(b"4hello")
    assert typed(message) is message


def test_binary_as_text() -> None:
    assert base64_packets(Message(b"452-[]", [b"\x01\x02\x03\x04", b""])) == [b"452-[]", b"b4AQIDBA==", b"b4"]
    assert base64_packets(Message(b"2")) == [b"2"]


def test_a_message_of_nothing_but_binary() -> None:
    """As a parser may make them that writes no text."""
    message = Message(b"", [b"\x09"])
    assert base64_packets(message) == [b"b4CQ=="]
    assert encode_payload([message]) == b"6:b4CQ=="
    assert encode_binary_payload([message]) == b"\x01\x02\xff\x04\x09"


@given(st.binary())
def test_binary_comes_back(data: bytes) -> None:
    message = Message(b"4", [data])
    assert decode_binary(typed(message).attachments[0]) == data
    assert decode_text_binary(base64_packets(message)[1]) == data


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x02", b"\x03\x01", b"4\x01", b"\xff"])
def test_binary_that_is_no_message(data: bytes) -> None:
    with pytest.raises(PacketError, match="expected a message, type byte 4"):
        decode_binary(data)


@pytest.mark.parametrize("packet", [b"b", b"bAQID", b"b2AQID", b"b\x04AQID", b"bb4AQID"])
def test_binary_in_text_that_is_no_message(packet: bytes) -> None:
    with pytest.raises(PacketError, match="expected a message, 'b4'"):
        decode_text_binary(packet)


@pytest.mark.parametrize("packet", [b"b4A", b"b4AQI", b"b4AQ ID", b"b4====", b"b4-_-_", b"b4\xff"])
def test_what_is_no_base64(packet: bytes) -> None:
    with pytest.raises(PacketError, match="expected base64"):
        decode_text_binary(packet)


# --- payloads of text ------------------------------------------------------------------------------

PAYLOADS = [
    ("6:4hello", ["4hello"]),
    ("6:4hello1:22:4w", ["4hello", "2", "4w"]),
    ("1:6", ["6"]),
    ("3:4hé", ["4hé"]),
    ("3:4h€1:2", ["4h€", "2"]),
    ("3:4\U0001f6001:2", ["4\U0001f600", "2"]),  # a surrogate pair is two
    ("9:4\U0001d11e\U0001f600e\u0301\ufe0f\uffff1:3", ["4\U0001d11e\U0001f600e\u0301\ufe0f\uffff", "3"]),
    ("6:b4AQI=3:4::", ["b4AQI=", "4::"]),
    ("4:41:2", ["41:2"]),  # what looks like a header within a packet
    ("0:", []),  # the official encoder's payload of nothing
    ("0:1:20:", ["2"]),
    ("01:2", ["2"]),
]


@pytest.mark.parametrize(("body", "packets"), PAYLOADS)
def test_payload(body: str, packets: list[str]) -> None:
    assert decode_payload(body.encode(), MOST) == text(*packets)


@pytest.mark.parametrize(("body", "packets"), [each for each in PAYLOADS if each[1]])
def test_a_payload_cut_short_is_malformed_or_has_fewer_packets(body: str, packets: list[str]) -> None:
    """Byte by byte: no cut yields a packet that was not there."""
    whole = body.encode()
    expected = text(*packets)
    for end in range(len(whole)):
        try:
            found = decode_payload(whole[:end], MOST)
        except PacketError:
            continue
        assert found == expected[: len(found)]
        assert len(found) < len(expected) or not whole[end:].strip(b"0:")


@pytest.mark.parametrize("tail", ["x", ":", "1", "1:", "2:4", "-1:2", "é", "\x1e4", "\x00"])
@pytest.mark.parametrize(("body", "packets"), PAYLOADS[:6])
def test_trailing_bytes(body: str, packets: list[str], tail: str) -> None:
    assert decode_payload(body.encode(), MOST) == text(*packets)
    with pytest.raises(PacketError):
        decode_payload((body + tail).encode(), MOST)


MALFORMED_TEXT = [
    b"",
    b":",
    b"4hello",
    b"hello",
    b":4hello",
    b"-1:4",
    b"+1:4",
    b" 1:4",
    b"1 :4",
    b"1e0:4",
    b"1.0:4",
    b"0x1:4",
    b"1_0:4123456789",
    "٣:412".encode(),
    "²:41".encode(),
    b"2:4",
    b"99999999999999:4",
    b"999999999999999999999999999:4",
    b"1" * 1000 + b":4",
    b"0" * 16 + b"1:4",
    b"NaN:4",
    b"Infinity:4",
    "1:4é".encode(),
    "2:4\U0001f600".encode(),  # ends in the middle of a surrogate pair
    "3:4\U0001f60010:412345678".encode(),
    "\U0001f600".encode(),
    "\u3a00:4".encode(),
    "\u0132:4\u00e9".encode(),  # half of it is the digit 2
    "1\u3a00\u0034".encode(),  # the bytes of a colon, but across two characters
    b"2:4\xff",
    b"3:4\xed\xa0\x80",
    b"2:4\xc3",
]


@pytest.mark.parametrize("body", MALFORMED_TEXT)
def test_malformed_payload(body: bytes) -> None:
    with pytest.raises(PacketError):
        decode_payload(body, MOST)


def test_encoded_payload_byte_by_byte() -> None:
    sent = [Message(b"2"), Message("4hé\U0001f600".encode()), Message(b"451-[]", [b"\x01\x02"])]
    assert encode_payload(sent) == "1:25:4hé\U0001f6006:451-[]6:b4AQI=".encode()
    assert encode_payload([]) == b""


@given(messages)
def test_a_payload_of_text_comes_back(sent: list[Message]) -> None:
    body = encode_payload(sent)
    expected = [packet for message in sent for packet in base64_packets(message)]
    if expected:
        assert decode_payload(body, len(expected)) == [Received(False, packet) for packet in expected]
    lengths = [code_units(packet) for packet in expected]
    assert body == b"".join(b"%d:%b" % pair for pair in zip(lengths, expected, strict=True))


# --- payloads in binary form -----------------------------------------------------------------------

BINARY_PAYLOADS = [
    (b"\x00\x01\xff2", [Received(False, b"2")]),
    (b"\x01\x03\xff\x04\x01\x02", [Received(True, b"\x04\x01\x02")]),
    (b"\x01\x01\xff\x04", [Received(True, b"\x04")]),
    (
        b"\x00\x01\x02\xff4hello world\x01\x02\xff\x04\xff",
        [Received(False, b"4hello world"), Received(True, b"\x04\xff")],
    ),
    (
        b"\x00\x05\xff4\xf0\x9f\x98\x80\x00\x01\xff2",
        [Received(False, b"4\xf0\x9f\x98\x80"), Received(False, b"2")],
    ),
    (b"\x00\x00\xff\x00\x01\xff2", [Received(False, b"2")]),
]


@pytest.mark.parametrize(("body", "packets"), BINARY_PAYLOADS)
def test_binary_payload(body: bytes, packets: list[Received]) -> None:
    assert decode_binary_payload(body, MOST) == packets


@pytest.mark.parametrize(("body", "packets"), BINARY_PAYLOADS)
def test_a_binary_payload_cut_short(body: bytes, packets: list[Received]) -> None:
    for end in range(len(body)):
        try:
            found = decode_binary_payload(body[:end], MOST)
        except PacketError:
            continue
        assert found == packets[: len(found)]
        assert len(found) < len(packets)


@pytest.mark.parametrize(
    "tail", [b"\x00", b"\x01", b"\x02\x01\xff2", b"\x00\x01", b"\x00\xff", b"\x00\x02\xff2", b"2"]
)
@pytest.mark.parametrize(("body", "packets"), BINARY_PAYLOADS)
def test_binary_trailing_bytes(body: bytes, packets: list[Received], tail: bytes) -> None:
    assert decode_binary_payload(body, MOST) == packets
    with pytest.raises(PacketError):
        decode_binary_payload(body + tail, MOST)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\x00\xff",
        b"\x01\xff\x04",
        b"\x02\x01\xff2",
        b"0\x01\xff2",
        b"\x00\x0a\xff0123456789",  # a digit is 0 to 9
        b"\x001\xff2",  # and no character
        b"\x00\x02\xff2",
        b"\x00" + b"\x09" * 15 + b"\xff2",
        b"\x00" + b"\x09" * 310 + b"\xff2",
        b"\x00" + b"\x00" * 100_000 + b"\x01\xff2",
        b"\x00" * 100_000,
        b"\x00\x02\xff4\xff",
        b"\x00\x04\xff4\xed\xa0\x80",
        b"\x00\x02\xff4\xc3\x00\x01\xff\xa9",  # a character across two packets
    ],
)
def test_malformed_binary_payload(body: bytes) -> None:
    with pytest.raises(PacketError):
        decode_binary_payload(body, MOST)


def test_encoded_binary_payload_byte_by_byte() -> None:
    sent = [Message("4é".encode()), Message(b"451-" + b"x" * 8, [b"\x01" * 99])]
    assert encode_binary_payload(sent) == b"".join(
        (
            b"\x00\x03\xff",
            "4é".encode(),
            b"\x00\x01\x02\xff451-",
            b"x" * 8,
            b"\x01\x01\x00\x00\xff\x04",
            b"\x01" * 99,
        )
    )


@given(messages)
def test_a_payload_in_binary_form_comes_back(sent: list[Message]) -> None:
    expected = [
        each
        for message in sent
        for each in (
            Received(False, message.text),
            *(Received(True, b"\x04" + data) for data in message.attachments),
        )
    ]
    if expected:
        assert decode_binary_payload(encode_binary_payload(sent), len(expected)) == expected
    assert is_binary(sent) is any(message.attachments for message in sent)


def test_each_form_is_encoded_once_for_many() -> None:
    message = Message(b"451-[]", [b"\x01"])
    calls: list[str] = []

    def encode(each: Message) -> str:
        calls.append(each.text.decode())
        return "made"

    assert [message.once(encode), message.once(encode)] == ["made", "made"]
    assert calls == ["451-[]"]
    encode_payload([message])
    encode_binary_payload([message])
    assert message.others is not None
    assert set(map(type, message.others.values())) == {str, bytes, Message}


# --- bounds ----------------------------------------------------------------------------------------


def several(decode: Decode, count: int) -> bytes:
    if decode is decode_binary_payload:
        return b"\x00\x01\xff2" * count
    return b"d=" + quote("1:2" * count).encode() if decode is decode_jsonp else b"1:2" * count


@pytest.mark.parametrize("most", [1, 2, MOST])
@pytest.mark.parametrize("decode", DECODERS)
def test_the_limit_itself_is_allowed(decode: Decode, most: int) -> None:
    assert decode(several(decode, most), most) == text("2") * most
    with pytest.raises(PacketError, match=f"expected at most {most} packets"):
        decode(several(decode, most + 1), most)


def test_empty_packets_count_too() -> None:
    for decode, body in ((decode_payload, b"0:" * 11), (decode_binary_payload, b"\x00\x00\xff" * 11)):
        with pytest.raises(PacketError, match="at most 10 packets"):
            decode(body, 10)


@given(st.one_of(st.binary(), st.text("0123456789:4b\u00e9\U0001f600&d=%").map(str.encode)))
def test_any_bytes_are_packets_or_a_packet_error(body: bytes) -> None:
    for decode in DECODERS:
        try:
            packets = decode(body, 100)
        except PacketError:
            continue
        assert len(packets) <= 100
        assert all(packet.binary or packet.data.decode() for packet in packets)


HOSTILE: list[tuple[Decode, Callable[[int], bytes]]] = [
    (decode_payload, lambda size: b"1:2" * (size // 3)),
    (decode_payload, lambda size: "3:4\U0001f600".encode() * (size // 7)),
    (decode_payload, lambda size: b"1" * size),
    (decode_payload, lambda size: b"0:" * (size // 2)),
    (decode_payload, lambda size: b"1:2" * (size // 3) + "é".encode()),
    (decode_binary_payload, lambda size: b"\x00\x01\xff2" * (size // 4)),
    (decode_binary_payload, lambda size: b"\x00" * size),
    (decode_binary_payload, lambda size: b"\x01\x00\xff" * (size // 3)),
    (decode_jsonp, lambda size: b"d=" + b"%5C" * (size // 3)),
    (decode_jsonp, lambda size: b"d=" + b"\\" * size),
    (decode_jsonp, lambda size: b"d=" + b"1:2" * (size // 3)),
    (decode_jsonp, lambda size: b"d=" + b"\\n" * (size // 2)),
]


@pytest.mark.parametrize(("decode", "make"), HOSTILE)
def test_time_is_linear(decode: Decode, make: Callable[[int], bytes]) -> None:
    """Seconds where it is linear; where each packet costs what follows it, longer than any test may take."""
    with contextlib.suppress(PacketError):
        decode(make(4_000_000), 10**9)
