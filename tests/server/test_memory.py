"""Who is in which room, and whom a broadcast reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from socketeer.errors import UsageError
from socketeer.protocol.packet import EVENT, Packet
from socketeer.server.adapter import Adapter, Flags, StoredSession, Target
from socketeer.server.memory import MemoryAdapter
from socketeer.server.server import BaseServer
from tests.support.inprocess import Lobby, soon


def lone_adapter() -> MemoryAdapter:
    """The adapter of a namespace without sockets."""
    return MemoryAdapter(BaseServer().of("/"))


def adapter_with(members: Mapping[str, Iterable[str]]) -> MemoryAdapter:
    adapter = lone_adapter()
    for socket_id, rooms in members.items():
        adapter.join(socket_id, (socket_id, *rooms))
    return adapter


def contents(adapter: Adapter) -> dict[str, set[str]]:
    return {room: set(ids) for room, ids in adapter.rooms.items()}


def test_joining() -> None:
    adapter = lone_adapter()
    adapter.join("1", ["a", "b"])
    adapter.join("2", ["b"])
    adapter.join("2", ["b"])
    assert contents(adapter) == {"a": {"1"}, "b": {"1", "2"}}
    assert list(adapter.socket_rooms("1")) == ["a", "b"]
    assert list(adapter.socket_rooms("nobody")) == []


def test_leaving() -> None:
    adapter = adapter_with({"1": "ab", "2": "b"})
    adapter.leave("1", "a")
    adapter.leave("1", "a")
    adapter.leave("1", "never entered")
    adapter.leave("nobody", "b")
    assert contents(adapter) == {"1": {"1"}, "2": {"2"}, "b": {"1", "2"}}


def test_a_listener_of_room_events_may_change_rooms() -> None:
    adapter, told = lone_adapter(), list[str]()
    adapter.on("create-room", lambda room: told.append(f"+{room}"))
    adapter.on("delete-room", lambda room: told.append(f"-{room}"))
    adapter.once("join-room", lambda _, socket_id: adapter.leave_all(socket_id))
    adapter.join("1", ["a", "b"])
    assert (contents(adapter), told) == ({}, ["+a", "-a"]), "who has left meanwhile enters no further room"
    adapter.join("1", ["c"])
    adapter.once("leave-room", lambda room, _: adapter.join("2", [room]))
    adapter.leave("1", "c")
    assert (contents(adapter), told) == ({"c": {"2"}}, ["+a", "-a", "+c"]), "a room entered meanwhile stays"

    @adapter.once("leave-room")
    def visit(room: str, _: str) -> None:
        adapter.join("3", [room])
        adapter.leave("3", room)

    adapter.leave("2", "c")
    assert (contents(adapter), told) == ({}, ["+a", "-a", "+c", "-c"]), "and is deleted once"


def test_a_listener_of_room_events_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    adapter = lone_adapter()

    @adapter.on("join-room")
    def fail(room: str, socket_id: str) -> None:
        raise LookupError(room, socket_id)

    adapter.join("1", ["a"])
    assert contents(adapter) == {"a": {"1"}}
    assert "listener of adapter.on('join-room') failed" in caplog.text


def test_there_is_no_other_room_event() -> None:
    with pytest.raises(UsageError, match="there is no event 'join', but create-room, delete-room, join-room"):
        lone_adapter().on("join", print)


def test_a_room_that_empties_is_gone() -> None:
    adapter = adapter_with({"1": "ab"})
    adapter.leave_all("1")
    adapter.leave_all("1")
    assert contents(adapter) == {}
    assert list(adapter.socket_rooms("1")) == []


MEMBERS = {"1": "a", "2": "ab", "3": "b", "4": ""}


@pytest.mark.parametrize(
    ("rooms", "except_rooms", "expected"),
    [
        ((), (), "1234"),
        (("a",), (), "12"),
        (("b", "a"), (), "231"),
        (("a", "a"), (), "12"),
        (("nowhere",), (), ""),
        (("nowhere", "b"), (), "23"),
        (("4",), (), "4"),
        ((), ("a",), "34"),
        ((), ("a", "b"), "4"),
        ((), ("nowhere",), "1234"),
        ((), ("2",), "134"),
        (("a",), ("b",), "1"),
        (("a", "b"), ("1", "3"), "2"),
        (("a",), ("a",), ""),
    ],
)
def test_select(rooms: tuple[str, ...], except_rooms: tuple[str, ...], expected: str) -> None:
    """Each once; of one room in the order of joining."""
    assert list(adapter_with(MEMBERS).select(Target(rooms, except_rooms))) == list(expected)


@pytest.mark.parametrize("rooms", [(), ("a",), ("a", "b")])
def test_selected_as_of_now(rooms: tuple[str, ...]) -> None:
    """What a receiver does meanwhile changes nothing for the others."""
    adapter = adapter_with({"1": "ab", "2": "ab"})
    seen = []
    for socket_id in adapter.select(Target(rooms)):
        seen.append(socket_id)
        adapter.leave_all("2")
        adapter.join("3", ["a", "b"])
    assert seen == ["1", "2"]


async def test_broadcast() -> None:
    lobby = Lobby()
    adapter = lobby.io.sockets.adapter
    clients = []
    for name in "ab":
        client, socket = lobby.connected()
        socket.join(name)
        clients.append(client)
    adapter.broadcast(Packet(EVENT, "/", ["x"]), Target(("a",)))
    assert [client.heard() for client in clients] == [['42["x"]'], []]


async def test_broadcast_to_a_member_that_is_not_connected() -> None:
    """A client still in its middlewares may be in a room already."""
    lobby = Lobby()
    client, _ = lobby.connected()
    adapter = lobby.io.sockets.adapter
    adapter.join("nobody", ["a"])
    adapter.broadcast(Packet(EVENT, "/", ["x"]), Target())
    assert client.heard() == ['42["x"]']


async def test_volatile_broadcast() -> None:
    lobby = Lobby()
    (busy, _), (idle, _) = lobby.connected(), lobby.connected()
    busy.carrier.busy = True
    lobby.io.sockets.adapter.broadcast(Packet(EVENT, "/", ["x"]), Target(flags=Flags(volatile=True)))
    assert (busy.heard(), idle.heard()) == ([], ['42["x"]'])


# --- the sockets of all nodes, of which there is one ---------------------------------------------


async def test_fetching_joining_leaving_disconnecting() -> None:
    lobby = Lobby()
    (_, one), (_, two) = lobby.connected(), lobby.connected()
    adapter = lobby.io.sockets.adapter
    adapter.join("still in its middlewares", ["a"])
    adapter.add_sockets(Target((one.id,)), ["a", "b"])
    assert (one.rooms, two.rooms) == ({one.id, "a", "b"}, {two.id})
    assert await adapter.fetch_sockets(Target(("a",))) == [one]
    assert await adapter.fetch_sockets(Target((), ("a",))) == [two]
    adapter.del_sockets(Target(), ["a", "never entered"])
    assert one.rooms == {one.id, "b"}
    adapter.disconnect_sockets(Target((), ("b",)), close=False)
    assert (one.connected, two.connected) == (True, False)


async def test_disconnecting_with_the_connection() -> None:
    lobby = Lobby()
    (client, _), (other, _) = lobby.connected(), lobby.connected()
    other.connect("/b")
    lobby.io.of("/b").adapter.disconnect_sockets(Target(), close=True)
    assert (client.ended(), other.ended()) == (False, True)


async def test_acknowledged_broadcast_needs_an_id() -> None:
    with pytest.raises(UsageError, match="a packet with an id"):
        await lone_adapter().broadcast_with_ack(Packet(EVENT, "/", ["x"]), Target(), None)


async def test_a_busy_client_is_not_asked_by_a_volatile_broadcast() -> None:
    lobby = Lobby()
    (busy, _), (idle, _) = lobby.connected(), lobby.connected()
    busy.carrier.busy = True
    asking = asyncio.create_task(lobby.io.volatile.emit_with_ack("x"))
    await soon(idle.carrier.news)
    assert (busy.heard(), idle.asks("430[1]")) == ([], ['420["x"]'])
    assert await asking == [1]


async def test_no_other_nodes() -> None:
    adapter = lone_adapter()
    assert await adapter.server_count() == 1
    assert adapter.server_side_emit(["x"]) is None
    assert await adapter.server_side_emit_with_ack(["x"], None) == []


async def test_nothing_is_kept_of_a_session() -> None:
    adapter = lone_adapter()
    assert adapter.persist_session(StoredSession("sid", "pid", (), {})) is None
    assert await adapter.restore_session("pid", "offset") is None


async def test_closing() -> None:
    await lone_adapter().close()


IDS, ROOMS = st.sampled_from("123"), st.sampled_from("abc")


class Rooms(RuleBasedStateMachine):
    """The adapter against a set of pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.adapter = lone_adapter()
        self.pairs: set[tuple[str, str]] = set()

    @rule(socket_id=IDS, rooms=st.lists(ROOMS))
    def join(self, socket_id: str, rooms: list[str]) -> None:
        self.adapter.join(socket_id, rooms)
        self.pairs |= {(socket_id, room) for room in rooms}

    @rule(socket_id=IDS, room=ROOMS)
    def leave(self, socket_id: str, room: str) -> None:
        self.adapter.leave(socket_id, room)
        self.pairs.discard((socket_id, room))

    @rule(socket_id=IDS)
    def leave_all(self, socket_id: str) -> None:
        self.adapter.leave_all(socket_id)
        self.pairs = {pair for pair in self.pairs if pair[0] != socket_id}

    @rule(rooms=st.lists(ROOMS, min_size=1), except_rooms=st.lists(ROOMS))
    def select(self, rooms: list[str], except_rooms: list[str]) -> None:
        meant = {each for each, room in self.pairs if room in rooms}
        meant -= {each for each, room in self.pairs if room in except_rooms}
        selected = list(self.adapter.select(Target(tuple(rooms), tuple(except_rooms))))
        assert sorted(selected) == sorted(meant)

    @invariant()
    def both_sides_agree(self) -> None:
        assert {(each, room) for room, ids in self.adapter.rooms.items() for each in ids} == self.pairs
        for socket_id in "123":
            rooms = {room for each, room in self.pairs if each == socket_id}
            assert set(self.adapter.socket_rooms(socket_id)) == rooms
        assert all(self.adapter.rooms.values())


TestRooms = cast(Any, Rooms).TestCase
TestRooms.settings = settings(max_examples=50, stateful_step_count=30)


async def test_only_the_receivers_that_listen_are_told() -> None:
    lobby = Lobby()
    (_, one), (_, two), (_, three) = (lobby.connected() for _ in range(3))
    heard: list[Any] = []
    for socket in (one, two):
        socket.on_any_outgoing(lambda *args, to=socket: heard.append((to, args)))
    two.join("a")
    three.join("a")
    adapter = cast(MemoryAdapter, lobby.io.adapter)
    adapter.broadcast(Packet(EVENT, "/", ("x", 1)), Target(("a",)))
    adapter.broadcast(Packet(EVENT, "/", ("y",)), Target((), ("a",)))
    waiting = asyncio.ensure_future(
        adapter.broadcast_with_ack(Packet(EVENT, "/", ("z",), 7), Target(("a",)), 5)
    )
    await asyncio.sleep(0)
    waiting.cancel()
    assert heard == [(two, ("x", 1)), (one, ("y",)), (two, ("z",))]
