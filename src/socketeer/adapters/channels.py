"""Messages on named channels, one for all nodes and one for each: the format of the official sharded adapter.

A message is compact JSON, or MessagePack where something binary is in it. NATS and the local bus use the same.
"""

from __future__ import annotations

from collections.abc import Awaitable

from socketeer.adapters.bus import Bus
from socketeer.adapters.codec import decode, encode
from socketeer.adapters.messages import Message, parse
from socketeer.adapters.wire import Hear
from socketeer.errors import PacketError


class ChannelWire:
    """One namespace's messages on the channels ``<prefix>#<namespace>#`` and ``<prefix>#<namespace>#<node>#``.

    Args:
        bus: what moves the bytes; it says how many have subscribed.
        nsp: the namespace.
        prefix: of all channels.
    """

    def __init__(self, bus: Bus, nsp: str, prefix: str) -> None:
        self.bus = bus
        self.nsp = nsp
        self.channel = f"{prefix}#{nsp}#"
        """Where all nodes listen."""
        self._uid = ""
        self._hear: Hear | None = None

    def open(self, uid: str, hear: Hear) -> None:
        """Listen."""
        self._uid, self._hear = uid, hear
        self.bus.subscribe(self.channel, self.receive)
        self.bus.subscribe(self._own(uid), self.receive)

    def close(self) -> None:
        """Do not listen any more."""
        self._hear = None
        self.bus.unsubscribe(self.channel, self.receive)
        self.bus.unsubscribe(self._own(self._uid), self.receive)

    def _own(self, uid: str) -> str:
        return f"{self.channel}{uid}#"

    def send(self, message: Message) -> Awaitable[None]:
        """Tell all nodes."""
        return self.bus.publish(self.route(message), encode(message.plain()))

    def route(self, message: Message) -> str:  # noqa: ARG002 - for those that have more channels
        """The channel for a message to all nodes that it concerns."""
        return self.channel

    def answer(self, requester: str, message: Message) -> Awaitable[None]:
        """Tell the node that asked."""
        return self.bus.publish(self._own(requester), encode(message.plain()))

    async def server_count(self) -> int:
        """Those that have subscribed."""
        return await self.bus.subscribers(self.channel)

    def receive(self, payload: bytes) -> None:
        """Something has come; what is no message is counted and dropped."""
        try:
            message = parse(decode(payload))
        except PacketError as error:
            self.bus.health.reject(error, self.channel)
            return
        if message.nsp == self.nsp and message.uid != self._uid and self._hear is not None:
            self._hear(message)
