"""What one namespace of a client emits: sent at once, or kept for the next connection.

https://socket.io/docs/v4/client-offline-behavior/
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from socketeer.client.manager import Manager
from socketeer.client.outgoing import Outgoing
from socketeer.client.retry import RetryQueue
from socketeer.client_options import SocketOptions
from socketeer.engine.timers import TimerWheel
from socketeer.messaging.acks import AckTable, Reply, Waiter
from socketeer.messaging.connection import Connection, NamespaceSocket
from socketeer.protocol.packet import Packet


class Owner(NamespaceSocket, Protocol):
    """A namespace's socket, as what it emits sees it."""

    @property
    def connected(self) -> bool:
        """Whether the namespace is joined: what is sent leaves now."""
        ...

    @property
    def connection(self) -> Connection | None:
        """The connection that the namespace is joined over."""
        ...

    def hear_outgoing(self, args: Sequence[Any]) -> None:
        """Tell the outgoing catch-alls of an event."""
        ...

    async def drained(self) -> None:
        """Wait until what was emitted is on its way."""
        ...


class Outbound:
    """The outgoing side of one namespace: what waits for a connection, and for acknowledgements.

    Attributes:
        buffer: events that wait for a connection, the oldest first.
        acks: acknowledgements that the server still owes.
        unread: the last event sent, while nothing says that the server has read it: its acknowledgement's id, or -1
            where it has none.
        retries: events that are sent until somebody acknowledges them, where ``retries`` asks for it.
        ack_timeout: seconds to wait for an acknowledgement where a call does not say.
    """

    __slots__ = ("_ack_ids", "_io", "_owner", "_prefix", "ack_timeout", "acks", "buffer", "retries", "unread")

    def __init__(self, owner: Owner, io: Manager, nsp: str, options: SocketOptions) -> None:
        self._owner = owner
        self._io = io
        self._prefix = io.parser.namespace_prefix(nsp)
        self._ack_ids = 0
        self.unread: int | None = None
        self.buffer: deque[Outgoing] = deque()
        self.acks = AckTable()
        self.ack_timeout = options.ack_timeout
        self.retries = RetryQueue(self, options.retries) if options.retries else None

    def deliver(self, outgoing: Outgoing) -> None:
        """Send an event now, or later; a volatile one now or never.

        Raises:
            TypeError: an argument cannot be sent.
        """
        self._wake()
        if self.retries is not None and not outgoing.flags.volatile:
            self.retries.add(outgoing, None)
        else:
            self._pass_on(outgoing)

    async def ask(self, outgoing: Outgoing) -> Any:
        """Send an event and wait for its acknowledgement.

        Raises:
            AckTimeout: it did not come in time.
            SocketDisconnected: the connection broke while it was waited for.
        """
        self._wake()
        reply, flags = Reply(), outgoing.flags
        if self.retries is not None and not flags.volatile:
            self.retries.add(outgoing, reply)
            return await reply.wait(self.wheel, None)
        self.expect(outgoing, reply)
        try:
            self._pass_on(outgoing)
            return await reply.wait(self.wheel, self.ack_timeout if flags.timeout is None else flags.timeout)
        finally:
            self.forget(outgoing)

    def _wake(self) -> None:
        """A machine that slept has a connection that looks alive: end it, rather than send into it."""
        engine = self._io.engine
        if engine is not None and engine.overdue:
            engine.fail("ping timeout")

    def _pass_on(self, outgoing: Outgoing) -> None:
        if outgoing.flags.volatile:
            engine = self._io.engine
            if engine is None or not engine.writable():
                return
        if self._owner.connected and not self.buffer:
            self.send_now(outgoing)
        else:
            self.encode(outgoing)
            self.buffer.append(outgoing)

    def encode(self, outgoing: Outgoing) -> None:
        """Keep the event as it is now.

        Raises:
            TypeError: an argument cannot be sent.
        """
        outgoing.message = self._io.parser.encode_event(
            self._prefix, outgoing.ack_id, outgoing.args, outgoing.flags.compress
        )

    def send_now(self, outgoing: Outgoing) -> None:
        """Send an event; the namespace is joined."""
        self._owner.hear_outgoing(outgoing.args)
        if outgoing.message is None:
            self.encode(outgoing)
        connection, message = self._owner.connection, outgoing.message
        if connection is not None and message is not None:  # a catch-all may have disconnected
            connection.session.send(message)
            self.unread = -1 if outgoing.ack_id is None else outgoing.ack_id

    def joined(self) -> None:
        """The namespace is joined: send what has waited, in order."""
        while self.buffer and self._owner.connected:
            self.send_now(self.buffer.popleft())
        if self.retries is not None:
            self.retries.resume()

    def interrupted(self) -> None:
        """The connection has ended: nobody will acknowledge what was sent over it."""
        self.unread = None
        self.acks.fail_all(but={each.ack_id for each in self.buffer if each.ack_id is not None})

    # --- acknowledgements -----------------------------------------------------------------------

    @property
    def wheel(self) -> TimerWheel:
        """The timer wheel of the loop that the client runs on."""
        return self._io.wheel

    @property
    def connected(self) -> bool:
        """Whether what is sent leaves now."""
        return self._owner.connected

    async def drained(self) -> None:
        """Wait until what was emitted is on its way, and the queue below its low-water mark."""
        await self._owner.drained()

    def acknowledged(self, packet: Packet) -> None:
        """The server has acknowledged an event."""
        if packet.id is not None:
            if packet.id == self.unread:
                self.unread = None
            self.acks.resolve(packet.id, packet.data)

    async def delivered(self) -> None:
        """With ``retries``: wait until all of it has been acknowledged, or given up."""
        if self.retries is not None and self._owner.connected:
            await self.retries.emptied()

    def expect(self, outgoing: Outgoing, waiter: Waiter) -> None:
        """Tell ``waiter`` what is acknowledged; an event keeps its id when it is sent again."""
        if outgoing.ack_id is None:
            outgoing.ack_id = self._ack_ids
            self._ack_ids += 1
        self.acks.add(outgoing.ack_id, waiter)

    def forget(self, outgoing: Outgoing) -> None:
        """Nobody waits for its acknowledgement any more: if it was not sent yet, it never will be."""
        if outgoing.ack_id is not None:
            self.acks.forget(outgoing.ack_id)
        if self.buffer and outgoing in self.buffer:
            self.buffer.remove(outgoing)


class Answers:
    """Acknowledges the server's events over the connection that they came from, and over no later one."""

    __slots__ = ("_connection", "_owner", "_prefix")

    def __init__(self, owner: Owner, connection: Connection, prefix: bytes) -> None:
        self._owner = owner
        self._connection = connection
        self._prefix = prefix

    def send_ack(self, ack_id: int, args: Sequence[Any]) -> None:
        """Acknowledge an event of the server; once the namespace is left there is nobody to tell."""
        connection = self._connection
        if self._owner.connection is connection:
            connection.session.send(connection.parser.encode_ack(self._prefix, ack_id, tuple(args)))
