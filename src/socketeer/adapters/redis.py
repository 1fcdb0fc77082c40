"""Redis: the bus over its publish/subscribe, and the adapter in the format of ``@socket.io/redis-adapter``.

https://redis.io/docs/latest/develop/pubsub/ and https://socket.io/docs/v4/redis-adapter/.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from socketeer.adapters.broker import BrokerBus, LinkOptions, Outgoing
from socketeer.adapters.bus import Bus
from socketeer.adapters.cluster import ClusterAdapter
from socketeer.adapters.redis_classic import ClassicWire
from socketeer.checks import positive, whole
from socketeer.errors import BrokerUnavailable, OptionError
from socketeer.server.adapter import AdapterHost

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

#: A URL, or a client whose settings are taken.
RedisServer: TypeAlias = "str | Redis"

#: One connection.
Link: TypeAlias = "AbstractConnection"

LOCAL = "redis://127.0.0.1:6379"

#: Bytes of one message, at most: Redis cuts off subscribers for whom more than 32 MB wait.
MAX_MESSAGE = 4 * 1024 * 1024


class RedisBus(BrokerBus):
    """A bus over Redis: one connection to publish, one that is subscribed.

    A channel whose name ends in ``*`` stands for all channels that begin with the rest of it.

    Args:
        server: a URL (``redis://``, ``rediss://``, ``unix://``), or a ``redis.asyncio.Redis`` whose
            settings are taken; its connections are left alone.
        sharded: whether channels are sharded (Redis 7); they have no patterns.
        link: how the link is looked after.
        max_message_size: bytes of one message.

    Raises:
        OptionError: this is no server.
        ImportError: redis-py is missing.
    """

    def __init__(
        self,
        server: RedisServer = LOCAL,
        *,
        sharded: bool = False,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        whole("max_message_size", max_message_size, 1)
        name, self._make = _plan(server)
        super().__init__(name, link or LinkOptions(), max_message_size)
        self._sharded = sharded
        self._publish = "SPUBLISH" if sharded else "PUBLISH"
        self._pub: AbstractConnection | None = None
        self._sub: AbstractConnection | None = None
        self._turn = asyncio.Lock()
        """Who may talk on the publishing connection."""
        self._names: dict[bytes, str] = {}
        """Channels by what Redis calls them."""
        self._pings = 0
        self._pongs: dict[bytes, asyncio.Future[None]] = {}

    async def _connect(self) -> None:
        self._turn = asyncio.Lock()
        self._names.clear()
        self._pub, self._sub = self._make(), self._make()
        for link in (self._pub, self._sub):
            await link.connect()  # type: ignore[no-untyped-call]

    async def _disconnect(self) -> None:
        pongs, self._pongs = self._pongs, {}
        for future in pongs.values():
            future.cancel()
        links, self._pub, self._sub = (self._pub, self._sub), None, None
        for link in links:
            if link is not None:
                await link.disconnect(nowait=True)

    # --- what comes ---------------------------------------------------------------------------------

    async def _listen(self) -> None:
        sub = self._sub
        while sub is not None:
            reply: Any = await sub.read_response(disable_decoding=True)
            if not isinstance(reply, list):  # an answer to a ping while nothing is subscribed
                self._pong(reply)
            elif reply[0] in {b"message", b"smessage", b"pmessage"}:
                channel = self._names.get(reply[1])
                if channel is not None:
                    self.received(channel, reply[-1])
            elif reply[0] == b"pong":
                self._pong(reply[1])

    def _pong(self, number: bytes) -> None:
        future = self._pongs.pop(number, None)
        if future is not None and not future.done():
            future.set_result(None)

    async def _subscribe(self, add: Sequence[str], remove: Sequence[str]) -> None:
        commands = [self._command("SUBSCRIBE", each) for each in add]
        commands += [self._command("UNSUBSCRIBE", each) for each in remove]
        self._names.update((command[1], channel) for command, channel in zip(commands, add, strict=False))
        await self._converse(commands)
        for command in commands[len(add) :]:
            self._names.pop(command[1], None)

    def _command(self, verb: str, channel: str) -> tuple[str, bytes]:
        if channel.endswith("*"):
            return f"P{verb}", f"{_escape(channel[:-1])}*".encode()
        return f"S{verb}" if self._sharded else verb, channel.encode()

    async def _converse(self, commands: Sequence[tuple[str, bytes]] = ()) -> None:
        """Say these on the subscribed connection, and return when Redis has answered a ping after them."""
        sub = self._sub
        if sub is None:
            raise ConnectionError("the connection was closed")
        self._pings += 1
        number = b"%d" % self._pings
        future = self._pongs[number] = asyncio.get_running_loop().create_future()
        # One command for each channel: sharded channels need not be of the same slot.
        packed = sub.pack_commands([*commands, ("PING", number)])
        await sub.send_packed_command(packed, check_health=False)
        await future

    # --- what goes ----------------------------------------------------------------------------------

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        publish = self._publish
        replies = await self._exchange([(publish, each.channel, each.payload) for each in batch])
        for outgoing, reply in zip(batch, replies, strict=True):
            if isinstance(reply, Exception):
                self.health.lost += 1
                outgoing.failed(BrokerUnavailable(f"{self.health.name}: {reply}"))

    async def _ping(self) -> None:
        await self._exchange([("PING",)])
        await self._converse()

    async def subscribers(self, channel: str) -> int:
        """How many connections have subscribed: each node has one."""
        question = "SHARDNUMSUB" if self._sharded else "NUMSUB"
        (reply,) = await self.ask([("PUBSUB", question, channel)])
        return int(reply[1])

    async def ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The broker's answers.

        Raises:
            BrokerUnavailable: it is away, is too slow, or refuses one of these.
        """
        try:
            async with asyncio.timeout(self.options.ping_timeout):
                await self.settled()
                replies = await self._exchange(commands)
        except BrokerUnavailable:
            raise
        except Exception as error:
            raise BrokerUnavailable(f"{self.health.name}: {str(error) or 'no answer in time'}") from error
        for reply in replies:
            if isinstance(reply, Exception):
                raise BrokerUnavailable(f"{self.health.name}: {reply}")
        return replies

    async def _exchange(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send commands at once on the publishing connection; an answer that is an error is returned too."""
        async with self._turn:
            pub = self._pub
            if pub is None:
                raise ConnectionError("the connection was closed")
            try:
                await pub.send_packed_command(pub.pack_commands(commands), check_health=False)
                return [await _reply(pub) for _ in commands]
            except BaseException:
                # What is still to come would be taken for the next answers. It connects anew by itself.
                await pub.disconnect(nowait=True)
                raise


class RedisAdapter:
    """Reaches other nodes through Redis, as ``@socket.io/redis-adapter`` 8.3 does: Python and Node.js form one cluster.

    ``Server(adapter=RedisAdapter("redis://..."))``; one object for each server.

    Args:
        server: a URL, or a ``redis.asyncio.Redis`` whose settings are taken.
        key: what the names of all channels begin with.
        requests_timeout: seconds to wait for other nodes where the call does not say.
        publish_on_specific_response_channel: whether answers go only to the node that asked.
        link: how the link to Redis is looked after.
        max_message_size: bytes of one message.
    """

    def __init__(
        self,
        server: RedisServer = LOCAL,
        key: str = "socket.io",
        requests_timeout: float = 5.0,
        *,
        publish_on_specific_response_channel: bool = False,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        positive("requests_timeout", requests_timeout)
        self.bus = RedisBus(server, link=link, max_message_size=max_message_size)
        self._key = key
        self._patience = requests_timeout
        self._specific = publish_on_specific_response_channel

    def wire(self, nsp: str, bus: Bus) -> ClassicWire:
        """The format of one namespace, over this bus."""
        return ClassicWire(bus, nsp, self._key, specific=self._specific)

    def __call__(self, nsp: AdapterHost) -> ClusterAdapter:
        """The adapter of a namespace."""
        wire = self.wire(nsp.name, self.bus)
        adapter = ClusterAdapter(nsp, wire, self._patience)
        wire.local = adapter
        return adapter


def _escape(text: str) -> str:
    """A name for a pattern that is to match it as it is."""
    return re.sub(r"([*?\[\]^\\])", r"\\\1", text)


async def _reply(pub: AbstractConnection) -> Any:
    from redis.exceptions import ResponseError  # noqa: PLC0415 - an extra

    try:
        return await pub.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _plan(server: RedisServer) -> tuple[str, Callable[[], AbstractConnection]]:
    """A server's name for people, and how to make a connection to it."""
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("redis-py is needed: pip install 'socketeer[redis]'") from error
    try:
        client = Redis.from_url(server) if isinstance(server, str) else server
    except ValueError as error:
        raise OptionError(f"server: expected a URL such as {LOCAL}: {error}") from None
    if not isinstance(client, Redis):
        raise OptionError(f"server: expected a URL or a redis.asyncio.Redis, got {type(client).__name__}")
    pool = client.connection_pool
    settings = {
        **pool.connection_kwargs,
        "retry": Retry(NoBackoff(), 0),  # a connection that came back by itself would have no subscriptions
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": None,
        "health_check_interval": 0,
    }
    address = settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
    return f"Redis at {address}", partial(pool.connection_class, **settings)
