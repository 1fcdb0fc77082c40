"""A cluster in one process: adapters that reach each other over a bus, so that the contract's larger half is run."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from socketeer.errors import AckTimeout
from socketeer.protocol.frame import Message
from socketeer.protocol.packet import Packet
from socketeer.server.adapter import AdapterHost, Capabilities, Member, SocketDetails, Target
from socketeer.server.memory import MemoryAdapter
from socketeer.server.recovery import RecoveringAdapter
from socketeer.server.replies import Replies


@dataclass
class Details:
    """A socket of another node."""

    id: str
    rooms: set[str]
    data: dict[str, Any]
    handshake: Any


class Bus:
    """What the servers of one cluster are made with: `BaseServer(adapter=bus)`."""

    def __init__(self, kind: type[BusAdapter] | None = None) -> None:
        self.kind = kind or BusAdapter
        self.nodes: dict[str, list[BusAdapter]] = defaultdict(list)

    def __call__(self, nsp: AdapterHost) -> BusAdapter:
        adapter = self.kind(nsp, self.nodes[nsp.name])
        self.nodes[nsp.name].append(adapter)
        return adapter


class BusAdapter(MemoryAdapter):
    """Does its part at once, and has the others do theirs in the next turn of the loop."""

    capabilities = Capabilities(cluster=True)

    def __init__(self, nsp: AdapterHost, nodes: list[BusAdapter]) -> None:
        super().__init__(nsp)
        self.nodes = nodes

    def others(self, target: Target | None = None) -> list[BusAdapter]:
        local = target is not None and target.flags.local
        return [] if local else [node for node in self.nodes if node is not self]

    def publish(self, target: Target, act: Callable[..., Any], *args: Any) -> None:
        """Have every other node do what this one does."""
        if others := self.others(target):
            loop, args = asyncio.get_running_loop(), deepcopy(args)
            for node in others:
                loop.call_soon(act, node, *args)

    def broadcast(self, packet: Packet, target: Target) -> None:
        self.publish(target, MemoryAdapter.broadcast, packet, target)
        super().broadcast(packet, target)

    async def broadcast_with_ack(self, packet: Packet, target: Target, timeout: float | None) -> list[Any]:
        replies = Replies()
        asked: list[tuple[BusAdapter, Packet, list[Member]]] = []
        for node in [self, *self.others(target)]:
            own = (
                packet
                if node is self
                else Packet(packet.type, packet.nsp, packet.data, node.nsp.next_ack_id())
            )
            asked.append((node, own, node.ask(own, target, replies)))
        try:
            return await replies.wait(self.nsp.wheel, timeout)
        finally:
            for node, own, sockets in asked:
                node.forget(own, sockets)

    async def fetch_sockets(self, target: Target) -> Sequence[SocketDetails]:
        remote = [each for node in self.others(target) for each in node._selected(target)]
        details = [Details(each.id, each.rooms, deepcopy(each.data), each.handshake) for each in remote]
        return [*await super().fetch_sockets(target), *details]

    def add_sockets(self, target: Target, rooms: Sequence[str]) -> None:
        self.publish(target, MemoryAdapter.add_sockets, target, rooms)
        super().add_sockets(target, rooms)

    def del_sockets(self, target: Target, rooms: Sequence[str]) -> None:
        self.publish(target, MemoryAdapter.del_sockets, target, rooms)
        super().del_sockets(target, rooms)

    def disconnect_sockets(self, target: Target, close: bool) -> None:
        self.publish(target, MemoryAdapter.disconnect_sockets, target, close)
        super().disconnect_sockets(target, close)

    def server_side_emit(self, args: Sequence[Any]) -> None:
        self.publish(Target(), lambda node, args: node.nsp.on_server_side_emit(args), args)

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout: float | None) -> list[Any]:
        answers: list[Any] = []
        complete, others = asyncio.Event(), self.others()

        def answered(values: tuple[Any, ...]) -> None:
            answers.append(values[0])
            if len(answers) == len(others):
                complete.set()

        for node in others:
            node.nsp.on_server_side_emit(deepcopy(args), answered)
        try:
            await asyncio.wait_for(complete.wait() if others else asyncio.sleep(0), timeout)
        except TimeoutError:
            raise AckTimeout(responses=answers) from None
        return answers

    async def server_count(self) -> int:
        return len(self.nodes)

    async def close(self) -> None:
        if self in self.nodes:
            self.nodes.remove(self)


class RecoveringBusAdapter(BusAdapter, RecoveringAdapter):
    """The same, with sessions and events that all nodes share."""

    capabilities = Capabilities(cluster=True, recovery=True)

    def __init__(self, nsp: AdapterHost, nodes: list[BusAdapter]) -> None:
        super().__init__(nsp, nodes)
        for node in nodes:
            if isinstance(node, RecoveringBusAdapter):
                self.log, self.sessions = node.log, node.sessions

    def broadcast(self, packet: Packet, target: Target) -> None:
        kept = self.nsp.recovery is not None and packet.id is None and not target.flags.volatile
        (RecoveringAdapter if kept else BusAdapter).broadcast(self, packet, target)

    def deliver(self, packet: Packet, message: Message, offset: str, target: Target) -> None:
        self.publish(target, RecoveringAdapter.deliver, packet, message, offset, target)
        super().deliver(packet, message, offset, target)
