"""Redis with sharded channels (Redis 7), in the format of ``@socket.io/redis-adapter``'s sharded adapter.

https://socket.io/docs/v4/redis-adapter/#with-redis-sharded-pubsub
"""

from __future__ import annotations

from typing import Final

from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.bus import Bus
from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.cluster import ClusterAdapter
from socketeer.adapters.messages import Broadcast, Message
from socketeer.adapters.redis import LOCAL, MAX_MESSAGE, RedisBus, RedisServer
from socketeer.checks import positive
from socketeer.errors import OptionError
from socketeer.server.adapter import AdapterHost, Room

_MODES: Final = ("dynamic", "static", "dynamic-private")

#: Characters of a socket's id. Official nodes take a room with such a name for a socket's own.
_ID: Final = 20


class ShardedWire(ChannelWire):
    """A namespace's messages, and in the dynamic modes a channel for each room that has members here.

    Args:
        bus: what moves the bytes.
        nsp: the namespace.
        prefix: of all channels.
        mode: which rooms have channels.
    """

    def __init__(self, bus: Bus, nsp: str, prefix: str, mode: str) -> None:
        super().__init__(bus, nsp, prefix)
        self._mode = mode

    def has_channel(self, room: Room | int) -> bool:
        """Whether events for this room alone go over a channel of its own."""
        if self._mode == "dynamic":
            return isinstance(room, int) or len(room.encode("utf-16-le", "surrogatepass")) != 2 * _ID
        return self._mode == "dynamic-private"

    def route(self, message: Message) -> str:
        """The room's channel, if only one is meant; who asks for acknowledgements counts all nodes."""
        data = message.data
        if isinstance(data, Broadcast) and data.request_id is None and len(data.opts.rooms) == 1:
            (room,) = data.opts.rooms
            if self.has_channel(room):
                return self._of_room(room)
        return self.channel

    def room_created(self, room: Room) -> None:
        """The first socket has joined."""
        if self._hear is not None and self.has_channel(room):
            self.bus.subscribe(self._of_room(room), self.receive)

    def room_deleted(self, room: Room) -> None:
        """The last socket has left."""
        if self.has_channel(room):
            self.bus.unsubscribe(self._of_room(room), self.receive)

    def _of_room(self, room: Room | int) -> str:
        return f"{self.channel}{room}#"


class _DynamicAdapter(ClusterAdapter):
    """A node whose rooms have channels."""

    def __init__(self, nsp: AdapterHost, wire: ShardedWire, requests_timeout: float) -> None:
        super().__init__(nsp, wire, requests_timeout)
        self._sharded = wire
        self.on("create-room", wire.room_created)
        self.on("delete-room", wire.room_deleted)

    def start(self) -> None:
        if not self._open:
            super().start()
            for room in self.rooms:
                self._sharded.room_created(room)

    async def close(self) -> None:
        if self._open:
            for room in self.rooms:
                self._sharded.room_deleted(room)
        await super().close()


class ShardedRedisAdapter:
    """Reaches other nodes through Redis 7's sharded channels, as ``createShardedAdapter`` of the official package does.

    ``Server(adapter=ShardedRedisAdapter("redis://..."))``; one object for each server.

    Args:
        server: a URL, or a ``redis.asyncio.Redis`` whose settings are taken.
        channel_prefix: what the names of all channels begin with.
        subscription_mode: ``dynamic``: rooms have channels, but not the room of each socket;
            ``dynamic-private``: that too; ``static``: none. The same on all nodes.
        requests_timeout: seconds to wait for other nodes where the call does not say.
        forwarding: whether nodes pass requests of each other's sessions on; False where a proxy keeps clients
            at their node (sticky sessions).
        link: how the link to Redis is looked after.
        max_message_size: bytes of one message.
    """

    def __init__(
        self,
        server: RedisServer = LOCAL,
        channel_prefix: str = "socket.io",
        subscription_mode: str = "dynamic",
        requests_timeout: float = 5.0,
        *,
        forwarding: bool = True,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        positive("requests_timeout", requests_timeout)
        if subscription_mode not in _MODES:
            raise OptionError(
                f"subscription_mode: expected one of {', '.join(_MODES)}, got {subscription_mode!r}"
            )
        self.bus = RedisBus(server, sharded=True, link=link, max_message_size=max_message_size)
        self.prefix = channel_prefix
        self.forwarding = forwarding
        self._mode = subscription_mode
        self._patience = requests_timeout

    def wire(self, nsp: str, bus: Bus) -> ShardedWire:
        """The format of one namespace, over this bus."""
        return ShardedWire(bus, nsp, self.prefix, self._mode)

    def __call__(self, nsp: AdapterHost) -> ClusterAdapter:
        """The adapter of a namespace."""
        wire = self.wire(nsp.name, self.bus)
        kind = ClusterAdapter if self._mode == "static" else _DynamicAdapter
        return kind(nsp, wire, self._patience)
