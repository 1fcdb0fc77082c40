from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.errors import PacketError
from socketeer.protocol import engineio
from socketeer.protocol.engineio import decode_base64, decode_payload, open_packet
from socketeer.protocol.frame import RECORD_SEPARATOR


def test_the_types_are_the_protocols_characters() -> None:
    names = ("OPEN", "CLOSE", "PING", "PONG", "MESSAGE", "UPGRADE", "NOOP", "BASE64")
    assert bytes(getattr(engineio, name) for name in names) == b"0123456b"


def test_the_packets_that_are_always_the_same() -> None:
    assert engineio.PROBE_PING == b"2probe"
    assert engineio.PROBE_PONG.text == b"3probe"
    assert engineio.PING_PACKET.text == b"2"
    assert (engineio.CLOSE_PACKET.text, engineio.NOOP_PACKET.text) == (b"1", b"6")


def test_refusals_are_in_the_official_servers_words() -> None:
    words = ["Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden"]
    assert [engineio.ERROR_MESSAGES[code] for code in range(5)] == words
    assert engineio.ERROR_MESSAGES[5] == "Unsupported protocol version"
    assert len(engineio.ERROR_MESSAGES) == 6
    assert engineio.error_body(1, "Session ID unknown") == b'{"code":1,"message":"Session ID unknown"}'
    assert engineio.error_body(4, 'no "\u00e9"') == '{"code":4,"message":"no \\"\u00e9\\""}'.encode()


# --- the open packet -------------------------------------------------------------------------------


def test_open_packet_byte_by_byte_as_the_official_server_writes_it() -> None:
    message = open_packet("ojIckSD2jqNzOqIrAGzL", ["websocket"], 25.0, 20.0, 1_000_000)
    assert message.text == (
        b'0{"sid":"ojIckSD2jqNzOqIrAGzL","upgrades":["websocket"],'
        b'"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
    )
    assert not message.attachments


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(25, 25000), (0.3, 300), (0.001, 1), (1.0006, 1001), (1e6, 10**9)]
)
def test_times_are_whole_milliseconds_on_the_wire(seconds: float, milliseconds: int) -> None:
    opened = json.loads(open_packet("x", [], seconds, seconds, 1).text[1:])
    assert opened == {
        "sid": "x",
        "upgrades": [],
        "pingInterval": milliseconds,
        "pingTimeout": milliseconds,
        "maxPayload": 1,
    }
    assert type(opened["pingInterval"]) is type(opened["pingTimeout"]) is int


# --- binary in text --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (b"b", b""),
        (b"bAQIDBA==", b"\x01\x02\x03\x04"),
        (b"bAQID", b"\x01\x02\x03"),
        (b"b+/+/", b"\xfb\xff\xbf"),
        (b"bYg==", b"b"),
    ],
)
def test_base64(packet: bytes, data: bytes) -> None:
    assert decode_base64(packet) == data


@pytest.mark.parametrize(
    "encoded",
    [
        b"AQIDBA",  # without its padding, entry 28 of the hostile inputs
        b"AQIDBA=",
        b"A",  # six bits are no byte
        b"AQIDB",
        b"=",
        b"====",
        b"AQ==AQ==",
        b"AQ=ID",
        b"=AQI",
        b"AQ ID",
        b"AQID\n",
        b" AQID",
        b"AQ*D",
        b"-_-_",  # the alphabet of URLs
        b"\xc3\xa9AA",
        b"\x00\x00\x00\x00",
        b"\xff",
    ],
)
def test_what_is_no_base64(encoded: bytes) -> None:
    with pytest.raises(PacketError, match="expected base64 after 'b'"):
        decode_base64(b"b" + encoded)


@given(st.binary())
def test_base64_comes_back(data: bytes) -> None:
    encoded = b64encode(data)
    assert decode_base64(b"b" + encoded) == data


@given(st.one_of(st.binary(), st.text("AQID=b+/-_ ", max_size=12).map(str.encode)))
def test_any_bytes_are_base64_or_a_packet_error(encoded: bytes) -> None:
    try:
        data = decode_base64(b"b" + encoded)
    except PacketError:
        return
    assert len(encoded) % 4 == 0
    assert len(data) == len(encoded.rstrip(b"=")) * 3 // 4


# --- payloads --------------------------------------------------------------------------------------

packets = st.binary(max_size=20).filter(lambda packet: RECORD_SEPARATOR not in packet)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"4hello", [b"4hello"]),
        (b"4hello\x1e2\x1e4world", [b"4hello", b"2", b"4world"]),
        ("4h\u00e9\u20ac\x1e4\U0001f600".encode(), ["4h\u00e9\u20ac".encode(), "4\U0001f600".encode()]),
        (b"451-[]\x1ebAQID", [b"451-[]", b"bAQID"]),
        # An empty packet is no packet, which the session finds.
        (b"", [b""]),
        (b"\x1e", [b"", b""]),
        (b"\x1e3", [b"", b"3"]),
        (b"3\x1e", [b"3", b""]),
        (b"3\x1e\x1e3", [b"3", b"", b"3"]),
        (b"3\x1f3", [b"3\x1f3"]),
    ],
)
def test_payload(body: bytes, expected: list[bytes]) -> None:
    assert decode_payload(body, 100) == expected


@given(st.lists(packets, min_size=1))
def test_joined_packets_come_apart_again(sent: list[bytes]) -> None:
    assert decode_payload(RECORD_SEPARATOR.join(sent), len(sent)) == sent


@given(st.binary(), st.binary())
def test_a_payload_cut_anywhere_loses_nothing(before: bytes, after: bytes) -> None:
    """What follows a separator does not change what stands before it."""
    together = decode_payload(before + RECORD_SEPARATOR + after, 1000)
    assert together == decode_payload(before, 1000) + decode_payload(after, 1000)


@given(st.binary(), st.integers(1, 5))
def test_any_bytes_are_packets_or_too_many(body: bytes, most: int) -> None:
    count = body.count(RECORD_SEPARATOR) + 1
    if count > most:
        with pytest.raises(PacketError, match=f"at most {most} packets"):
            decode_payload(body, most)
    else:
        assert len(decode_payload(body, most)) == count


@pytest.mark.parametrize("most", [1, 2, 10_000])
def test_the_limit_itself_is_allowed(most: int) -> None:
    assert decode_payload(b"\x1e".join([b"3"] * most), most) == [b"3"] * most
    with pytest.raises(PacketError, match=f"expected at most {most} packets"):
        decode_payload(b"\x1e".join([b"3"] * (most + 1)), most)
