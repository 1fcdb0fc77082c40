"""The fast path: picows parses the frames of a plain asyncio transport and calls us with each.

Outgoing frames are made by :mod:`socketeer.protocol.frame` (once, for any number of receivers) and
written past picows, straight to the transport. They are gathered while a read is being worked off,
or until the end of the loop's turn, and leave in one write: with 16 messages in flight that alone
makes the server three times cheaper (docs/decisions/0002-coalesced-writes.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from picows import (
    WSAutoPingStrategy,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from socketeer.engine.carriers import rules
from socketeer.engine.carriers.base import Receiver
from socketeer.options import Backpressure, Limits
from socketeer.protocol.frame import CLOSE_FRAME, Message

log = logging.getLogger("socketeer")

Frame = WSFrame
Kind = WSMsgType

TEXT: Final = WSMsgType.TEXT
BINARY: Final = WSMsgType.BINARY

#: Bytes of picows' read buffer at first; it grows with what arrives.
READ_BUFFER = 2048

#: Carriers written out in one turn of the loop: a broadcast to more leaves the others a turn in between.
FLUSHED = 512


class _Silent(logging.LoggerAdapter[logging.Logger]):
    """What picows logs per connection. We log a broken peer ourselves, in one escaped line.

    An adapter also keeps picows from making a logger object for each connection.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802, ARG002 - logging's name
        return False

    def log(self, *args: object, **kwargs: object) -> None:
        pass


SILENT = _Silent(logging.getLogger("socketeer.picows"), {})


class Flusher:
    """Carriers with something to send, written out together at the end of the loop's turn; very many in several."""

    __slots__ = ("_loop", "dirty")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.dirty: list[PicowsCarrier] = []

    def wake(self) -> None:
        """Flush what is dirty before the loop waits again; to be called when the first one is."""
        self._loop.call_soon(self._run)

    def _run(self) -> None:
        dirty = self.dirty
        self.dirty = dirty[FLUSHED:]
        if self.dirty:
            del dirty[FLUSHED:]
            self.wake()
        for carrier in dirty:
            carrier.flush()


class PicowsCarrier(rules.FrameRules, WSListener):
    """A WebSocket whose frames picows parses. Implements :class:`~socketeer.engine.carriers.base.Carrier`."""

    __slots__ = (
        "_backpressure",
        "_buffered",
        "_closing",
        "_flusher",
        "_fragments",
        "_limits",
        "_max_size",
        "_paused",
        "_pending",
        "_reading",
        "_transport",
        "_waiters",
        "_write",
        "receiver",
    )

    def __init__(self, max_size: int, limits: Limits, backpressure: Backpressure, flusher: Flusher) -> None:
        self._max_size = max_size
        self._limits = limits
        self._backpressure = backpressure
        self._flusher = flusher
        self._pending: list[bytes] = []
        self._fragments: rules.Fragments | None = None
        self._reading = False
        self._paused = False
        self._closing = False
        self._waiters: list[asyncio.Future[None]] = []
        self._transport: asyncio.Transport | None = None
        self._write: Callable[[bytes], None] = _discard
        self._buffered: Callable[[], int] = _nothing
        self.receiver: Receiver

    # --- incoming, called by picows -------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = underlying = transport.underlying_transport
        underlying.set_write_buffer_limits(self._backpressure.high_water, self._backpressure.low_water)
        self._write = underlying.write
        self._buffered = underlying.get_write_buffer_size

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._reading = True
        kind = frame.msg_type
        try:
            if self._closing or transport.is_close_frame_sent:
                # Either we have ended it, or picows has, on a frame that breaks the protocol.
                self._after_close(kind)
            elif frame.rsv1 or frame.rsv2 or frame.rsv3:
                self._reserved(kind, frame)
            elif kind is TEXT and frame.fin and self._fragments is None:
                data = frame.get_payload_as_bytes()
                if data.isascii() or self._is_utf8(data):
                    self.receiver.receive_text(data)
            elif kind is BINARY and frame.fin and self._fragments is None:
                self.receiver.receive_binary(frame.get_payload_as_bytes())
            else:
                self._other_frame(kind.value, frame.get_payload_as_bytes(), bool(frame.fin))
        except Exception:
            log.exception("a message could not be handled; its connection is closed")
            self._fail(1011, "internal error")
        if frame.last_in_buffer:
            self._reading = False
            if self._pending:
                self.flush()
                if self._paused:
                    self._check_held()

    def _reserved(self, kind: Kind, frame: Frame) -> None:  # noqa: ARG002 - for extensions
        """A frame with a reserved bit, which only an extension gives a meaning."""
        self._fail(1002, "reserved bit set without an extension")
        self._after_close(kind)

    def _after_close(self, kind: Kind) -> None:
        """We have sent a close frame: the peer's ends the connection, anything else is dropped."""
        if kind is WSMsgType.CLOSE and self._transport is not None:
            self._transport.close()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._resume_waiters()
        self._write, self._buffered, self._transport = _discard, _nothing, None
        self._pending.clear()
        if not self._closing:
            self._closing = True
            # A close frame that picows sent by itself says that the peer broke the WebSocket protocol.
            handshake = transport.close_handshake
            sent = handshake.sent if handshake is not None else None
            if sent is None:
                self.receiver.carrier_lost("transport close", "connection lost")
            else:
                self.receiver.carrier_lost("transport error", sent.reason)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.flush()
        if not self._paused:
            self._resume_waiters()

    # --- for the rules --------------------------------------------------------------------------

    def _longest(self) -> int:
        return self._max_size

    def _is_open(self) -> bool:
        return not self._closing

    def _is_read(self) -> bool:
        return self._buffered() == 0

    def _keep(self, fragments: rules.Fragments | None) -> None:
        self._fragments = fragments

    # --- outgoing -------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        if self._closing:
            return
        pending = self._pending
        pending.append(message.framed or message.frames())
        if self._reading:
            return  # on_ws_frame flushes
        if self._paused:
            self._check_held()
        elif len(pending) == 1:
            flusher = self._flusher
            if not flusher.dirty:
                flusher.wake()
            flusher.dirty.append(self)

    def _control(self, frame: bytes) -> None:
        self._pending.append(frame)

    def _check_held(self) -> None:
        """Let a peer go that does not read."""
        if self.held() > self._backpressure.max_bytes:
            self.abort()
            self.receiver.carrier_lost(
                "transport error", "more than max_bytes queued: the client does not read"
            )

    def flush(self) -> None:
        """Write what is pending, unless the peer has to read first."""
        pending = self._pending
        if pending and not self._paused:
            data = pending[0] if len(pending) == 1 else b"".join(pending)
            pending.clear()
            self._write(data)

    def writable(self) -> bool:
        return not self._pending and self._buffered() == 0

    def held(self) -> int:
        return sum(map(len, self._pending)) + self._buffered()

    async def drained(self) -> None:
        if not self._paused:
            self.flush()
        if self._paused and not self._closing:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _resume_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        if not self._closing:
            self._end(CLOSE_FRAME)

    def _end(self, frame: bytes) -> None:
        self._last(frame)
        if self._transport is not None:
            asyncio.get_running_loop().call_later(rules.CLOSE_TIMEOUT, self._transport.abort)

    def _leave(self, frame: bytes) -> None:
        self._last(frame)
        if self._transport is not None:
            self._transport.close()

    def _last(self, frame: bytes) -> None:
        """Send a close frame behind what is pending, whether or not the peer reads."""
        self._closing = True
        self._resume_waiters()
        self._control(frame)
        self._paused = False
        self.flush()

    def abort(self) -> None:
        self._closing = True
        self._pending.clear()
        self._resume_waiters()
        if self._transport is not None:
            self._transport.abort()


def _discard(data: bytes) -> None:
    """Stands for ``transport.write`` where there is no transport."""


def _nothing() -> int:
    return 0


_NOBODY: Final = asyncio.Protocol()


def take_over(
    transport: asyncio.Transport,
    carrier: PicowsCarrier,
    key: str,
    headers: list[tuple[str, str]],
    max_size: int,
) -> WSProtocol:
    """Answer a WebSocket handshake on ``transport`` and leave its frames to ``carrier``.

    ``key`` is the request's ``Sec-WebSocket-Key``; ``headers`` go into the 101 response.
    """

    def listener(_request: object) -> WSUpgradeResponseWithListener:
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(headers), carrier)

    protocol = WSProtocol(
        None,  # host and port, path: a client's
        None,
        False,  # not a client
        listener,
        SILENT,
        True,  # disconnect on an exception, which we do not let out
        None,  # no time-out of the handshake: it is here already
        False,  # no pings: Engine.IO has its own heartbeat
        10,
        10,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # pongs are ours, so that a flood of pings is bounded
        max_size,
        None,
        READ_BUFFER,
    )
    transport.set_protocol(_NOBODY)  # uvloop keeps the last one that is not of picows' kind as well
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    # picows reads the handshake off the wire, but the server in front of it has already done so:
    # it gets the part that it needs, and fails on a bad key as it would have.
    request = (
        "GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode("latin-1")
    feed(protocol, request)
    return protocol


def feed(protocol: WSProtocol, data: bytes) -> None:
    """Give picows what somebody else has received."""
    while data:
        view = protocol.get_buffer(len(data))
        size = min(len(view), len(data))
        view[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]
