"""What nodes tell each other, as bytes: what is none is refused."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from socketeer.adapters.forwarding import frames
from socketeer.adapters.forwarding.frames import (
    BINARY,
    HEAD_SIZE,
    MORE,
    PLAIN,
    TEXT,
    Answered,
    Asked,
    Frame,
    Kind,
    Refused,
    decode,
    encode,
    owner_of,
    pack,
    pack_number,
    record,
    records,
    unpack,
    unpack_number,
)
from socketeer.errors import PacketError

SID = "nodeid12345678901234"


@pytest.mark.parametrize("kind", Kind)
def test_a_frame_comes_back(kind: Kind) -> None:
    payload = encode(kind, "node-_", 2**64 - 1, 2**64 - 1, b"\x00body")
    assert decode(payload) == Frame(kind, "node-_", 2**64 - 1, 2**64 - 1, b"\x00body")
    assert len(payload) == HEAD_SIZE + 5


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: b"",
        lambda payload: payload[: HEAD_SIZE - 1],
        lambda payload: b"\xf2" + payload[1:],
        lambda payload: payload[:1] + b"\x00" + payload[2:],
        lambda payload: payload[:1] + b"\xff" + payload[2:],
        lambda payload: payload[:2] + b"no de!" + payload[8:],
        lambda payload: payload[:2] + b"\x00\x01\x02\xff\xfe\xfd" + payload[8:],
        lambda payload: b'{"type":3,"nsp":"/","uid":"x"}',
    ],
)
def test_what_is_no_frame_is_refused(change: Any) -> None:
    with pytest.raises(PacketError):
        decode(change(encode(Kind.DATA, "nodeid", 1, 2, b"body")))


def test_no_bytes_at_all_do_harm() -> None:
    chance = random.Random(7)
    whole = encode(Kind.REQUEST, "nodeid", 1, 0, pack(Asked(SID, "GET", 4)))
    for _ in range(5000):
        payload = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        del payload[chance.randrange(HEAD_SIZE, len(payload) + 1) :]
        try:
            frame = decode(bytes(payload))
            unpack(Asked, frame.body)
        except PacketError:
            pass


@pytest.mark.parametrize(
    "body",
    [
        Asked(SID, "POST", 3, True, True, {"content-type": "text/plain"}, b"\x00\xff", True),
        Answered(200, {"content-type": "text/plain; charset=UTF-8"}, True, b"1", True),
        Refused(1, 400),
        Refused(3, 503, "NODE_UNREACHABLE"),
    ],
)
def test_a_body_comes_back(body: Any) -> None:
    assert unpack(type(body), pack(body)) == body


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Asked, ["short", "GET", 4]),
        (Asked, ["x" * 200, "GET", 4]),
        (Asked, ["nodeid 2345678901234\n", "GET", 4]),
        (Asked, [SID, "G" * 33, 4]),
        (Asked, [SID, "GET", 5]),
        (Asked, [SID, "GET", 4, False, False, {"a": "b\r\nset-cookie: c"}]),
        (Asked, [SID, "GET", 4, False, False, {"a b": "c"}]),
        (Asked, [SID, "GET", 4, False, False, {str(n): "c" for n in range(9)}]),
        (Asked, [SID, "GET", 4, False, False, {}, "text"]),
        (Answered, [99]),
        (Answered, [600]),
        (Answered, [200, {"x": "y\x00"}]),
        (Answered, [200, {"x": "y" * 5000}]),
        (Refused, [6, 400]),
        (Refused, [1, 200]),
        (Refused, [1, 400, "two words"]),
        (Refused, {"code": 1}),
        (Refused, 5),
    ],
)
def test_a_body_out_of_its_range_is_refused(kind: Any, values: Any) -> None:
    with pytest.raises(PacketError):
        unpack(kind, msgspec.msgpack.encode(values))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\xff" * 10, b"\x93\x01"])
def test_what_is_no_messagepack_is_refused(body: bytes) -> None:
    with pytest.raises(PacketError):
        unpack(Refused, body)


def test_numbers_come_back() -> None:
    assert unpack_number(pack_number(2**32 - 1)) == 2**32 - 1
    for wrong in (b"", b"123", b"12345"):
        with pytest.raises(PacketError):
            unpack_number(wrong)


def test_records_come_back() -> None:
    some = [(TEXT, b"4a"), (BINARY | PLAIN, b""), (TEXT | MORE, b"\x00" * 300)]
    assert list(records(b"".join(record(*each) for each in some))) == some
    assert list(records(b"")) == []


@pytest.mark.parametrize(
    "body", [record(8, b""), record(0, b"abc")[:-1], record(0, b"")[:-1], record(0, b"") + b"x"]
)
def test_what_is_no_record_is_refused(body: bytes) -> None:
    with pytest.raises(PacketError):
        list(records(body))


@pytest.mark.parametrize(
    ("sid", "owner"),
    [
        (SID, "nodeid"),
        ("-_AZaz09876543210123", "-_AZaz"),
        ("nodeid/of-the-application", "nodeid"),
        ("nodeid" + "x" * 122, "nodeid"),
        ("nodeid" + "x" * 123, None),
        ("", None),
        ("__proto__", None),
        (SID[:-1], None),
        ("node.d12345678901234", None),
        ("nodeid1234567890123\n", None),
        ("nodeid1234567890123\u00e9", None),
        ("n\u00f6deid12345678901234", None),
    ],
)
def test_which_node_an_id_names(sid: str, owner: str | None) -> None:
    assert owner_of(sid) == owner


def test_the_format_is_told_from_those_of_adapters() -> None:
    """Their messages are JSON or MessagePack maps and arrays."""
    assert frames.FORMAT not in {ord("{"), *range(0x80, 0xA0), *range(0xDC, 0xE0)}
