"""Messages between nodes, as they travel and as they are checked."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.adapters.codec import decode, encode
from socketeer.adapters.messages import (
    Answer,
    Broadcast,
    ClientCount,
    Data,
    Disconnection,
    EventPacket,
    Fetch,
    Fetched,
    FetchedSocket,
    Kind,
    Membership,
    Message,
    Opts,
    ServerSideEmit,
    parse,
)
from socketeer.errors import PacketError
from socketeer.server.adapter import Flags, Target

OPTS = Opts.of(Target(("r1",), ("r2",), Flags(volatile=True, compress=False)))
SOCKET = FetchedSocket("id", {"headers": {}}, ["id", "r"], {"n": b"\x00"})
MESSAGES: list[tuple[Kind, Data | None]] = [
    (Kind.INITIAL_HEARTBEAT, None),
    (Kind.HEARTBEAT, None),
    (Kind.BROADCAST, Broadcast(opts=OPTS, packet=EventPacket(["hi", b"\x00"]))),
    (Kind.BROADCAST, Broadcast(opts=Opts(), packet=EventPacket(["hi"]), request_id="q")),
    (Kind.SOCKETS_JOIN, Membership(opts=OPTS, rooms=["a", "b"])),
    (Kind.SOCKETS_LEAVE, Membership(opts=OPTS, rooms=["a"])),
    (Kind.DISCONNECT_SOCKETS, Disconnection(opts=OPTS, close=True)),
    (Kind.FETCH_SOCKETS, Fetch(opts=OPTS, request_id="q")),
    (Kind.FETCH_SOCKETS_RESPONSE, Fetched(request_id="q", sockets=[SOCKET])),
    (Kind.SERVER_SIDE_EMIT, ServerSideEmit(packet=["hello", 1])),
    (Kind.SERVER_SIDE_EMIT_RESPONSE, Answer(request_id="q", packet={"a": None})),
    (Kind.BROADCAST_CLIENT_COUNT, ClientCount(request_id="q", client_count=3)),
    (Kind.BROADCAST_ACK, Answer(request_id="q")),
    (Kind.ADAPTER_CLOSE, None),
]


@pytest.mark.parametrize(("kind", "data"), MESSAGES)
def test_each_kind_travels(kind: Kind, data: Data | None) -> None:
    message = Message(kind, "/chat", "abc", data)
    assert parse(decode(encode(message.plain()))) == message


def test_in_the_form_of_the_official_adapters() -> None:
    kind, data = MESSAGES[2]
    assert Message(kind, "/", "abc", data).plain() == {
        "type": 3,
        "data": {
            "opts": {"rooms": ["r1"], "except": ["r2"], "flags": {"volatile": True, "compress": False}},
            "packet": {"type": 2, "data": ["hi", b"\x00"]},
        },
        "uid": "abc",
        "nsp": "/",
    }


def test_a_target_comes_back() -> None:
    target = Target(("r1",), ("r2",), Flags(volatile=True, compress=False))
    assert OPTS.target() == target
    assert Opts.of(target, 1.5).flags.timeout == 1500


def test_what_javascript_adds_is_passed_over() -> None:
    flags = {"broadcast": True, "expectSingleResponse": True, "volatile": None}
    opts = {"rooms": [7], "except": [], "flags": flags}
    packet = {"type": 2, "data": ["a"], "nsp": "/x"}
    message = parse({"type": 3, "uid": "u", "data": {"packet": packet, "opts": opts}}, nsp="/x")
    assert isinstance(message.data, Broadcast)
    assert (message.nsp, message.data.opts.target()) == ("/x", Target(("7",)))


@pytest.mark.parametrize(("kind", "data"), [each for each in MESSAGES if each[1] is not None])
def test_a_part_that_is_missing(kind: Kind, data: Data) -> None:
    whole: dict[str, Any] = Message(kind, "/", "abc", data).plain()
    for key in whole:
        with pytest.raises(PacketError):
            parse({name: value for name, value in whole.items() if name != key})
    for key, value in whole["data"].items():
        if key not in ("close", "packet", "requestId") or (key == "packet" and kind is Kind.BROADCAST):
            broken: dict[str, Any] = {key: 1.5 if isinstance(value, (dict, list)) else []}
            for wrong in ({}, broken):
                rest = {name: each for name, each in whole["data"].items() if name != key}
                with pytest.raises(PacketError):
                    parse({**whole, "data": {**rest, **wrong}})


@pytest.mark.parametrize(
    "value",
    [None, 1, [], "x", {}, {"type": 0, "uid": "a", "nsp": "/"}, {"type": True, "uid": "a", "nsp": "/"}],
)
def test_what_is_no_message(value: Any) -> None:
    with pytest.raises(PacketError):
        parse(value)


@pytest.mark.parametrize("uid", ["", "x" * 129, None, 5])
def test_a_sender_has_an_id_of_some_length(uid: Any) -> None:
    with pytest.raises(PacketError):
        parse({"type": 1, "uid": uid, "nsp": "/"})


@pytest.mark.parametrize("args", [[], ["connect"], ["disconnecting"], [{}], [None]])
def test_events_that_nobody_may_emit(args: list[Any]) -> None:
    with pytest.raises(PacketError, match="may be emitted"):
        parse({"type": 3, "uid": "u", "nsp": "/", "data": {"packet": {"data": args}, "opts": {}}})
