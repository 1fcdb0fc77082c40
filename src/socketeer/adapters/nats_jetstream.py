"""A bus over NATS with JetStream: some channels are kept in a stream, and everybody follows them in its order.

https://docs.nats.io/nats-concepts/jetstream. A stream keeps what is published on ``<prefix>.log.*``, and the
server publishes each message again on ``<prefix>.out.*`` together with its place in the stream and that of the one before it
on its subject. So following costs the server nothing but an ordinary subscription, and whoever has missed something
notices, and reads it from the stream.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeVar

from socketeer.adapters.broker import LinkOptions, Outgoing
from socketeer.adapters.nats_api import JetStreamApi, Reading, Refusal, Stored
from socketeer.adapters.nats_bus import LOCAL, MAX_MESSAGE, NatsBus, NatsServer
from socketeer.adapters.nats_follower import Follower, Place
from socketeer.adapters.together import until_one_ends
from socketeer.checks import positive, whole
from socketeer.errors import BrokerUnavailable, OptionError, PacketError

T = TypeVar("T")

_STORAGES: Final = ("file", "memory")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: Bytes that the server adds when it publishes a message again.
_ADDED: Final = 1024

_PLACES: Final = re.compile(rb"\r\nNats-Sequence: (\d{1,19})\r\nNats-Last-Sequence: (\d{1,19})\r\n")


@dataclass(frozen=True, slots=True)
class JetStream:
    """What JetStream keeps of broadcasts and of clients whose connection broke.

    Where the streams are there already, they stay as they are.
    """

    stream: str | None = None
    """What their names begin with; None: as the prefix, with dashes."""
    max_age: float = 300.0
    """Seconds that all of it is kept; at least as long as clients may be away."""
    max_bytes: int = 256 * 1024 * 1024
    """Bytes of each of the two streams; the oldest messages go first."""
    replicas: int = 1
    """How many servers of a cluster keep it."""
    storage: str = "file"
    """``file``, or ``memory``: then it is gone when the server ends."""
    domain: str | None = None
    """Whose JetStream it is; None: the account's own."""

    def __post_init__(self) -> None:
        for name in ("stream", "domain"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and _NAME.fullmatch(value)):
                raise OptionError(
                    f"jetstream {name}: expected letters, digits, dashes and underscores, got {value!r:.200}"
                )
        positive("jetstream max_age", self.max_age)
        whole("jetstream max_bytes", self.max_bytes, 1)
        whole("jetstream replicas", self.replicas, 1, 5)
        if self.storage not in _STORAGES:
            raise OptionError(
                f"jetstream storage: expected one of {', '.join(_STORAGES)}, got {self.storage!r}"
            )


class JetStreamBus(NatsBus):
    """A :class:`~socketeer.adapters.nats_bus.NatsBus` whose channels ``<prefix>.log.*`` and ``<prefix>.session.*.*`` are kept.

    What is published on them is accepted once it is stored.

    Args:
        prefix: of all subjects.
        jetstream: what is kept.
        server: where NATS is.
        connect: more arguments of ``nats.connect``.
        link: how the link is looked after.
        max_message_size: bytes of one message.
    """

    def __init__(
        self,
        prefix: str,
        jetstream: JetStream,
        server: NatsServer = LOCAL,
        *,
        connect: Mapping[str, Any] | None = None,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        super().__init__(server, connect=connect, link=link, max_message_size=max_message_size)
        self.jetstream = jetstream
        self.prefix = prefix
        self.tag = ""
        """What tells offsets of this stream from those of one before it; empty until it has been connected."""
        self.generation = 0
        """How many there have been."""
        name = jetstream.stream or re.sub(r"[^A-Za-z0-9_-]", "-", prefix)
        self.log, self.sessions = f"{name}-log", f"{name}-sessions"
        self._kept = (f"{prefix}.log.", f"{prefix}.session.")
        self._api: JetStreamApi | None = None
        self._followers: dict[str, Follower] = {}
        """By the channel that the server publishes on."""
        self._late = asyncio.Event()
        """Whether one of them may have missed something."""

    # --- the streams ----------------------------------------------------------------------------------

    async def _connect(self) -> None:
        await super()._connect()
        link = self._linked()
        self.max_message_size = max(1, min(self.max_message_size, link.max_payload - _ADDED))
        await link.open_inbox()
        api = self._api = JetStreamApi(link, self.jetstream.domain)
        common = {
            "retention": "limits",
            "discard": "old",
            "max_bytes": self.jetstream.max_bytes,
            "max_age": int(self.jetstream.max_age * 1e9),
            "num_replicas": self.jetstream.replicas,
            "storage": self.jetstream.storage,
            # Nobody sends a message twice here: no need to remember what was sent.
            "duplicate_window": int(min(self.jetstream.max_age, 1.0) * 1e9),
        }
        again = {"src": f"{self.prefix}.log.*", "dest": f"{self.prefix}.out.{{{{wildcard(1)}}}}"}
        log = {
            **common,
            "name": self.log,
            "subjects": [f"{self.prefix}.log.*"],
            "republish": again,
            "max_msgs_per_subject": -1,
        }
        sessions = {
            **common,
            "name": self.sessions,
            "subjects": [f"{self.prefix}.session.*.*"],
            "max_msgs_per_subject": 1,
        }
        made = await api.stream(log, ("subjects", "republish", "max_msgs_per_subject"))
        await api.stream(sessions, ("subjects", "max_msgs_per_subject"))
        tag = sha256(f"{self.log} {made}".encode()).hexdigest()[:8]
        if tag != self.tag:
            for follower in self._followers.values():
                follower.begin_anew(known=bool(self.tag))
            self.tag = tag
            self.generation += 1

    async def _disconnect(self) -> None:
        self._api = None
        for follower in list(self._followers.values()):
            follower.lost()
        await super()._disconnect()

    # --- what goes ----------------------------------------------------------------------------------

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        link, acks = self._linked(), _Acks()
        with link.answers(acks) as inbox:
            reply = inbox + b" "
            lines = self._publications(
                batch, lambda channel: acks.expect(reply) if self._is_kept(channel) else b""
            )
            await link.say(lines)
            await acks.all()

    def _is_kept(self, channel: str) -> bool:
        return channel.startswith(self._kept)

    async def flushed(self) -> None:
        """Wait until all that was published is stored, or is lost."""
        if self._last is not None and self.health.ok:
            with suppress(BrokerUnavailable):
                await self._last

    # --- what comes -----------------------------------------------------------------------------------

    def follow(self, name: str, passed: Callable[[int, bytes], None], away: Callable[[], None]) -> Follower:
        """Get what is published on ``<prefix>.log.<name>``, from soon on, each message once and in order.

        Args:
            name: the last token.
            passed: gets each message with its place; it must not raise.
            away: called when the link breaks.
        """
        follower = Follower(f"{self.prefix}.log.{name}", passed, away)
        channel = f"{self.prefix}.out.{name}"
        self._followers[channel] = follower
        self.subscribe(channel, follower.unplaced)
        return follower

    def unfollow(self, name: str) -> None:
        """Not any more."""
        channel = f"{self.prefix}.out.{name}"
        follower = self._followers.pop(channel, None)
        if follower is not None:
            self.unsubscribe(channel, follower.unplaced)
            follower.lost()

    def _take(self, number: int, payload: bytes, headers: bytes | None) -> None:
        channel = self._channels[number]
        follower = self._followers.get(channel)
        if follower is None:
            super()._take(number, payload, headers)
            return
        self.health.received += 1
        places = _PLACES.search(headers or b"")
        if places is None or follower.position is None:
            self.health.reject(PacketError("expected a message with its place in the stream"), channel)
        elif not follower.came(Place(int(places[1]), int(places[2])), payload):
            self._late.set()

    async def _subscribe(self, add: Sequence[str], remove: Sequence[str]) -> None:
        followers = [self._followers[each] for each in add if each in self._followers]
        await asyncio.gather(*(self._begin(each) for each in followers if each.position is None))
        await super()._subscribe(add, remove)
        for each in followers:
            each.late = True
        self._late.set()

    async def _begin(self, follower: Follower) -> None:
        """What is there already has nobody to get it."""
        last = await self._asked().last(self.log, follower.channel)
        follower.position = 0 if last is None else last.place

    async def _listen(self) -> None:
        await until_one_ends(super()._listen(), self._catch_up())

    async def _catch_up(self) -> None:
        """Read what followers have missed, whenever one of them has."""
        while True:
            await self._late.wait()
            self._late.clear()
            for follower in list(self._followers.values()):
                while follower.late and follower.position is not None:
                    async with asyncio.timeout(self.options.ping_timeout):
                        reading = await self._asked().read(self.log, follower.channel, follower.position + 1)
                    follower.read(reading)

    async def _ping(self) -> None:
        """Ask JetStream, too; and whether the last thing that it has stored has come."""
        await super()._ping()
        api = self._asked()
        _, end = await api.bounds(self.log)
        for follower in [each for each in self._followers.values() if each.doubtful(end)]:
            last = await api.last(self.log, follower.channel)
            follower.check(0 if last is None else last.place)
        self._late.set()

    # --- what is asked ----------------------------------------------------------------------------------

    def _asked(self) -> JetStreamApi:
        if self._api is None:
            raise BrokerUnavailable(f"{self.health.name}: {self.health.reason or 'not connected'}")
        return self._api

    async def session(self, channel: str) -> Stored | None:
        """The session on a channel. This and what follows raises :class:`BrokerUnavailable` where nobody answers."""
        return await self._tried(self._asked().last(self.sessions, channel))

    async def last(self, channel: str) -> Stored | None:
        """The last broadcast on a channel."""
        return await self._tried(self._asked().last(self.log, channel))

    async def take_out(self, place: int) -> bool:
        """Take a session out; of all who try, one is told that it has."""
        return await self._tried(self._asked().take_out(self.sessions, place))

    async def holds(self, place: int) -> bool:
        """Whether the log still has all broadcasts that came after a place, and has come so far."""
        first, end = await self._tried(self._asked().bounds(self.log))
        return first - 1 <= place <= end

    async def read(self, channel: str, start: int) -> Reading:
        """Some of the broadcasts on a channel, from a place on."""
        return await self._tried(self._asked().read(self.log, channel, start))

    async def _tried(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except Refusal:
            raise
        except (ConnectionError, PacketError, KeyError, ValueError) as error:
            raise BrokerUnavailable(f"{self.health.name}: {error}") from None


class _Acks:
    """What JetStream answers to the messages of one batch."""

    def __init__(self) -> None:
        self._left = 0
        self._error: str | None = None
        self._done = asyncio.Event()

    def expect(self, reply: bytes) -> bytes:
        """One more."""
        self._left += 1
        return reply

    def __call__(self, _reply: bytes, data: bytes, headers: bytes | None) -> None:
        self._left -= 1
        if headers is not None or b'"error"' in data:
            said = data or b"no server stores it at the moment"
            self._error = f"JetStream: {said[:300].decode(errors='replace').strip()}"
        if self._left <= 0 or self._error is not None:
            self._done.set()

    async def all(self) -> None:
        """Wait for all of them.

        Raises:
            BrokerUnavailable: it has not stored them all.
        """
        if self._left > 0 and self._error is None:
            await self._done.wait()
        if self._error is not None:
            raise BrokerUnavailable(self._error)
