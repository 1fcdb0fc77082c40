"""HTTP long-polling: a GET waits for packets to the client, a POST brings packets from it.

https://socket.io/docs/v4/engine-io-protocol/#http-long-polling
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from socketeer.engine.http.compression import compress
from socketeer.engine.http.message import Request, Response
from socketeer.engine.outbox import Outbox
from socketeer.engine.session import Session, State
from socketeer.errors import PacketError
from socketeer.protocol.engineio import CLOSE, CLOSE_PACKET, NOOP_PACKET, decode_payload
from socketeer.protocol.frame import RECORD_SEPARATOR, Message

TEXT: Final = "text/plain; charset=UTF-8"
BINARY: Final = "application/octet-stream"
_CLOSE_TYPE: Final = bytes((CLOSE,))


class Waiter(Protocol):
    """A poll that waits: a future, or :class:`_Waiting`."""

    def done(self) -> bool:
        """Whether it is about to be answered."""
        ...

    def set_result(self, result: None, /) -> None:
        """Answer it, with what is queued at the end of this turn of the loop."""
        ...


class PollingTransport:
    """One session on long-polling: at most one GET and one POST at a time."""

    __slots__ = ("_ended", "_left", "_outbox", "_posting", "_reading", "_session", "_waiter", "name")

    takes_binary = False
    """Whether a POST may have a binary body."""

    def __init__(self, session: Session) -> None:
        self.name = "polling"
        self._session = session
        self._outbox = Outbox(session.options.backpressure)
        self._waiter: Waiter | None = None
        """Resolved to answer the poll that waits; what the answer holds is decided when it is written."""
        self._posting = False
        self._reading: asyncio.Timeout | None = None
        """The patience of a POST whose body is being read."""
        self._left = False
        """Whether the client itself has said that it closes: its poll needs no close packet."""
        self._ended: Callable[[], None] | None = None
        """Set when the session closes with the next poll: to be called once that has been answered."""

    @property
    def left_alone(self) -> bool:
        """Whether the client has said that it closes, and none of its polls waits here."""
        return self._left and self._waiter is None

    # --- outgoing -------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Queue a message; a waiting poll is answered with all of this turn's."""
        if not self._outbox.append(message):
            self._session.fail("transport error", "more than max_bytes queued: the client does not poll")
        elif self._waiter is not None:
            self.release()

    def release(self) -> None:
        """Answer the poll that waits, if one does; with nothing queued it gets a noop."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def writable(self) -> bool:
        """Whether a poll waits, and none of this turn's messages is going to it yet."""
        return self._waiter is not None and not self._waiter.done()

    def held(self) -> int:
        """Bytes queued."""
        return self._outbox.held

    async def drained(self) -> None:
        """Wait until a poll has taken the queue, if it is above its high-water mark."""
        await self._outbox.drained()

    def finish(self, ended: Callable[[], None]) -> None:
        """A waiting poll is told at once; otherwise the next one is."""
        if self.writable() and not self._outbox:
            ended()
        else:
            self._ended = ended
            self.release()

    def close(self) -> None:
        """A poll that waits is told; what is queued is dropped."""
        self._outbox.take()
        self.release()
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(0)  # the body is not read to its end

    def retire(self) -> list[Message]:
        """The session moves to another transport: what is queued goes with it."""
        messages = self._outbox.take()
        self.release()
        return messages

    # --- GET ------------------------------------------------------------------------------------

    async def poll(self, request: Request) -> Response:
        """Answer a GET: at once if something is queued, otherwise when something is."""
        if self._waiter is not None:
            self._session.fail("transport error", "overlap from client")
            return Response(400)
        if not self._outbox and self._ended is None and self._session.state is not State.CLOSED:
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:
                gone = await _wait(waiter, request)
            finally:
                self._waiter = None
            if gone:
                self._session.fail("transport error", "poll connection closed prematurely")
        return self._answer(request)

    def poll_at_once(self, request: Request, reply: Callable[[Response], None]) -> Callable[[], None] | None:
        """As :meth:`poll`, with no task that waits: ``reply`` is called, now or later.

        Where it is later, returns what is to be called if the client goes before.
        """
        if self._waiter is not None:
            self._session.fail("transport error", "overlap from client")
            reply(Response(400))
        elif self._outbox or self._ended is not None or self._session.state is State.CLOSED:
            reply(self._answer(request))
        else:
            waiting = self._waiter = _Waiting(self, request, reply)
            return waiting.gone
        return None

    def _answer(self, request: Request) -> Response:
        queued = messages = self._outbox.take()
        if self._session.state is State.CLOSED:
            messages = [*queued, NOOP_PACKET if self._left else CLOSE_PACKET]
        elif self._ended is not None and not queued:
            # Not behind queued messages: the official client acts on the close packet before them.
            messages = [NOOP_PACKET, CLOSE_PACKET]
            self._ended()
        elif not queued:
            messages = [NOOP_PACKET]
        if self._session.outgoing is not None:
            self._session.outgoing.taken(queued)
        content_type, body = self._encode(messages)
        headers = {"content-type": content_type, "cache-control": "no-store", **_for_old_browsers(request)}
        response = Response(200, headers, body)
        options = self._session.options.http_compression
        if (
            options is not None
            and len(body) >= options.threshold
            and any(message.compress for message in queued)
        ):
            compress(response, request.fields.get("accept-encoding", ""), options)
        return response

    def _encode(self, messages: list[Message]) -> tuple[str, bytes]:
        """The content type and the body of an answer with these messages."""
        if len(messages) == 1:
            return TEXT, messages[0].payload()
        return TEXT, RECORD_SEPARATOR.join([message.payload() for message in messages])

    # --- POST -----------------------------------------------------------------------------------

    async def receive(self, request: Request) -> Response:
        """Take a POST: its packets are delivered in order before it is answered."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        self._posting = True
        try:
            return await self._read_and_deliver(request)
        finally:
            self._posting = False

    def receive_at_once(self, request: Request, body: bytes) -> Response:
        """As :meth:`receive`, for a request whose body has come with it."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if len(body) > self._session.options.max_http_buffer_size:
            return Response(413)
        if self._session.state is State.CLOSED:
            return Response(400)
        self._posting = True
        try:
            return self._deliver(request, body)
        finally:
            self._posting = False

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a POST that is not to be read."""
        if self._posting:
            self._session.fail("transport error", "data request overlap from client")
            return Response(400)
        if not self.takes_binary and is_binary(request):
            self._session.fail("transport error", "invalid content: binary payloads belong to Engine.IO 3")
            return Response(400)
        return Response(415) if "content-encoding" in request.fields else None

    async def _read_and_deliver(self, request: Request) -> Response:
        session = self._session
        try:
            body = await self._read(request)
        except TimeoutError:
            if session.state is State.CLOSED:
                return Response(400, {"connection": "close"})
            session.fail("transport error", "body not received within body_timeout")
            return Response(408)
        except ConnectionError:
            session.fail("transport error", "data request connection closed prematurely")
            return Response(400)
        if body is None:
            # As the official server: too large a body is refused, and the session lives on.
            return Response(413)
        if session.state is State.CLOSED or session.transport is not self:
            return Response(400)
        return self._deliver(request, body)

    async def _read(self, request: Request) -> bytes | None:
        options = self._session.options
        try:
            async with asyncio.timeout(options.limits.body_timeout) as self._reading:
                return await read_body(request, options.max_http_buffer_size)
        finally:
            self._reading = None

    def _deliver(self, request: Request, body: bytes) -> Response:
        try:
            self._take(request, body, self._session.options.limits.max_payload_packets)
        except UnicodeDecodeError:
            self._session.fail("parse error", "long-polling payload: expected UTF-8")
            return Response(400)
        except PacketError as error:
            self._session.fail("parse error", str(error))
            return Response(400)
        return Response(200, {"content-type": "text/html", **_for_old_browsers(request)}, b"ok")

    def _take(self, request: Request, body: bytes, max_packets: int) -> None:  # noqa: ARG002
        """Give the packets of a body to the session.

        Raises:
            PacketError, UnicodeDecodeError: the body is malformed; none of its packets was delivered.
        """
        body.decode()
        for packet in decode_payload(body, max_packets):
            self._take_text(packet)

    def _take_text(self, packet: bytes) -> None:
        if packet[:1] == _CLOSE_TYPE and self._session.state is State.OPEN:
            self._left = True
        self._session.receive_text(packet)


class _Waiting:
    """A poll that no task waits for."""

    __slots__ = ("_released", "_reply", "_request", "_transport")

    def __init__(
        self, transport: PollingTransport, request: Request, reply: Callable[[Response], None]
    ) -> None:
        self._transport = transport
        self._request = request
        self._reply = reply
        self._released = False

    def done(self) -> bool:
        return self._released

    def set_result(self, _result: None, /) -> None:
        self._released = True
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._transport._waiter = None  # noqa: SLF001 - its other half
        self._reply(self._transport._answer(self._request))  # noqa: SLF001

    def gone(self) -> None:
        """The client has gone."""
        if not self._released:
            self._released = True
            self._transport._waiter = None  # noqa: SLF001
            self._transport._session.fail("transport error", "poll connection closed prematurely")  # noqa: SLF001


def is_binary(request: Request) -> bool:
    """Whether the request says that its body is binary."""
    return request.fields.get("content-type", "").startswith(BINARY)


def _for_old_browsers(request: Request) -> dict[str, str]:
    """Internet Explorer takes a payload for an attack on the page, unless it is told not to look."""
    agent = request.fields.get("user-agent", "")
    return {"x-xss-protection": "0"} if ";MSIE" in agent or "Trident/" in agent else {}


async def read_body(request: Request, limit: int) -> bytes | None:
    """The body, or None as soon as it is known to be larger than ``limit`` bytes.

    Raises:
        ConnectionError: the client went away before the end of it.
    """
    if request.whole is not None:
        return request.whole if len(request.whole) <= limit else None
    declared = request.fields.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > 15 or int(declared) > limit:
        return None
    body = bytearray()
    async for piece in request.pieces():
        body += piece
        if len(body) > limit:
            return None
    return bytes(body)


async def _wait(waiter: asyncio.Future[None], request: Request) -> bool:
    """Wait to be released; True if the client has gone before."""
    if request.disconnected is None:
        await waiter
        return False
    gone = asyncio.ensure_future(request.disconnected())
    try:
        await asyncio.wait((waiter, gone), return_when=asyncio.FIRST_COMPLETED)
        return not waiter.done()
    finally:
        gone.cancel()
