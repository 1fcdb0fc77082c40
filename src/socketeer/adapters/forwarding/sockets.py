"""A WebSocket whose session is another node's: it ends where it has landed, and a carrier stands for it at the owner."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from socketeer.adapters.forwarding.frames import BINARY, PLAIN, TEXT, Asked, Kind, pack
from socketeer.adapters.forwarding.requests import no_such_session, rebuilt, refusal, refused
from socketeer.adapters.forwarding.tunnel import Assembler, Lines, Opened, Tunnel
from socketeer.engine.carriers.base import Carrier, Receiver
from socketeer.engine.http.message import Request
from socketeer.engine.relay import Passage
from socketeer.engine.request import RequestRefused
from socketeer.engine.timers import Timer
from socketeer.errors import PacketError
from socketeer.protocol.frame import Message

log = logging.getLogger("socketeer")

#: Seconds that the last of what is queued may take to leave, once the session has ended.
CLOSE_TIMEOUT: Final = 5.0

_CLOSED, _ERROR = "transport close", "transport error"
_REASONS: Final = {b"\x00": _CLOSED, b"\x01": _ERROR}


class Question(Opened):
    """Whether the owner lets a WebSocket join its session."""

    __slots__ = ("_agreed",)

    def __init__(self, lines: Lines, peer: str, request: Request) -> None:
        super().__init__(lines, peer, request)
        self._agreed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def agreed(self) -> None:
        """Wait for the answer.

        Raises:
            RequestRefused: it is no.
        """
        try:
            await self._agreed
        finally:
            self.end()

    def hear(self, kind: Kind, body: bytes) -> None:
        """The answer."""
        if kind is Kind.REFUSED:
            self.refuse(refusal(body, self.request))
        elif kind is Kind.ACCEPTED:
            self.end()
            if not self._agreed.done():
                self._agreed.set_result(None)
        else:
            raise PacketError(f"{kind.name} is no answer to a question")

    def refuse(self, why: RequestRefused) -> None:
        """It is no."""
        self.end()
        if not self._agreed.done():
            self._agreed.set_exception(why)
            self._agreed.exception()  # who waits sees it

    def broken(self) -> None:
        """The owner has gone."""
        self.refuse(no_such_session(self.request))


class Bridge(Opened, Passage):
    """The end at the node where the WebSocket is: what comes is sent on, unread."""

    __slots__ = ("_asked", "_carrier", "_messages", "_waiting", "_withheld")

    _carrier: Carrier

    def __init__(self, lines: Lines, peer: str, request: Request, what: Asked) -> None:
        super().__init__(lines, peer, request)
        self._asked = what
        options = lines.engine.options
        self._messages = Assembler(options.backpressure.max_bytes + options.max_http_buffer_size)
        self._withheld = 0
        """Bytes of records that the client has not taken yet."""
        self._waiting: asyncio.Task[None] | None = None

    def open(self, carrier: Carrier) -> None:
        """Begin."""
        self._carrier = carrier
        carrier.receiver = self
        if not self.lines.adopt(self):
            self.ended = True
            carrier.close()
            return
        self.tell(Kind.SOCKET, pack(self._asked))

    # --- from the client --------------------------------------------------------------------------

    def receive_text(self, data: bytes) -> None:
        """One text message."""
        self._put(TEXT, data)

    def receive_binary(self, data: bytes) -> None:
        """One binary message."""
        self._put(BINARY, data)

    def _put(self, flags: int, data: bytes) -> None:
        if self.ended:
            return
        self.out.put(flags, data)
        if self.out.held > self.lines.engine.options.backpressure.max_bytes:
            log.info("a WebSocket is closed: more waits for the node that owns its session than may")
            self._lost(b"\x01")
            self._carrier.abort()

    def carrier_lost(self, reason: str, description: str) -> None:  # noqa: ARG002 - ours, and no news to the owner
        """The WebSocket has ended."""
        if not self.ended:
            self._lost(b"\x01" if reason == _ERROR else b"\x00")

    def _lost(self, reason: bytes) -> None:
        self.out.flush()
        self.tell(Kind.LOST, reason)
        self.end()

    # --- from the owner ---------------------------------------------------------------------------

    def hear(self, kind: Kind, body: bytes) -> None:
        """Messages for the client, or the end."""
        self.agreed_to()
        if kind is Kind.DATA:
            for flags, data in self._messages.take(body):
                self._carrier.send(_message(flags, data))
                if self.ended:  # it has been too much for the client
                    return
            self._withheld += len(body)
            self._give_credit()
        elif kind in {Kind.CLOSED, Kind.REFUSED}:
            self.broken()
        elif kind is not Kind.ACCEPTED:
            raise PacketError(f"{kind.name} does not belong to a WebSocket here")

    def _give_credit(self) -> None:
        """The owner may send more when the client has taken what has been sent."""
        if self._waiting is not None:
            return
        if self._carrier.held() <= self.lines.engine.options.backpressure.high_water:
            withheld, self._withheld = self._withheld, 0
            self.taken(withheld)
        else:
            self._waiting = asyncio.ensure_future(self._wait())

    async def _wait(self) -> None:
        try:
            await self._carrier.drained()
        finally:
            self._waiting = None
        if not self.ended:
            withheld, self._withheld = self._withheld, 0
            self.taken(withheld)

    def refuse(self, why: RequestRefused) -> None:  # noqa: ARG002 - a WebSocket is told by its end
        """There is no owner."""
        self.broken()

    def broken(self) -> None:
        """The session has ended, or its node: the client is told by the end of its WebSocket."""
        if not self.ended:
            self.end()
            self._carrier.close()


def _message(flags: int, data: bytes) -> Message:
    if flags & BINARY:
        return Message(b"", (data,), not flags & PLAIN)
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise PacketError(f"a text message: {error}") from None
    return Message(data, (), not flags & PLAIN)


class TunnelCarrier(Tunnel):
    """The end at the owner, where it is the session's carrier. Implements :class:`~socketeer.engine.carriers.base.Carrier`."""

    __slots__ = ("_closing", "_farewell", "_messages", "receiver")

    receiver: Receiver

    def __init__(self, lines: Lines, peer: str, tunnel: int) -> None:
        super().__init__(lines, peer, tunnel)
        self._expected = 1
        self._messages = Assembler(lines.engine.options.max_http_buffer_size)
        self._closing = False
        self._farewell = Timer(self._say_closed)

    def join(self, what: Asked) -> None:
        """Join the session that the other end asks for."""
        engine = self.lines.engine
        request = rebuilt(what, engine.options.path, websocket=True)
        try:
            session = engine.session_of(request, websocket=True)
        except RequestRefused as error:
            self.tell(Kind.REFUSED, refused(error))
            self.end()
            return
        self.tell(Kind.ACCEPTED)
        engine.open_websocket(request, session, self)

    # --- from the client ----------------------------------------------------------------------------

    def hear(self, kind: Kind, body: bytes) -> None:
        """Messages of the client, or its end."""
        if kind is Kind.DATA:
            for flags, data in self._messages.take(body):
                if self._closing:
                    break
                self._deliver(flags, data)
            self.taken(len(body))
        elif kind is Kind.LOST:
            self._lose(_REASONS.get(body, _CLOSED), "connection lost")
        else:
            raise PacketError(f"{kind.name} does not belong to a WebSocket here")

    def _deliver(self, flags: int, data: bytes) -> None:
        try:
            if flags & BINARY:
                self.receiver.receive_binary(data)
            else:
                self.receiver.receive_text(data)
        except Exception:
            log.exception("a message could not be handled; its connection is closed")
            if not self._closing:
                self.abort()
                self.receiver.carrier_lost(_ERROR, "internal error")

    def broken(self) -> None:
        """The node with the WebSocket has gone, or something is missing."""
        self._lose(_ERROR, "the node with the WebSocket has gone, or a message was lost")

    def _lose(self, reason: str, description: str) -> None:
        closing, self._closing = self._closing, True
        self._over()
        if not closing:
            self.receiver.carrier_lost(reason, description)

    # --- to the client ------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        if self._closing:
            return
        plain = 0 if message.compress else PLAIN
        if message.text:
            self.out.put(TEXT | plain, message.text)
        for attachment in message.attachments:
            self.out.put(BINARY | plain, attachment)
        if self.out.held > self.lines.engine.options.backpressure.max_bytes:
            self.abort()
            self.receiver.carrier_lost(_ERROR, "more than max_bytes queued: the client does not read")

    def writable(self) -> bool:
        return self.out.writable

    def held(self) -> int:
        return self.out.held

    async def drained(self) -> None:
        marks = self.lines.engine.options.backpressure
        if self.out.held > marks.high_water:
            await self.out.below(marks.low_water)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.out.flush()
            if self.out.held:
                self.out.at_end = self._say_closed
                self.lines.engine.wheel.set(self._farewell, CLOSE_TIMEOUT)
            else:
                self._say_closed()

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            self._say_closed()

    def _say_closed(self) -> None:
        if not self.ended:
            self.tell(Kind.CLOSED)
            self._over()

    def _over(self) -> None:
        self.lines.engine.wheel.clear(self._farewell)
        self.end()
