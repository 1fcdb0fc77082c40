"""What nodes tell each other: written as it is read, and what is no such message is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from socketeer.adapters.codec import decode, encode
from socketeer.adapters.messages import RESPONSES, Kind, Message, Opts, parse
from socketeer.errors import PacketError
from socketeer.server.adapter import Flags, Target

OPTS = {"rooms": ["a"], "except": ["b"], "flags": {"volatile": True, "compress": False}}
EVENT = {"type": 2, "data": ["news", {"blob": b"x"}, None]}
SOCKET = {"id": "s1", "handshake": {"auth": {}}, "rooms": ["s1"], "data": {"name": "Ann"}}

#: The data of every kind, as official nodes write it.
DATA: dict[Kind, Any] = {
    Kind.INITIAL_HEARTBEAT: None,
    Kind.HEARTBEAT: None,
    Kind.BROADCAST: {"opts": OPTS, "packet": EVENT, "requestId": "r1"},
    Kind.SOCKETS_JOIN: {"opts": OPTS, "rooms": ["c"]},
    Kind.SOCKETS_LEAVE: {"opts": OPTS, "rooms": ["c"]},
    Kind.DISCONNECT_SOCKETS: {"opts": OPTS, "close": True},
    Kind.FETCH_SOCKETS: {"opts": OPTS, "requestId": "r1"},
    Kind.FETCH_SOCKETS_RESPONSE: {"requestId": "r1", "sockets": [SOCKET]},
    Kind.SERVER_SIDE_EMIT: {"packet": ["hello", 1], "requestId": "r1"},
    Kind.SERVER_SIDE_EMIT_RESPONSE: {"requestId": "r1", "packet": None},
    Kind.BROADCAST_CLIENT_COUNT: {"requestId": "r1", "clientCount": 3},
    Kind.BROADCAST_ACK: {"requestId": "r1", "packet": [b"x"]},
    Kind.ADAPTER_CLOSE: None,
}


def sent(kind: int, data: Any = None, **head: Any) -> dict[str, Any]:
    message = {"type": int(kind), "uid": "node1", "nsp": "/"}
    return {**message, **({} if data is None else {"data": data}), **head}


def broadcast(**changes: Any) -> dict[str, Any]:
    return sent(Kind.BROADCAST, {**DATA[Kind.BROADCAST], **changes})


def test_there_is_an_example_of_every_kind() -> None:
    assert DATA.keys() == set(Kind)
    assert all("requestId" in DATA[kind] for kind in RESPONSES)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_written_as_it_is_read(kind: Kind) -> None:
    value = sent(kind, DATA[kind])
    message = parse(decode(encode(value)))
    assert (message.kind, message.uid, message.nsp) == (kind, "node1", "/")
    assert message.plain() == value
    assert parse(decode(encode(message.plain()))) == message


@pytest.mark.parametrize("kind", [kind for kind in Kind if DATA[kind]])
def test_what_lacks_a_part_is_refused(kind: Kind) -> None:
    optional = {"close", "requestId"} if kind in {Kind.BROADCAST, Kind.SERVER_SIDE_EMIT} else {"close"}
    if kind in {Kind.SERVER_SIDE_EMIT_RESPONSE, Kind.BROADCAST_ACK}:
        optional.add("packet")
    for name in DATA[kind].keys() - optional:
        short = {key: value for key, value in DATA[kind].items() if key != name}
        with pytest.raises(PacketError, match=name):
            parse(sent(kind, short))
    wrong: list[Any] = [None, [], "x", 5]
    for data in wrong:
        with pytest.raises(PacketError):
            parse(sent(kind, data))


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        [],
        "x",
        {},
        sent(0),
        sent(14),
        sent(-(2**70)),
        sent(1, type="1"),
        sent(1, type=1.5),
        sent(1, uid=""),
        sent(1, uid="x" * 129),
        sent(1, uid=5),
        sent(1, nsp=5),
        broadcast(packet={"data": []}),
        broadcast(packet={"data": "news"}),
        broadcast(packet={"data": [None]}),
        broadcast(packet={"data": ["disconnect"]}),
        broadcast(opts={"rooms": "a"}),
        broadcast(opts={"except": [None]}),
        broadcast(opts={"flags": {"volatile": "yes"}}),
        broadcast(opts={"flags": {"timeout": math.nan}}),
        broadcast(opts={"flags": {"timeout": math.inf}}),
        broadcast(requestId=5),
        sent(Kind.SERVER_SIDE_EMIT, {"packet": []}),
        sent(Kind.SERVER_SIDE_EMIT, {"packet": [5]}),
        sent(Kind.BROADCAST_CLIENT_COUNT, {"requestId": "r", "clientCount": -1}),
        sent(Kind.BROADCAST_CLIENT_COUNT, {"requestId": "r", "clientCount": 0.5}),
        sent(Kind.FETCH_SOCKETS_RESPONSE, {"requestId": "r", "sockets": [{"id": "s"}]}),
    ],
)
def test_what_is_forged_is_refused(value: Any) -> None:
    with pytest.raises(PacketError) as refused:
        parse(value)
    assert len(str(refused.value)) < 500


def test_numbers_are_rooms() -> None:
    message = parse(sent(Kind.SOCKETS_JOIN, {"opts": {"rooms": [1, "a"], "except": [2]}, "rooms": [3, "b"]}))
    data: Any = message.data
    assert data.names() == ("3", "b")
    assert data.opts.target() == Target(("1", "a"), ("2",))


def test_the_channel_says_the_namespace_where_the_message_does_not() -> None:
    value = {"type": 2, "uid": "node1"}
    assert parse(value, "/chat") == Message(Kind.HEARTBEAT, "/chat", "node1")
    assert parse({**value, "nsp": "/other"}, "/chat").nsp == "/other"
    with pytest.raises(PacketError, match="nsp"):
        parse(value)


@pytest.mark.parametrize(
    "target",
    [
        Target(),
        Target(("a",), ("b",), Flags(volatile=True)),
        Target(("a", "c"), (), Flags(compress=False)),
    ],
)
def test_a_target_comes_back(target: Target) -> None:
    assert Opts.of(target).target() == target


def test_a_timeout_travels_in_milliseconds() -> None:
    assert Opts.of(Target(), 1.5).plain() == {"rooms": [], "except": [], "flags": {"timeout": 1500.0}}


def test_what_an_older_or_newer_node_adds_is_passed_over() -> None:
    assert parse({**sent(Kind.HEARTBEAT), "version": 7}) == Message(Kind.HEARTBEAT, "/", "node1")
