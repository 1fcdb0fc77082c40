"""The adapter that keeps sessions and packets: what is kept, for how long, and that it stays bounded."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from socketeer.options import Recovery
from socketeer.protocol.frame import Message
from socketeer.server.adapter import StoredSession, Target
from socketeer.server.recovery import PacketLog, RecoveringAdapter
from socketeer.server.server import BaseServer
from tests.server.returning import Returner
from tests.support.inprocess import Lobby

MANY = 1_000_000


def log_of(*targets: Target, max_packets: int = MANY, max_bytes: int = MANY * MANY) -> PacketLog:
    """A log with one event for each target; the number is its text and its time."""
    log = PacketLog(max_packets, max_bytes)
    for number, target in enumerate(targets):
        log.append(Message(b"%d" % number), target, float(number))
    return log


def numbers(log: PacketLog, after: int, *rooms: str) -> list[int]:
    found = log.since(after, rooms)
    assert [offset for offset, _ in found] == [log.offset(int(message.text)) for _, message in found]
    return [int(message.text) for _, message in found]


# --- the log -------------------------------------------------------------------------------------


def test_offsets() -> None:
    log, other = log_of(Target(), Target()), log_of(Target(), Target())
    assert [log.number(log.offset(number)) for number in (0, 1)] == [0, 1]
    assert log.number(log.offset(2)) is None, "not sent yet"
    assert log.number(other.offset(1)) is None, "of another log"
    assert log.offset(0) != log.offset(1)


@pytest.mark.parametrize(
    "digits", ["", "00", "+1", " 1", "1 ", "1_0", "-1", "1.0", "\u0661", "9" * 5_000, "\u00b2"]
)
def test_what_is_no_offset(digits: str) -> None:
    log = log_of(*[Target()] * 20)
    assert log.number(log.offset(1)[:4] + digits) is None


def test_reading_by_rooms() -> None:
    log = log_of(
        Target(),
        Target(("a",)),
        Target(("b",)),
        Target(("a", "b")),
        Target((), ("a",)),
        Target(("b", "c"), ("a", "d")),
        Target(("c",)),
    )
    assert numbers(log, -1) == [0, 4]
    assert numbers(log, -1, "a") == [0, 1, 3]
    assert numbers(log, -1, "a", "b") == [0, 1, 2, 3]
    assert numbers(log, -1, "b") == [0, 2, 3, 4, 5]
    assert numbers(log, -1, "b", "d") == [0, 2, 3, 4]
    assert numbers(log, 3, "b") == [4, 5]
    assert numbers(log, 6, "c") == []


def test_the_oldest_go_by_number_by_bytes_and_by_age() -> None:
    log = log_of(*[Target(("a",))] * 10, max_packets=4)
    assert (len(log), log.first, log.next) == (4, 6, 10)
    assert numbers(log, -1, "a") == [6, 7, 8, 9]
    log.drop_before(8.0)
    assert numbers(log, -1, "a") == [8, 9]
    log.clear()
    assert (len(log), log.bytes, log.first, log.next) == (0, 0, 10, 10)
    small = PacketLog(MANY, 5_000)
    for number in range(100):
        small.append(Message(b"x" * number, [b"y" * number]), Target(("a", "a")), 0.0)
        assert small.bytes <= 5_000
    assert 0 < len(small) < 10
    small.append(Message(b"x" * 6_000), Target(), 0.0)
    assert (len(small), small.bytes, small.first) == (0, 0, 101), "larger than all there may be"


def test_nothing_is_left_of_what_has_gone() -> None:
    log = log_of(*(Target((f"room {number}",), (f"other {number}",)) for number in range(100)), max_packets=3)
    assert len(log._lines) == 3
    log.drop_before(1_000.0)
    assert (log._lines, log.bytes) == ({}, 0)


@pytest.mark.parametrize(
    "target", [Target(), Target(("room",)), Target(("a", "b", "c", "d")), Target((), ("a", "b"))]
)
def test_the_estimate_is_not_far_from_what_is_used(target: Target) -> None:
    count = 2_000
    gc.collect()
    tracemalloc.start()
    log = PacketLog(MANY, MANY * MANY)
    for number in range(count):
        rooms = tuple(f"{room}{number}" for room in target.rooms)
        log.append(Message(b"x" * (20 + number % 50), [b"y" * (number % 50)]), Target(rooms), float(number))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.5 * log.bytes < used < 1.3 * log.bytes


def test_what_is_sent_does_not_grow_in_the_log() -> None:
    """A message keeps what it was made into for each wire; that one goes, and ours stays small."""
    log = log_of(Target())
    ((_, message),) = log.since(-1, ())
    message.frames()
    message.payload()
    ((_, again),) = log.since(-1, ())
    assert (again.framed, again.in_payload) == (None, None)


# --- the adapter -----------------------------------------------------------------------------------


def make(**recovery: Any) -> tuple[Lobby, RecoveringAdapter]:
    lobby = Lobby(connection_state_recovery=Recovery(**recovery), ping_interval=1e6)
    adapter = lobby.io.adapter
    assert isinstance(adapter, RecoveringAdapter)
    return lobby, adapter


def test_without_a_loop_nobody_is_there() -> None:
    io = BaseServer(connection_state_recovery=True)
    io.emit("x")
    with pytest.raises(TypeError):
        io.emit("x", object())


async def test_nothing_is_kept_while_nobody_is_there() -> None:
    lobby, adapter = make()
    lobby.io.emit("x")
    assert len(adapter.log) == 0
    client, _ = lobby.connected()
    lobby.io.emit("x")
    client.vanish()
    lobby.io.emit("x")
    assert len(adapter.log) == 2


async def test_sessions_are_bounded() -> None:
    _, adapter = make(max_sessions=3)
    for number in range(10):
        adapter.persist_session(StoredSession("sid", f"pid {number}", (), {}))
    assert list(adapter.sessions) == ["pid 7", "pid 8", "pid 9"]
    adapter.persist_session(StoredSession("sid", "pid 7", (), {}))
    adapter.persist_session(StoredSession("sid", "new", (), {}))
    assert list(adapter.sessions) == ["pid 9", "pid 7", "new"]
    adapter.forget_session("pid 7")
    adapter.forget_session("pid 7")
    assert list(adapter.sessions) == ["pid 9", "new"]


async def test_everything_goes_in_time_and_nothing_is_left_running() -> None:
    lobby, adapter = make(max_disconnection_duration=10)
    client, socket = lobby.connected()
    socket.emit("x")
    client.vanish()
    lobby.io.emit("y")
    assert (len(adapter.log), len(adapter.sessions)) == (2, 1)
    lobby.clock.advance(9)
    assert (len(adapter.log), len(adapter.sessions)) == (2, 1)
    lobby.clock.advance(12)
    assert (len(adapter.log), len(adapter.sessions)) == (0, 0)
    lobby.clock.advance(1_000)
    assert lobby.clock.pending == []


async def test_what_is_young_survives_the_sweep() -> None:
    lobby, adapter = make(max_disconnection_duration=10)
    client, socket = lobby.connected()
    socket.emit("old")
    lobby.clock.advance(6)
    socket.emit("young")
    client.vanish()
    lobby.clock.advance(5)  # the sweep was at 10
    assert (adapter.log.first, len(adapter.log), len(adapter.sessions)) == (1, 1, 1)
    assert await adapter.restore_session(client.welcome["pid"], adapter.log.offset(1)) is not None
    lobby.clock.advance(5.1)
    assert await adapter.restore_session(client.welcome["pid"], adapter.log.offset(1)) is None, (
        "late by itself"
    )
    lobby.clock.advance(6)
    assert (len(adapter.log), len(adapter.sessions)) == (0, 0)


async def test_a_flood_of_events_and_sessions() -> None:
    """What is kept is counted, in numbers and in bytes."""
    lobby, adapter = make(max_packets=2_000, max_bytes=500_000, max_sessions=500)
    client, socket = lobby.connected()
    client.carrier.send = lambda message: None  # type: ignore[method-assign]
    client.session.send = lambda message: None
    gc.collect()
    tracemalloc.start()
    target = Target((socket.id,))
    message = Message(b"x" * 50)
    for _ in range(50_000):
        adapter.log.append(message, target, 0.0)
    for number in range(20_000):
        adapter.persist_session(StoredSession("sid", f"pid {number}", (), {}))
    for _ in range(3_000):
        socket.emit("x", "y" * 100)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(adapter.log) <= 2_000
    assert adapter.log.bytes <= 500_000
    assert len(adapter.sessions) == 500
    assert used < 1_500_000


# --- exactly what was meant, once, in order --------------------------------------------------------------

ROOMS = ("a", "b", "c")


class Model:
    """One user, and the events meant for it, by the official rule.

    Connected: what is sent to it. While it is away: what is for everybody or for one of the rooms that
    it had when it went, and for none of them excepted.
    """

    def __init__(self, lobby: Lobby) -> None:
        self.user = Returner(lobby)
        self.user.connect()
        self.present = True
        self.away: set[str] = set()
        self.meant: list[int] = []
        self.gone_at = 0.0

    def rooms(self) -> set[str]:
        return self.user.socket.rooms if self.present else self.away

    def is_meant(self, rooms: set[str], except_rooms: set[str]) -> bool:
        own = self.rooms()
        return (not rooms or bool(own & rooms)) and not own & except_rooms


class Recovering(RuleBasedStateMachine):
    """Whatever is emitted, and whenever connections break."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._start())
        self.sent = 0

    async def _start(self) -> None:
        self.lobby, self.adapter = make(max_packets=30, max_disconnection_duration=60)
        self.models = [Model(self.lobby) for _ in range(3)]

    def run(self, function: Any) -> Any:
        async def call() -> Any:
            return function()

        return self.loop.run_until_complete(call())

    def teardown(self) -> None:
        self.loop.close()

    @rule(
        rooms=st.sets(st.sampled_from(ROOMS), max_size=2),
        except_rooms=st.sets(st.sampled_from(ROOMS), max_size=1),
        without=st.none() | st.integers(0, 2),
        times=st.integers(1, 3),
    )
    def broadcast(self, rooms: set[str], except_rooms: set[str], without: int | None, times: int) -> None:
        if without is not None:
            except_rooms = except_rooms | {self.models[without].user.socket.id}
        for _ in range(times):
            for model in self.models:
                if model.is_meant(rooms, except_rooms):
                    model.meant.append(self.sent)
            self.run(lambda: self.lobby.io.to(rooms).except_(except_rooms).emit("n", self.sent))
            self.sent += 1

    @rule(who=st.integers(0, 2))
    def emit(self, who: int) -> None:
        model = self.models[who]
        if model.present:
            model.meant.append(self.sent)
        self.run(lambda: model.user.socket.emit("n", self.sent))
        self.sent += 1

    @rule(who=st.integers(0, 2))
    def handle(self, who: int) -> None:
        """The network delivers: rooms change only where nothing is on its way, or the official rule is fuzzy."""
        if self.models[who].present:
            self.models[who].user.handle()

    @rule(who=st.integers(0, 2), room=st.sampled_from(ROOMS), entering=st.booleans())
    def move(self, who: int, room: str, entering: bool) -> None:
        """What was not for the old rooms, and would be for the new, must be behind the client's offset."""
        model = self.models[who]
        if model.present:
            socket = model.user.socket
            self.run(lambda: socket.join(room) if entering else socket.leave(room))
            model.meant.append(self.sent)
            self.run(lambda: socket.emit("n", self.sent))
            self.sent += 1
            model.user.handle()

    @rule(who=st.integers(0, 2), reason=st.sampled_from(["transport close", "ping timeout"]))
    def lose(self, who: int, reason: str) -> None:
        model = self.models[who]
        if model.present:
            model.away = model.user.socket.rooms
            model.present = False
            model.gone_at = self.lobby.clock.time()
            self.run(lambda: model.user.lose(reason))

    @rule(who=st.integers(0, 2), noticed=st.booleans())
    def come_back(self, who: int, noticed: bool) -> None:
        """With ``noticed`` False also where the server believes that the old connection is there."""
        model = self.models[who]
        if model.present:
            if noticed:
                return
            model.user.client.carrier.sent.clear()
        sid = model.user.socket.id
        log, offset = self.adapter.log, model.user.offset
        number = None if offset is None else log.number(offset)
        in_time = model.present or self.lobby.clock.time() - model.gone_at < 60
        must = number is not None and number + 1 >= log.first and in_time
        self.run(model.user.connect)
        assert model.user.recovered or not must
        model.present = True
        if not model.user.recovered:
            assert model.user.socket.id != sid
            assert model.user.socket.rooms == {model.user.socket.id}
            model.user.events.clear()
            model.meant.clear()

    @rule(seconds=st.floats(0.1, 20))
    def wait(self, seconds: float) -> None:
        self.run(lambda: self.lobby.clock.advance(seconds))

    @precondition(lambda self: all(model.present for model in self.models))
    @invariant()
    def each_has_what_was_meant_for_it(self) -> None:
        for model in self.models:
            handled = [event[1] for event in model.user.events]
            on_its_way = len(model.user.client.carrier.sent)
            assert handled == model.meant[: len(model.meant) - on_its_way]

    @invariant()
    def bounded(self) -> None:
        assert len(self.adapter.log) <= 30
        assert len(self.adapter.sessions) <= 3 + 20


TestRecovering = cast(Any, Recovering).TestCase
TestRecovering.settings = settings(max_examples=100, stateful_step_count=40)
