"""Who is in which room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from socketeer.errors import UsageError
from socketeer.server.adapter import Target
from socketeer.server.rooms import Rooms


def table_with(members: Mapping[str, Iterable[str]]) -> Rooms:
    table = Rooms()
    for socket_id, rooms in members.items():
        table.join(socket_id, (socket_id, *rooms))
    return table


def contents(table: Rooms) -> dict[str, set[str]]:
    return {room: set(ids) for room, ids in table.rooms.items()}


def test_joining() -> None:
    table = Rooms()
    table.join("1", ["a", "b"])
    table.join("2", ["b"])
    table.join("2", ["b"])
    assert contents(table) == {"a": {"1"}, "b": {"1", "2"}}
    assert list(table.socket_rooms("1")) == ["a", "b"]
    assert list(table.socket_rooms("nobody")) == []


def test_leaving() -> None:
    table = table_with({"1": "ab", "2": "b"})
    table.leave("1", "a")
    table.leave("1", "a")
    table.leave("1", "never entered")
    table.leave("nobody", "b")
    assert contents(table) == {"1": {"1"}, "2": {"2"}, "b": {"1", "2"}}


def test_a_listener_of_room_events_may_change_rooms() -> None:
    table, told = Rooms(), list[str]()
    table.on("create-room", lambda room: told.append(f"+{room}"))
    table.on("delete-room", lambda room: told.append(f"-{room}"))
    table.once("join-room", lambda _, socket_id: table.leave_all(socket_id))
    table.join("1", ["a", "b"])
    assert (contents(table), told) == ({}, ["+a", "-a"]), "who has left meanwhile enters no further room"
    table.join("1", ["c"])
    table.once("leave-room", lambda room, _: table.join("2", [room]))
    table.leave("1", "c")
    assert (contents(table), told) == ({"c": {"2"}}, ["+a", "-a", "+c"]), "a room entered meanwhile stays"

    @table.once("leave-room")
    def visit(room: str, _: str) -> None:
        table.join("3", [room])
        table.leave("3", room)

    table.leave("2", "c")
    assert (contents(table), told) == ({}, ["+a", "-a", "+c", "-c"]), "and is deleted once"


def test_a_listener_of_room_events_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    table = Rooms()

    @table.on("join-room")
    def fail(room: str, socket_id: str) -> None:
        raise LookupError(room, socket_id)

    table.join("1", ["a"])
    assert contents(table) == {"a": {"1"}}
    assert "listener of adapter.on('join-room') failed" in caplog.text


def test_there_is_no_other_room_event() -> None:
    with pytest.raises(UsageError, match="there is no event 'join', but create-room, delete-room, join-room"):
        Rooms().on("join", print)


def test_a_room_that_empties_is_gone() -> None:
    table = table_with({"1": "ab"})
    table.leave_all("1")
    table.leave_all("1")
    assert contents(table) == {}
    assert list(table.socket_rooms("1")) == []


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
    assert list(table_with(MEMBERS).select(Target(rooms, except_rooms))) == list(expected)


@pytest.mark.parametrize("rooms", [(), ("a",), ("a", "b")])
def test_selected_as_of_now(rooms: tuple[str, ...]) -> None:
    """What a receiver does meanwhile changes nothing for the others."""
    table = table_with({"1": "ab", "2": "ab"})
    seen = []
    for socket_id in table.select(Target(rooms)):
        seen.append(socket_id)
        table.leave_all("2")
        table.join("3", ["a", "b"])
    assert seen == ["1", "2"]


IDS, ROOMS = st.sampled_from("123"), st.sampled_from("abc")


class AgainstPairs(RuleBasedStateMachine):
    """The rooms against a set of pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Rooms()
        self.pairs: set[tuple[str, str]] = set()

    @rule(socket_id=IDS, rooms=st.lists(ROOMS))
    def join(self, socket_id: str, rooms: list[str]) -> None:
        self.table.join(socket_id, rooms)
        self.pairs |= {(socket_id, room) for room in rooms}

    @rule(socket_id=IDS, room=ROOMS)
    def leave(self, socket_id: str, room: str) -> None:
        self.table.leave(socket_id, room)
        self.pairs.discard((socket_id, room))

    @rule(socket_id=IDS)
    def leave_all(self, socket_id: str) -> None:
        self.table.leave_all(socket_id)
        self.pairs = {pair for pair in self.pairs if pair[0] != socket_id}

    @rule(rooms=st.lists(ROOMS, min_size=1), except_rooms=st.lists(ROOMS))
    def select(self, rooms: list[str], except_rooms: list[str]) -> None:
        meant = {each for each, room in self.pairs if room in rooms}
        meant -= {each for each, room in self.pairs if room in except_rooms}
        selected = list(self.table.select(Target(tuple(rooms), tuple(except_rooms))))
        assert sorted(selected) == sorted(meant)

    @invariant()
    def both_sides_agree(self) -> None:
        assert {(each, room) for room, ids in self.table.rooms.items() for each in ids} == self.pairs
        for socket_id in "123":
            rooms = {room for each, room in self.pairs if each == socket_id}
            assert set(self.table.socket_rooms(socket_id)) == rooms
        assert all(self.table.rooms.values())


TestRooms = cast(Any, AgainstPairs).TestCase
TestRooms.settings = settings(max_examples=50, stateful_step_count=30)
