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
#: The body of the answer to a POST.
POSTED: Final = b"ok"
_NO_LOOKING: Final = {"x-xss-protection": "0"}


class Waiter(Protocol):
    """A poll that waits: a future, or :class:`PollWaiting`."""

    def done(self) -> bool:
        """Whether it is about to be answered."""
        ...

    def set_result(self, result: None, /) -> None:
        """Answer it, with what is queued at the end of this turn of the loop."""
        ...


class PollingTransport:
    """One session on long-polling: at most one GET and one POST at a time."""

    __slots__ = (
        "_ended",
        "_left",
        "_outbox",
        "_posting",
        "_reading",
        "_session",
        "_waiter",
        "hurried",
        "name",
    )

    takes_binary = False
    """Whether a POST may have a binary body."""

    def __init__(self, session: Session) -> None:
        self.name = "polling"
        self._session = session
        self._outbox = Outbox(session.options.backpressure)
        self._waiter: Waiter | None = None
        """Resolved to answer the poll that waits; what the answer holds is decided when it is written."""
        self.hurried = False
        """Whether the next poll is not to wait."""
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

    def hurry(self) -> None:
        """As :meth:`release`; where no poll waits, the next one does not."""
        if self._waiter is None:
            self.hurried = True
        else:
            self.release()

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
            return self._overlap()
        if not self._has_answer():
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:
                gone = await _wait(waiter, request)
            finally:
                self._waiter = None
            if gone:
                self._session.fail("transport error", "poll connection closed prematurely")
        return self.answer(request)

    def poll_at_once(self, answer: Callable[[], None]) -> PollWaiting | Response | None:
        """As :meth:`poll`, with no task that waits: None says that :meth:`take` has the answer now.

        A poll that waits calls ``answer`` when there is something to take. A response refuses it.
        """
        if self._waiter is not None:
            return self._overlap()
        if self._has_answer():
            return None
        waiting = self._waiter = PollWaiting(self, answer)
        return waiting

    def _has_answer(self) -> bool:
        hurried, self.hurried = self.hurried, False
        return hurried or bool(self._outbox) or self._ended is not None or self._session.state is State.CLOSED

    def _overlap(self) -> Response:
        self._session.fail("transport error", "overlap from client")
        return Response(400)

    def answer(self, request: Request) -> Response:
        """The answer to a poll, with what is queued now."""
        content_type, body, compressible = self.take()
        response = Response(200, poll_headers(content_type, is_old_browser(request)), body)
        if compressible:
            self.compress(response, request.fields.get("accept-encoding", ""))
        return response

    def take(self) -> tuple[str, bytes, bool]:
        """What a poll is answered with now: the content type, the body, and whether to :meth:`compress` it."""
        queued = messages = self._outbox.take()
        session = self._session
        if session.state is State.CLOSED:
            messages = [*queued, NOOP_PACKET if self._left else CLOSE_PACKET]
        elif not queued:
            messages = [NOOP_PACKET]
            if self._ended is not None:
                # Not behind queued messages: the official client acts on the close packet before them.
                messages = [NOOP_PACKET, CLOSE_PACKET]
                self._ended()
        if session.outgoing is not None:
            session.outgoing.taken(queued)
        content_type, body = self._encode(messages)
        options = session.options.http_compression
        if options is None or len(body) < options.threshold:
            return content_type, body, False
        return content_type, body, any(message.compress for message in queued)

    def compress(self, response: Response, accept_encoding: str) -> None:
        """Compress an answer as the client takes it."""
        options = self._session.options.http_compression
        if options is not None:
            compress(response, accept_encoding, options)

    def _encode(self, messages: list[Message]) -> tuple[str, bytes]:
        """The content type and the body of an answer with these messages."""
        if len(messages) == 1:
            return TEXT, messages[0].payload()
        return TEXT, RECORD_SEPARATOR.join([message.payload() for message in messages])

    # --- POST -----------------------------------------------------------------------------------

    async def receive(self, request: Request) -> Response:
        """Take a POST: its packets are delivered in order before it is answered."""
        binary = is_binary(request)
        refusal = self._refusal(binary, "content-encoding" in request.fields)
        if refusal is not None:
            return refusal
        self._posting = True
        try:
            refusal = await self._read_and_deliver(request, binary)
        finally:
            self._posting = False
        return refusal or Response(200, post_headers(is_old_browser(request)), POSTED)

    def receive_at_once(self, body: bytes, binary: bool, encoded: bool) -> Response | None:
        """As :meth:`receive`, for a request whose body has come with it; None says that it is :data:`POSTED`."""
        refusal = self._refusal(binary, encoded)
        if refusal is not None:
            return refusal
        session = self._session
        if len(body) > session.options.max_http_buffer_size:
            return Response(413)
        if session.state is State.CLOSED:
            return Response(400)
        self._posting = True
        try:
            return self._deliver(body, binary)
        finally:
            self._posting = False

    def _refusal(self, binary: bool, encoded: bool) -> Response | None:
        """The answer to a POST that is not to be read."""
        if self._posting:
            self._session.fail("transport error", "data request overlap from client")
            return Response(400)
        if binary and not self.takes_binary:
            self._session.fail("transport error", "invalid content: binary payloads belong to Engine.IO 3")
            return Response(400)
        return Response(415) if encoded else None

    async def _read_and_deliver(self, request: Request, binary: bool) -> Response | None:
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
        return self._deliver(body, binary)

    async def _read(self, request: Request) -> bytes | None:
        options = self._session.options
        try:
            async with asyncio.timeout(options.limits.body_timeout) as self._reading:
                return await read_body(request, options.max_http_buffer_size)
        finally:
            self._reading = None

    def _deliver(self, body: bytes, binary: bool) -> Response | None:
        """Give the packets of a body to the session; the refusal, if they are none."""
        try:
            self._take(body, binary, self._session.options.limits.max_payload_packets)
        except UnicodeDecodeError:
            self._session.fail("parse error", "long-polling payload: expected UTF-8")
            return Response(400)
        except PacketError as error:
            self._session.fail("parse error", str(error))
            return Response(400)
        return None

    def _take(self, body: bytes, binary: bool, max_packets: int) -> None:  # noqa: ARG002
        """Give the packets of a body to the session.

        Raises:
            PacketError, UnicodeDecodeError: the body is malformed; none of its packets was delivered.
        """
        if not body.isascii():
            body.decode()
        if RECORD_SEPARATOR not in body:  # one packet, as nearly always
            self._take_text(body)
            return
        for packet in decode_payload(body, max_packets):
            self._take_text(packet)

    def _take_text(self, packet: bytes) -> None:
        if packet[:1] == _CLOSE_TYPE and self._session.state is State.OPEN:
            self._left = True
        self._session.receive_text(packet)


class PollWaiting:
    """A poll that no task waits for."""

    __slots__ = ("_answer", "_released", "_transport")

    def __init__(self, transport: PollingTransport, answer: Callable[[], None]) -> None:
        self._transport = transport
        self._answer = answer
        self._released = False

    def done(self) -> bool:
        return self._released

    def set_result(self, _result: None, /) -> None:
        self._released = True
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._transport._waiter = None  # noqa: SLF001 - its other half
        self._answer()

    def gone(self) -> None:
        """The client has gone."""
        if not self._released:
            self._released = True
            self._transport._waiter = None  # noqa: SLF001
            self._transport._session.fail("transport error", "poll connection closed prematurely")  # noqa: SLF001


def is_binary(request: Request) -> bool:
    """Whether the request says that its body is binary."""
    return request.fields.get("content-type", "").startswith(BINARY)


def is_old_browser(request: Request) -> bool:
    """Whether it is Internet Explorer, which takes a payload for an attack on the page, unless it is told not to look."""
    agent = request.fields.get("user-agent", "")
    return ";MSIE" in agent or "Trident/" in agent


def poll_headers(content_type: str, old_browser: bool) -> dict[str, str]:
    """The headers of the answer to a poll."""
    headers = {"content-type": content_type, "cache-control": "no-store"}
    return headers | _NO_LOOKING if old_browser else headers


def post_headers(old_browser: bool) -> dict[str, str]:
    """The headers of the answer to a POST."""
    return {"content-type": "text/html"} | _NO_LOOKING if old_browser else {"content-type": "text/html"}


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
