"""The contract of adapters: ours pass it, and adapters with a fault do not."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Sequence
from typing import Any
from unittest import SkipTest

import pytest

from socketeer.options import Recovery
from socketeer.protocol.frame import Message
from socketeer.protocol.packet import Packet
from socketeer.server.adapter import (
    Adapter,
    AdapterHost,
    Capabilities,
    RestoredSession,
    SocketDetails,
    StoredSession,
    Target,
)
from socketeer.server.memory import MemoryAdapter
from socketeer.server.recovery import RecoveringAdapter
from socketeer.server.replies import Replies
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from tests.testing.bus import Bus, BusAdapter, RecoveringBusAdapter

# --- ours --------------------------------------------------------------------------------------


class TestMemory(AdapterContract):
    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        options.pop("connection_state_recovery", None)
        return [BaseServer(adapter=MemoryAdapter, **options) for _ in range(count)]


class TestRecovering(AdapterContract):
    """All of it with recovery, which sends every emit by the adapter and adds an offset."""

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return [BaseServer(**{"connection_state_recovery": True, **options}) for _ in range(count)]


class TestBus(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        bus = Bus()
        return [BaseServer(adapter=bus, **options) for _ in range(count)]


class TestRecoveringBus(AdapterContract):
    nodes = 2

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        bus = Bus(RecoveringBusAdapter)
        return [BaseServer(adapter=bus, **options) for _ in range(count)]


# --- with a fault --------------------------------------------------------------------------------


async def failing(contract: AdapterContract) -> set[str]:
    """The tests of the contract that an adapter does not pass."""
    failed = set()
    for name, test in inspect.getmembers(contract, inspect.iscoroutinefunction):
        if name.startswith("test_"):
            try:
                await test()
            except SkipTest:
                pass
            except Exception:  # noqa: BLE001 - an adapter that raises fails the contract as well
                failed.add(name.removeprefix("test_"))
    return failed


class Quick(AdapterContract):
    patience = 0.15
    brief = 0.05

    def __init__(self, kind: Any, nodes: int = 1, **options: Any) -> None:
        self.kind = kind
        self.nodes = nodes
        self.options = options

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        adapter = Bus(self.kind) if issubclass(self.kind, BusAdapter) else self.kind
        return [BaseServer(adapter=adapter, **{**self.options, **options}) for _ in range(count)]


class Twice(MemoryAdapter):
    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None] | None:
        for room in target.rooms or (None,):
            super().broadcast(packet, Target((room,) if room else (), target.except_rooms, target.flags))
        return None


class NoExcept(MemoryAdapter):
    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None] | None:
        return super().broadcast(packet, Target(target.rooms, (), target.flags))


class AlwaysSure(MemoryAdapter):
    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None] | None:
        return super().broadcast(packet, target.flagged(volatile=False))


class Sticky(MemoryAdapter):
    def leave(self, socket_id: str, room: str) -> None:
        pass


class NoPartial(MemoryAdapter):
    async def broadcast_with_ack(self, packet: Packet, target: Target, timeout: float | None) -> list[Any]:
        try:
            return await super().broadcast_with_ack(packet, target, timeout)
        except TimeoutError as late:
            late.responses = []  # type: ignore[attr-defined]
            raise


class Boastful(MemoryAdapter):
    capabilities = Capabilities(cluster=True)


class Talkative(MemoryAdapter):
    def server_side_emit(self, args: Sequence[Any]) -> None:
        self.nsp.on_server_side_emit(args)


class Alone(BusAdapter):
    def broadcast(self, packet: Packet, target: Target) -> None:
        MemoryAdapter.broadcast(self, packet, target)


class NeverLocal(BusAdapter):
    def others(self, target: Target | None = None) -> list[BusAdapter]:
        return super().others()


class Reordering(BusAdapter):
    held: tuple[Any, ...] = ()

    def publish(self, target: Target, act: Any, *args: Any) -> None:
        held, self.held = self.held, ()
        if not held and act is MemoryAdapter.broadcast and len(args[0].data) > 2 and args[0].data[1] == 50:
            self.held = (target, act, *args)
            return
        super().publish(target, act, *args)
        if held:
            super().publish(*held)


class SameId(BusAdapter):
    async def broadcast_with_ack(self, packet: Packet, target: Target, timeout: float | None) -> list[Any]:
        replies = Replies()
        for node in [self, *self.others(target)]:
            node.ask(packet, target, replies)
        return await replies.wait(self.nsp.wheel, timeout)


class OwnAnswers(BusAdapter):
    async def broadcast_with_ack(self, packet: Packet, target: Target, timeout: float | None) -> list[Any]:
        return await MemoryAdapter.broadcast_with_ack(self, packet, target, timeout)


class OwnSockets(BusAdapter):
    async def fetch_sockets(self, target: Target) -> Sequence[SocketDetails]:
        return self._selected(target)


class OwnMembers(BusAdapter):
    def add_sockets(self, target: Target, rooms: Sequence[str]) -> None:
        MemoryAdapter.add_sockets(self, target, rooms)


class OwnDisconnects(BusAdapter):
    def disconnect_sockets(self, target: Target, close: bool) -> None:
        MemoryAdapter.disconnect_sockets(self, target, close)


class ToItself(BusAdapter):
    def server_side_emit(self, args: Sequence[Any]) -> None:
        super().server_side_emit(args)
        self.nsp.on_server_side_emit(args)


class Lingering(BusAdapter):
    async def close(self) -> None:
        pass


class LateSnapshot(BusAdapter):
    def publish(self, target: Target, act: Any, *args: Any) -> None:
        for node in self.others(target):
            asyncio.get_running_loop().call_soon(act, node, *args)


class AnyOffset(RecoveringAdapter):
    async def restore_session(self, pid: str, offset: str) -> RestoredSession | None:
        return await super().restore_session(pid, self.log.offset(max(0, self.log.next - 1)))


class Gap(RecoveringAdapter):
    def _missed(self, kept: Any, number: int) -> Sequence[tuple[str, Message]] | None:
        return (super()._missed(kept, number) or [])[1:]


class Backwards(RecoveringAdapter):
    def _missed(self, kept: Any, number: int) -> Sequence[tuple[str, Message]] | None:
        return (super()._missed(kept, number) or [])[::-1]


class Everything(RecoveringAdapter):
    def _missed(self, kept: Any, number: int) -> Sequence[tuple[str, Message]] | None:
        return self.log.since(number, self.log._lines)  # type: ignore[arg-type]


class NoRooms(RecoveringAdapter):
    def persist_session(self, session: StoredSession) -> Awaitable[None] | None:
        return super().persist_session(
            StoredSession(session.sid, session.pid, (session.sid,), {}, session.offset)
        )


class Forgiving(RecoveringAdapter):
    def forget_session(self, pid: str) -> Awaitable[None] | None:
        return None


class ForEver(RecoveringAdapter):
    def __init__(self, nsp: AdapterHost) -> None:
        super().__init__(nsp)
        self._recovery = Recovery()


class Volatile(RecoveringAdapter):
    """Keeps what must not be kept."""

    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None] | None:
        return super().broadcast(packet, target.flagged(volatile=False))


FAULTS: dict[Any, str] = {
    Twice: "rooms",
    NoExcept: "rooms",
    AlwaysSure: "volatile",
    Sticky: "leaving_a_room",
    NoPartial: "acknowledged_in_part",
    Boastful: "capabilities",
    Talkative: "server_side_emit",
    Alone: "everybody_gets_it_once",
    NeverLocal: "local",
    Reordering: "order",
    SameId: "questions_of_several_nodes_at_once",
    OwnAnswers: "acknowledged",
    OwnSockets: "fetching",
    OwnMembers: "joining_and_leaving_from_afar",
    OwnDisconnects: "disconnecting_from_afar",
    ToItself: "server_side_emit",
    Lingering: "a_node_that_ends",
    LateSnapshot: "later_changes_do_not_travel",
    AnyOffset: "recovery_with_what_is_not_known",
    Gap: "recovery",
    Backwards: "recovery_in_the_order_of_what_was_sent",
    Everything: "recovery",
    NoRooms: "recovery",
    Forgiving: "recovery_is_not_for_who_was_disconnected",
    ForEver: "recovery_ends_in_time",
    Volatile: "recovery",
}


@pytest.mark.parametrize(("kind", "test"), FAULTS.items(), ids=[kind.__name__ for kind in FAULTS])
async def test_a_fault_is_found(kind: type[Adapter], test: str) -> None:
    options = {"connection_state_recovery": True} if issubclass(kind, RecoveringAdapter) else {}
    contract = Quick(kind, nodes=3 if issubclass(kind, BusAdapter) else 1, **options)
    assert test in await failing(contract)


@pytest.mark.parametrize("kind", [MemoryAdapter, BusAdapter, RecoveringAdapter])
async def test_without_a_fault_none_is_found(kind: Any) -> None:
    """So that what is found above is the fault and not the haste."""
    contract = Quick(kind, nodes=3 if kind is BusAdapter else 1)
    contract.patience = 5.0
    if kind is RecoveringAdapter:
        contract.options["connection_state_recovery"] = True
    assert await failing(contract) == set()


async def test_servers_are_the_subclass_s_business() -> None:
    with pytest.raises(NotImplementedError):
        await AdapterContract().make_servers(1)
