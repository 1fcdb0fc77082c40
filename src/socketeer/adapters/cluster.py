"""The adapter of a node in a cluster: each operation is done here, and told to the other nodes as a message.

The model is that of socket.io-adapter 2.5 (https://socket.io/docs/v4/adapter/): what travels in which form
is the engine's :class:`~socketeer.adapters.wire.Wire`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any

from socketeer.adapters.health import Health
from socketeer.adapters.inquiries import Asked, Inquiry
from socketeer.adapters.messages import (
    Answer,
    Broadcast,
    ClientCount,
    Disconnection,
    EventPacket,
    Fetch,
    Fetched,
    Kind,
    Membership,
    Message,
    Opts,
    ServerSideEmit,
)
from socketeer.adapters.remote import describe, details
from socketeer.adapters.wire import Wire
from socketeer.errors import MessageTooLarge
from socketeer.protocol.packet import EVENT, Packet
from socketeer.server.adapter import AdapterHost, Capabilities, Room, SocketDetails, Target
from socketeer.server.memory import MemoryAdapter

log = logging.getLogger("socketeer")

#: Questions of other nodes that wait for this node's clients at the same time, at most.
_MAX_ASKED = 10_000


class ClusterAdapter(MemoryAdapter):
    """Rooms of this node, and operations on all nodes.

    Args:
        nsp: the namespace.
        wire: how messages travel.
        requests_timeout: seconds to wait for other nodes where the call does not say.
    """

    capabilities = Capabilities(cluster=True)

    def __init__(self, nsp: AdapterHost, wire: Wire, requests_timeout: float) -> None:
        super().__init__(nsp)
        self.uid = secrets.token_hex(8)
        """What other nodes know this node's namespace by."""
        self.wire = wire
        self._patience = requests_timeout
        self._open = False
        self._inquiries: dict[str, Inquiry] = {}
        self._asked: dict[str, Asked] = {}
        self._parts: dict[Kind, Callable[[Message, Any], None]] = {
            Kind.BROADCAST: self._on_broadcast,
            Kind.SOCKETS_JOIN: self._on_join,
            Kind.SOCKETS_LEAVE: self._on_leave,
            Kind.DISCONNECT_SOCKETS: self._on_disconnect,
            Kind.FETCH_SOCKETS: self._on_fetch,
            Kind.FETCH_SOCKETS_RESPONSE: self._on_fetched,
            Kind.SERVER_SIDE_EMIT: self._on_server_side_emit,
            Kind.SERVER_SIDE_EMIT_RESPONSE: self._on_answer,
            Kind.BROADCAST_CLIENT_COUNT: self._on_client_count,
            Kind.BROADCAST_ACK: self._on_client_answer,
        }

    @property
    def health(self) -> Health:
        """How it stands with the broker, and what has been counted."""
        return self.wire.bus.health

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Join the cluster; nothing happens where that has been done."""
        if not self._open:
            self._open = True
            self.wire.bus.start()
            self.wire.open(self.uid, self.hear)

    async def ready(self) -> None:
        """Wait until this node hears the others.

        Raises:
            BrokerUnavailable: the broker is away.
        """
        await self.wire.bus.settled()

    async def close(self) -> None:
        """Leave the cluster."""
        if self._open:
            self._open = False
            self.wire.close()
            for asked in list(self._asked.values()):
                self._forget_asked(asked)
            await self.wire.bus.close()
        await super().close()

    # --- what is told to the others ---------------------------------------------------------------

    def _message(self, kind: Kind, data: Any = None) -> Message:
        return Message(kind, self.nsp.name, self.uid, data)

    def _tell(self, kind: Kind, data: Any = None) -> Awaitable[None]:
        return self.wire.send(self._message(kind, data))

    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None] | None:
        """Send an event to all that ``target`` means."""
        told = None
        if not target.flags.local:
            told = self._tell(
                Kind.BROADCAST, Broadcast(opts=Opts.of(target), packet=EventPacket(list(packet.data)))
            )
        super().broadcast(packet, target)
        return told

    def add_sockets(self, target: Target, rooms: Sequence[Room]) -> Awaitable[None] | None:
        """Make the sockets that ``target`` means join rooms."""
        told = self._tell_membership(Kind.SOCKETS_JOIN, target, rooms)
        super().add_sockets(target, rooms)
        return told

    def del_sockets(self, target: Target, rooms: Sequence[Room]) -> Awaitable[None] | None:
        """Make the sockets that ``target`` means leave rooms."""
        told = self._tell_membership(Kind.SOCKETS_LEAVE, target, rooms)
        super().del_sockets(target, rooms)
        return told

    def _tell_membership(self, kind: Kind, target: Target, rooms: Sequence[Room]) -> Awaitable[None] | None:
        if target.flags.local:
            return None
        return self._tell(kind, Membership(opts=Opts.of(target), rooms=list(rooms)))

    def disconnect_sockets(self, target: Target, close: bool) -> Awaitable[None] | None:
        """Disconnect the sockets that ``target`` means."""
        told = None
        if not target.flags.local:
            told = self._tell(Kind.DISCONNECT_SOCKETS, Disconnection(opts=Opts.of(target), close=close))
        super().disconnect_sockets(target, close)
        return told

    def server_side_emit(self, args: Sequence[Any]) -> Awaitable[None] | None:
        """Emit an event to the namespace on every other node."""
        return self._tell(Kind.SERVER_SIDE_EMIT, ServerSideEmit(packet=list(args)))

    # --- what is asked ----------------------------------------------------------------------------

    async def server_count(self) -> int:
        """How many nodes there are."""
        return await self.wire.server_count()

    async def others(self) -> int | Collection[str]:
        """The other nodes that would answer now: their ids where they are known, else their number."""
        return max(0, await self.server_count() - 1)

    async def broadcast_with_ack(self, packet: Packet, target: Target, timeout: float | None) -> list[Any]:
        """Send an event with an id to all that ``target`` means, and wait for them."""
        if target.flags.local:
            return await super().broadcast_with_ack(packet, target, timeout)
        request_id, inquiry = self._inquire()
        asked = []
        patience = self._patience if timeout is None else timeout
        try:
            self._tell(
                Kind.BROADCAST,
                Broadcast(
                    opts=Opts.of(target, patience),
                    packet=EventPacket(list(packet.data)),
                    request_id=request_id,
                ),
            )
            asked = await self.ask_in_turn(packet, target, inquiry)
            inquiry.expect_nodes(await self.others())
            return await inquiry.wait(self.nsp.wheel, patience)
        finally:
            del self._inquiries[request_id]
            self.forget(packet, asked)

    async def fetch_sockets(self, target: Target) -> Sequence[SocketDetails]:
        """The sockets that ``target`` means, on all nodes.

        Raises:
            AckTimeout: not every other node answered; ``responses`` holds the sockets of those that did.
        """
        here = await super().fetch_sockets(target)
        if target.flags.local:
            return here
        others = await self.others()
        if not others:
            return here
        request_id, inquiry = self._inquire()
        inquiry.responses.extend(here)
        try:
            inquiry.expect_nodes(others)
            self._tell(Kind.FETCH_SOCKETS, Fetch(opts=Opts.of(target), request_id=request_id))
            return await inquiry.wait(self.nsp.wheel, target.flags.timeout or self._patience)
        finally:
            del self._inquiries[request_id]

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout: float | None) -> list[Any]:
        """Emit an event to the namespace on every other node, and wait for their answers."""
        others = await self.others()
        if not others:
            return []
        request_id, inquiry = self._inquire()
        try:
            inquiry.expect_nodes(others)
            self._tell(Kind.SERVER_SIDE_EMIT, ServerSideEmit(packet=list(args), request_id=request_id))
            return await inquiry.wait(self.nsp.wheel, self._patience if timeout is None else timeout)
        finally:
            del self._inquiries[request_id]

    def _inquire(self) -> tuple[str, Inquiry]:
        request_id = secrets.token_hex(8)
        inquiry = self._inquiries[request_id] = Inquiry()
        return request_id, inquiry

    def node_gone(self, uid: str) -> None:
        """Nobody waits any more for a node that is known to have ended."""
        for inquiry in list(self._inquiries.values()):
            inquiry.node_done(uid)

    # --- what others tell -------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """Another node, or an emitter, has told something."""
        part = self._parts.get(message.kind)
        if part is not None:
            part(message, message.data)

    def _on_broadcast(self, message: Message, data: Broadcast) -> None:
        if data.request_id is not None:
            self._ask_for(message.uid, data.request_id, data)
        else:
            self.deliver(data)

    def deliver(self, data: Broadcast) -> None:
        """Send an event of another node to the clients of this one."""
        super().broadcast(Packet(EVENT, self.nsp.name, data.packet.data), data.opts.target())

    def _on_join(self, _message: Message, data: Membership) -> None:
        super().add_sockets(data.opts.target(), data.names())

    def _on_leave(self, _message: Message, data: Membership) -> None:
        super().del_sockets(data.opts.target(), data.names())

    def _on_disconnect(self, _message: Message, data: Disconnection) -> None:
        super().disconnect_sockets(data.opts.target(), data.close)

    def _on_fetch(self, message: Message, data: Fetch) -> None:
        sockets = [describe(socket) for socket in self._selected(data.opts.target())]
        answer = Fetched(request_id=data.request_id, sockets=sockets)
        try:
            self._answer(message.uid, Kind.FETCH_SOCKETS_RESPONSE, answer)
        except TypeError as error:
            log.error("socket.data cannot be told to other nodes, so they see none: %.300s", error)  # noqa: TRY400
            for socket in sockets:
                socket.data = {}
            self._answer(message.uid, Kind.FETCH_SOCKETS_RESPONSE, answer)

    def _on_fetched(self, message: Message, data: Fetched) -> None:
        inquiry = self._inquiries.get(data.request_id)
        if inquiry is not None:
            inquiry.node_answers(message.uid, [details(each) for each in data.sockets])

    def _on_server_side_emit(self, message: Message, data: ServerSideEmit) -> None:
        if data.request_id is None:
            self.nsp.on_server_side_emit(data.packet)
        else:
            self.nsp.on_server_side_emit(
                data.packet, partial(self._answer_emit, message.uid, data.request_id)
            )

    def _answer_emit(self, requester: str, request_id: str, values: tuple[Any, ...]) -> None:
        value = values[0] if values else None
        self._answer(requester, Kind.SERVER_SIDE_EMIT_RESPONSE, Answer(request_id=request_id, packet=value))

    def _on_answer(self, message: Message, data: Answer) -> None:
        inquiry = self._inquiries.get(data.request_id)
        if inquiry is not None:
            inquiry.node_answers(message.uid, [data.packet])

    def _on_client_count(self, message: Message, data: ClientCount) -> None:
        inquiry = self._inquiries.get(data.request_id)
        if inquiry is not None:
            inquiry.node_asks(message.uid, data.client_count)

    def _on_client_answer(self, _message: Message, data: Answer) -> None:
        inquiry = self._inquiries.get(data.request_id)
        if inquiry is not None:
            inquiry.client_answers(data.packet)

    def _answer(self, requester: str, kind: Kind, data: Any) -> None:
        try:
            self.wire.answer(requester, self._message(kind, data))
        except MessageTooLarge as error:
            log.error("an answer to another node was not sent: %s", error)  # noqa: TRY400

    # --- acknowledgements that another node waits for -----------------------------------------------

    def _ask_for(self, requester: str, request_id: str, data: Broadcast) -> None:
        if request_id in self._asked or len(self._asked) >= _MAX_ASKED:
            return
        packet = Packet(EVENT, self.nsp.name, data.packet.data, self.nsp.next_ack_id())
        asked = Asked(request_id, packet, partial(self._answer_ack, requester), self._forget_asked)
        sockets = self.ask(packet, data.opts.target(), asked)
        self._answer(
            requester,
            Kind.BROADCAST_CLIENT_COUNT,
            ClientCount(request_id=request_id, client_count=len(sockets)),
        )
        if sockets:
            asked.sockets = sockets
            self._asked[request_id] = asked
            milliseconds = data.opts.flags.timeout
            self.nsp.wheel.set(
                asked.timer, self._patience if milliseconds is None else max(0.0, milliseconds / 1000)
            )

    def _answer_ack(self, requester: str, request_id: str, value: Any) -> None:
        self._answer(requester, Kind.BROADCAST_ACK, Answer(request_id=request_id, packet=value))

    def _forget_asked(self, asked: Asked) -> None:
        """Who asked does not wait any more."""
        if self._asked.pop(asked.request_id, None) is not None:
            self.nsp.wheel.clear(asked.timer)
            self.forget(asked.packet, asked.sockets)
