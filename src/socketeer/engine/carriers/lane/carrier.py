"""The native lane's outer half: what of a connection is not worth being native, and how one is taken over."""

from __future__ import annotations

import asyncio
import binascii
import os
import weakref
from hashlib import sha1

from socketeer.engine.carriers import rules
from socketeer.engine.carriers.lane._lane import Connection, Lane
from socketeer.options import Backpressure, Limits
from socketeer.protocol.frame import CLOSE_FRAME

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
)
#: Stands behind a transport whose socket has been taken over: it keeps nothing.
_DEAF = asyncio.Protocol()

#: What ws_split in frames.h complains of, and the code that says so.
_COMPLAINTS = {
    -1: (1002, "reserved bit set without an extension"),
    -2: (1002, "a frame of an unknown kind"),
    -3: (1002, "a frame without a mask"),
    -4: (1002, "a control frame in fragments, or too long"),
    -5: (1009, "message above {} bytes (max_http_buffer_size)"),
}

# Weak on both sides: the loop keeps its lane as long as there are connections in it.
_lanes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Lane]] = weakref.WeakKeyDictionary()


def lane_of(loop: asyncio.AbstractEventLoop) -> Lane:
    """The lane of this loop; a new one where there is none."""
    known = _lanes.get(loop)
    lane = None if known is None else known()
    if lane is None:
        lane = Lane(loop)
        _lanes[loop] = weakref.ref(lane)
    return lane


class LaneCarrier(rules.FrameRules, Connection):
    """A WebSocket in a lane. Implements :class:`~socketeer.engine.carriers.base.Carrier`."""

    __slots__ = ("_limits", "_waiters")

    def __init__(self, lane: Lane, max_size: int, limits: Limits, backpressure: Backpressure) -> None:
        super().__init__(lane, max_size, backpressure)
        self._limits = limits
        self._waiters: list[asyncio.Future[None]] | None = None

    async def drained(self) -> None:
        """Wait until the queue is below its low-water mark, or the WebSocket has ended."""
        self.flush()
        if self.paused and self.is_open:
            waiter = asyncio.get_running_loop().create_future()
            if self._waiters is None:
                self._waiters = []
            self._waiters.append(waiter)
            await waiter

    def close(self) -> None:
        """Send what is queued and a close frame, then end. Nothing more is delivered."""
        self._end(CLOSE_FRAME)

    def abort(self) -> None:
        """End at once; what is queued is dropped."""
        self.drop()

    # --- called by the inner half ---------------------------------------------------------------

    def _gone(self) -> None:
        """The descriptor is closed."""

    def _resume_waiters(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _patience(self) -> float:
        return rules.CLOSE_TIMEOUT

    def _unreadable(self, complaint: int) -> None:
        code, description = _COMPLAINTS[complaint]
        self._fail(code, description.format(self.max_size))

    # --- for the rules --------------------------------------------------------------------------

    def _longest(self) -> int:
        return self.max_size

    def _is_open(self) -> bool:
        return self.is_open

    def _is_read(self) -> bool:
        return not self.blocked

    def _keep(self, fragments: rules.Fragments | None) -> None:
        self._fragments = fragments

    def _control(self, frame: bytes) -> None:
        self.control(frame)

    def _end(self, frame: bytes) -> None:
        self.end(frame, rules.CLOSE_TIMEOUT)

    def _leave(self, frame: bytes) -> None:
        self.leave(frame)

    def _peer_closes(self, payload: bytes) -> None:
        if len(payload) == 1:
            self._fail(1002, "half a close code")
        elif len(payload) <= 2 or self._is_utf8(payload[2:]):
            super()._peer_closes(payload)


def can_take_over(transport: asyncio.Transport) -> bool:
    """Whether the lane can serve this connection: plain TCP, and nothing waits to be written to it."""
    name = transport.get_extra_info(
        "peername"
    )  # not the socket's family, of which the standard library makes an enum
    return (
        type(name) is tuple
        and type(name[0]) is str
        and transport.get_extra_info("sslcontext") is None
        and transport.get_write_buffer_size() == 0
        and not transport.is_closing()
    )


def take_over(
    transport: asyncio.Transport,
    carrier: LaneCarrier,
    key: str,
    headers: list[tuple[str, str]],
    early: bytes = b"",
) -> None:
    """Answer a WebSocket handshake on ``transport`` and leave its socket to ``carrier``.

    ``key`` is the request's ``Sec-WebSocket-Key``; ``headers`` go into the 101 response; ``early`` is what the
    transport has received behind the request. The transport ends; the connection does not, for the carrier has a
    descriptor of its own.

    Raises:
        OSError: the system has no descriptor left for it; the transport is as it was.
    """
    accept = accept_of(key)
    if accept is None:
        transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        transport.close()
        carrier._gone()  # noqa: SLF001 - it has never come
        return
    enter(os.dup(transport.get_extra_info("socket").fileno()), carrier, accept, headers, early)
    transport.set_protocol(_DEAF)
    transport.abort()


def enter(
    fd: int, carrier: LaneCarrier, accept: bytes, headers: list[tuple[str, str]], early: bytes = b""
) -> None:
    """Answer a WebSocket handshake on a descriptor, which is the carrier's from here on; closed, where that fails.

    Raises:
        OSError: the system does not take it.
    """
    try:
        answer = b"%b%b\r\n\r\n" % (_ANSWER, accept)
        if headers:
            lines = [f"{name}: {value}\r\n" for name, value in headers]
            answer = answer[:-2] + "".join(lines).encode("latin-1") + b"\r\n"
        carrier.open(fd, answer, early)
    except BaseException:
        if carrier.is_open:
            carrier.drop()
        else:
            os.close(fd)
        raise


def accept_of(key: str) -> bytes | None:
    """The answer to a key; None to one that is none (RFC 6455 section 4.2.1)."""
    try:
        if len(binascii.a2b_base64(key, strict_mode=True)) != 16:
            return None
    except ValueError:  # also what is not ASCII
        return None
    digest = sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)
