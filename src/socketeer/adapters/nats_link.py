"""One connection to NATS, by nats-py: it does not come back by itself, and what it sends it knows to have arrived.

https://docs.nats.io/reference/reference-protocols/nats-protocol. nats-py connects, proves who we are and
reads. What is sent is written here, because its ``publish`` and ``flush`` swallow a cancellation and let
a PING overtake what was published before it; and what comes is taken before it makes a queue for each
subscription, which would mix up the order and drop what it has no place for.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from nats.aio.client import Client

from socketeer.errors import OptionError

#: Arguments of ``nats.connect`` that are ours, because the link is looked after elsewhere.
_OURS = frozenset(
    {
        *("servers", "error_cb", "disconnected_cb", "closed_cb", "reconnected_cb", "discovered_server_cb"),
        *("lame_duck_mode_cb", "reconnect_to_server_handler", "allow_reconnect", "max_reconnect_attempts"),
        *("reconnect_time_wait", "connect_timeout", "ping_interval", "max_outstanding_pings", "no_echo"),
        *("verbose", "pedantic", "pending_size", "flush_timeout", "flusher_queue_size", "drain_timeout"),
        *("ws_connection_headers", "skip_subject_validation"),
    }
)

#: What may be given: credentials, TLS, a name.
_GIVEN = frozenset(inspect.signature(Client.connect).parameters) - _OURS - {"self"}

#: Where a client that has connected keeps them, if not in its options.
_KEPT = {
    "signature_cb": "_signature_cb",
    "user_jwt_cb": "_user_jwt_cb",
    "user_credentials": "_user_credentials",
    "nkeys_seed": "_nkeys_seed",
    "nkeys_seed_str": "_nkeys_seed_str",
}

#: The status that says that nobody has subscribed.
NOBODY = b"503"

#: Seconds between nats-py's own pings: there are others.
_HARDLY_EVER = 86_400

#: Gets what has come: the number of the subscription, the payload, and the headers as they are on the wire.
Take = Callable[[int, bytes, bytes | None], None]

#: Gets an answer: where it may be answered to, its payload and its headers.
Answer = Callable[[bytes, bytes, bytes | None], None]


class NatsLink(Client):
    """A connection.

    Args:
        take: gets each message of the subscriptions that :meth:`subscription` has numbered; it must not raise.
    """

    def __init__(self, take: Take) -> None:
        super().__init__()
        self._take = take
        self._numbers: set[int] = set()
        self._inbox = b""
        self._inbox_number = 0
        self._answers: dict[bytes, Answer] = {}
        """Who gets what comes to a subject below the inbox."""
        self._deliveries: dict[int, Answer] = {}
        self._asked: set[asyncio.Future[bytes]] = set()
        self._questions = 0
        self._trouble: Exception | None = None
        self._troubled = asyncio.Event()

    async def open(self, servers: Sequence[str], settings: Mapping[str, Any], timeout: float) -> None:
        """Connect to one of these.

        Raises:
            Exception: why none of them took us.
        """
        try:
            await self.connect(
                servers=list(servers),
                error_cb=self._on_error,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=timeout / len(servers),  # type: ignore[arg-type]  # any number will do
                ping_interval=_HARDLY_EVER,
                no_echo=True,
                **settings,
            )
        except Exception as error:  # noqa: BLE001 - of nats-py, which tells the reason elsewhere
            raise self._trouble or error from None
        self._trouble = None  # of a server before this one
        self._troubled.clear()

    async def _on_error(self, error: Exception) -> None:
        self._trouble = error
        self._troubled.set()

    async def ended(self) -> None:
        """Wait until nothing comes any more, and raise why; what we may not do is a reason, too.

        Raises:
            Exception: always.
        """
        reading = self._reading_task
        if reading is not None:
            troubled = asyncio.ensure_future(self._troubled.wait())
            try:
                await asyncio.wait({reading, troubled}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                troubled.cancel()
        raise self._trouble or self.last_error or ConnectionError("the connection was closed")

    async def say(self, lines: Sequence[bytes]) -> None:
        """Send commands, and return when the server has dealt with them.

        Raises:
            ConnectionError: the connection is gone.
            Exception: the server does not allow it.
        """
        pong = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        await self._write([*lines, b"PING\r\n"])
        await asyncio.shield(pong)  # a pong for one that was cancelled would end nats-py's reader
        if self._trouble is not None:  # it was told before the answer
            raise self._trouble

    async def _write(self, lines: Sequence[bytes]) -> None:
        transport = self._transport
        if transport is None or self.is_closed:
            raise ConnectionError("the connection was closed")
        transport.writelines(list(lines))
        await transport.drain()  # type: ignore[no-untyped-call]

    # --- questions ----------------------------------------------------------------------------------

    async def open_inbox(self) -> None:
        """Be ready for answers."""
        self._inbox, self._inbox_number = self.new_inbox().encode(), self.subscription()
        await self.say([b"SUB %b.* %d\r\n" % (self._inbox, self._inbox_number)])

    @contextmanager
    def answers(self, answer: Answer) -> Iterator[bytes]:
        """A subject for answers: what comes to it is given on, until the end of the context."""
        self._questions += 1
        subject = b"%b.%d" % (self._inbox, self._questions)
        self._answers[subject] = answer
        try:
            yield subject
        finally:
            del self._answers[subject]

    @asynccontextmanager
    async def deliveries(self, answer: Answer) -> AsyncIterator[bytes]:
        """The same for messages of a stream: they come there under their own subjects."""
        number = self.subscription()
        subject = b"%b-%d" % (self._inbox, number)
        self._deliveries[number] = answer
        await self._write([b"SUB %b %d\r\n" % (subject, number)])
        try:
            yield subject
        finally:
            del self._deliveries[number]
            self.forget(number)
            with suppress(ConnectionError):
                await self._write([b"UNSUB %d\r\n" % number])

    async def ask(self, subject: str, body: bytes) -> bytes:
        """Ask, and wait for one answer.

        Raises:
            ConnectionError: the connection is gone, or nobody is there to answer.
        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answer(reply: bytes, data: bytes, headers: bytes | None) -> None:  # noqa: ARG001
            if future.done():
                return
            if status(headers) == NOBODY:
                future.set_exception(ConnectionError(f"nobody answers on {subject}"))
            else:
                future.set_result(data)

        self._asked.add(future)
        try:
            with self.answers(answer) as inbox:
                await self.post(subject, body, inbox)
                return await future
        finally:
            self._asked.discard(future)

    async def post(self, subject: str, body: bytes, reply: bytes) -> None:
        """Send a question whose answers are taken elsewhere."""
        await self._write([b"PUB %b %b %d\r\n" % (subject.encode(), reply, len(body)), body, b"\r\n"])

    def subscription(self) -> int:
        """The number of a new subscription."""
        self._sid += 1
        self._numbers.add(self._sid)
        return self._sid

    def forget(self, number: int) -> None:
        """Take nothing any more for a subscription."""
        self._numbers.discard(number)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if sid == self._inbox_number:
            answer = self._answers.get(bytes(subject))
            if answer is not None:
                answer(reply, data, headers)
        elif sid in self._deliveries:
            self._deliveries[sid](reply, data, headers)
        elif sid in self._numbers:
            self._take(sid, data, headers)
        else:
            await super()._process_msg(sid, subject, reply, data, headers)

    async def abort(self) -> None:
        """End it, whether or not the server reads what there still is for it."""
        writer = getattr(self._transport, "_io_writer", None)
        for future in self._asked:
            if not future.done():
                future.set_exception(ConnectionError("the connection was closed"))
        if writer is not None:  # else it has come to nothing that could be closed
            writer.transport.abort()
            await self.close()


def status(headers: bytes | None) -> bytes:
    """What the server itself tells by a message's headers: three digits; nothing where it is a message like others."""
    return headers[9:12] if headers is not None and headers.startswith(b"NATS/1.0 ") else b""


def plan(server: Any, settings: Mapping[str, Any] | None) -> tuple[Sequence[str], dict[str, Any]]:
    """The URLs of servers, and the other arguments of ``nats.connect``.

    Args:
        server: a URL, several, or a client that has connected.
        settings: what comes on top.

    Raises:
        OptionError: this is no server, or these are no settings.
    """
    wrong = sorted(set(settings or ()) - _GIVEN)
    if wrong:
        raise OptionError(f"connect: expected some of {', '.join(sorted(_GIVEN))}, got {', '.join(wrong)}")
    taken: dict[str, Any] = {}
    if isinstance(server, Client):
        places = {name: server.options.get(name) for name in _GIVEN}
        places |= {name: getattr(server, place) for name, place in _KEPT.items()}
        taken = {name: value for name, value in places.items() if value is not None}
        server = [each.geturl() for each in server.servers]
    return [server] if isinstance(server, str) else server, {**taken, **(settings or {})}
