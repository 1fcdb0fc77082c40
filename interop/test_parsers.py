"""Our parsers and the official ones: each reads what the other writes, for generated packets."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interop.harness import HERE, Process
from socketeer import Message, Packet, PacketParser
from socketeer.protocol.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED_EVENTS
from socketeer.protocol.parsers import choose_parser
from socketeer.testing.wire import Receiver, parts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def official(node: str) -> Iterator[Process]:
    process = Process([node, "parsers.mjs"], HERE / "reference")
    yield process
    process.stop()


def wire(message: Message) -> list[dict[str, str]]:
    """A message as the process takes it; without Engine.IO's ``4``."""
    return [
        {"text": data[1:].decode()} if text else {"binary": b64encode(data).decode()}
        for text, data in parts(message)
    ]


def untagged(value: Any) -> Any:
    """What a value of JavaScript's is in Python."""
    if isinstance(value, list):
        return [untagged(each) for each in value]
    match value:
        case {"$": "undefined"}:
            return None
        case {"$": "bytes", "is": content}:
            return b64decode(content)
        case {"$": "date", "is": milliseconds}:
            return EPOCH + timedelta(milliseconds=milliseconds)
        case {"$": "object", "is": items}:
            return {key: untagged(item) for key, item in items}
    return value


def packet_of(shown: dict[str, Any]) -> Packet:
    return Packet(shown["type"], shown["nsp"], untagged(shown["data"]), shown["id"])


def encode(parser: PacketParser, packet: Packet) -> Message:
    prefix = parser.namespace_prefix(packet.nsp)
    if packet.type == EVENT:
        return parser.encode_event(prefix, packet.id, packet.data)
    if packet.type == ACK:
        assert packet.id is not None
        return parser.encode_ack(prefix, packet.id, packet.data)
    return parser.encode_control(packet.type, prefix, packet.data)


def exchange(official: Process, name: str, packet: Packet) -> list[dict[str, str]]:
    """Theirs reads ours, and ours reads theirs; what theirs has written."""
    parser = choose_parser(name, 1_000)
    official.write(json.dumps({"parser": name, "messages": wire(encode(parser, packet))}))
    report = official.read()
    assert "error" not in report, report["error"]
    assert packet_of(report["packet"]) == packet
    if name == "msgpack":
        assert packet_of(report["browser"]) == packet, "with a browser's decoder"
    receiver = Receiver(parser)
    for each in report["again"]:
        text = each.get("text")
        receiver.take(text is not None, b64decode(each["binary"]) if text is None else b"4" + text.encode())
    assert receiver.packets == [packet]
    written: list[dict[str, str]] = report["again"]
    return written


# What both languages have: numbers as far as JavaScript counts exactly, and keys that mean nothing to either.
texts = st.text(max_size=40)
keys = texts.filter(lambda key: key not in ("__proto__", "_placeholder"))
plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | texts
    | st.binary(max_size=70)
)
dates = st.integers(-62_135_596_800_000, 253_402_300_799_999).map(
    lambda milliseconds: EPOCH + timedelta(milliseconds=milliseconds)
)


def packets(scalars: st.SearchStrategy[Any], controls: st.SearchStrategy[Any]) -> st.SearchStrategy[Packet]:
    values = st.recursive(
        scalars,
        lambda below: st.lists(below, max_size=20) | st.dictionaries(keys, below, max_size=20),
        max_leaves=25,
    )
    # A comma ends the name of a namespace on the wire.
    namespaces = st.just("/") | texts.map(lambda name: "/" + name.replace(",", ""))
    names = texts.filter(lambda name: name not in RESERVED_EVENTS)
    ids = st.integers(0, 2**53 - 1)
    args = st.lists(values, max_size=5)
    objects = st.dictionaries(keys, controls, max_size=5)
    return st.one_of(
        st.builds(Packet, st.just(CONNECT), namespaces, st.none() | objects),
        st.builds(Packet, st.just(DISCONNECT), namespaces, st.none()),
        st.builds(
            lambda nsp, name, args, ack_id: Packet(EVENT, nsp, [name, *args], ack_id),
            *(namespaces, names, args, st.none() | ids),
        ),
        st.builds(Packet, st.just(ACK), namespaces, args, ids),
        st.builds(Packet, st.just(CONNECT_ERROR), namespaces, objects),
    )


def attachments(value: Any) -> int:
    """How many binary messages follow."""
    if isinstance(value, dict):
        value = list(value.values())
    return sum(map(attachments, value)) if isinstance(value, list) else isinstance(value, bytes)


json_values = plain.filter(lambda value: not isinstance(value, bytes))


@settings(max_examples=300)
@given(packet=packets(plain, json_values).filter(lambda packet: attachments(packet.data) <= 10))
def test_the_default_parser(official: Process, packet: Packet) -> None:
    exchange(official, "default", packet)


@settings(max_examples=300)
@given(packet=packets(plain | dates, plain | dates))
def test_the_msgpack_parser(official: Process, packet: Packet) -> None:
    exchange(official, "msgpack", packet)


@pytest.mark.parametrize(
    "packet",
    [
        Packet(CONNECT, "/", {"sid": "ojIckSD2jqNzOqIrAGzL"}),
        Packet(DISCONNECT, "/chat", None),
        Packet(
            EVENT, "/", ["x", 1, -1, 255, 65_536, 2**40, -(2**40), 0.5, "é" * 40, b"1", {"a": [None, True]}]
        ),
        Packet(EVENT, "/chat", ["x", EPOCH, {"list": list(range(70_000))}], 70_000),
        Packet(ACK, "/", [b"x" * 70_000, {f"key{number}": "x" * 300 for number in range(300)}], 0),
        Packet(CONNECT_ERROR, "/", {"message": "not authorized", "data": {"code": 4001}}),
    ],
    ids=lambda packet: f"{packet.type}{packet.nsp}",
)
@pytest.mark.parametrize("name", ["default", "msgpack"])
def test_both_write_the_same_bytes(official: Process, name: str, packet: Packet) -> None:
    if name == "default":
        packet.data = json.loads(json.dumps(packet.data, default=lambda value: str(type(value))))
    assert exchange(official, name, packet) == wire(encode(choose_parser(name, 10), packet))
