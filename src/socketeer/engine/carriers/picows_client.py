"""The connecting side of a WebSocket: picows shakes hands and parses frames, we mask and gather what goes out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl as tls
from collections.abc import Callable, Mapping
from typing import Any

from picows import WSHandshakeError, WSParsedURL, WSTransport, ws_connect

from socketeer.engine.carriers.base import Receiver
from socketeer.engine.carriers.picows import SILENT, Flusher, PicowsCarrier
from socketeer.engine.carriers.rules import PONG
from socketeer.errors import TransportError
from socketeer.options import Backpressure, Limits
from socketeer.protocol.frame import Message
from socketeer.protocol.mask import masked_frame, masked_frames

#: A ping with nothing in it, before it is masked.
_PING = b"\x89\x00"


class Redirected(TransportError):
    """The server answered the handshake with another address; ``description`` is the status."""

    def __init__(self, location: str, status: int) -> None:
        super().__init__(f"websocket: redirected to {location[:200]!r}", status)
        self.location = location


class PicowsClientCarrier(PicowsCarrier):
    """A WebSocket that this side has opened. A client's frames are masked (RFC 6455 section 5.3).

    Attributes:
        ended: done when the connection has gone.
    """

    __slots__ = ("_pong", "ended")

    def __init__(self, max_size: int, limits: Limits, backpressure: Backpressure) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(max_size, limits, backpressure, Flusher(loop))
        self.ended: asyncio.Future[None] = loop.create_future()
        self._pong: asyncio.Future[None] | None = None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        super().on_ws_disconnected(transport)
        self._answered()
        if not self.ended.done():
            self.ended.set_result(None)
        if transport.is_close_frame_sent:
            # picows has ended it for a frame that breaks the protocol, and is about to keep the error for
            # someone who asks; we know it already, but without a question it would be logged.
            asyncio.ensure_future(transport.wait_disconnected()).add_done_callback(_asked)

    def send(self, message: Message) -> None:
        super().send(Message(b"", framed=masked_frames(message)))

    def _control(self, frame: bytes) -> None:
        super()._control(masked_frame(frame[0], frame[2:]))

    async def round_trip(self) -> None:
        """Ping, and wait for the pong (RFC 6455 section 5.5.2): what was sent before has been read by then.

        It also ends with the connection.
        """
        if self._pong is None or self._pong.done():
            self._pong = asyncio.get_running_loop().create_future()
            self._control(_PING)
            self.flush()
        await asyncio.shield(self._pong)

    def _other_frame(self, kind: int, payload: bytes, last: bool) -> None:
        super()._other_frame(kind, payload, last)
        if kind == PONG:
            self._answered()

    def _answered(self) -> None:
        """A pong has come, or none will."""
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(None)


def _asked(question: asyncio.Future[None]) -> None:
    if not question.cancelled():
        question.exception()


async def open_websocket(
    url: str,
    receiver: Receiver,
    *,
    headers: Mapping[str, str],
    context: tls.SSLContext | None,
    proxy: str | None,
    max_size: int,
    limits: Limits,
    backpressure: Backpressure,
) -> PicowsClientCarrier:
    """A WebSocket to ``url``, open; what comes goes to ``receiver``, perhaps before this returns.

    Raises:
        Redirected: the server names another address.
        TransportError: it cannot be reached, or answers with something else than a WebSocket.
    """
    carrier = PicowsClientCarrier(max_size, limits, backpressure)
    carrier.receiver = receiver
    make: Callable[[], PicowsClientCarrier] = lambda: carrier  # noqa: E731 - picows wants a function
    line = _Line()
    try:
        _, listener = await ws_connect(
            make,
            url,
            ssl_context=context,
            websocket_handshake_timeout=None,  # the whole attempt has its own time-out
            logger_name=SILENT,
            enable_auto_pong=False,
            max_frame_size=max_size,
            max_redirects=0,  # who follows one has to leave headers behind
            extra_headers=dict(headers),
            proxy=proxy
            and proxy.replace("socks5h:", "socks5:", 1),  # both leave the host's name to the proxy
            socket_factory=line.connect,
        )
    except WSHandshakeError as error:
        raise _refused(error) from error
    except Exception as error:
        line.cut()
        raise TransportError(f"websocket: {str(error) or type(error).__name__}", error) from error
    except BaseException:
        carrier.abort()
        line.cut()
        raise
    if listener is None:
        raise TransportError("websocket: the server ended the connection without an answer")
    return carrier


class _Line:
    """The TCP connection below a handshake. picows lets it be when the handshake is cancelled; we do not."""

    __slots__ = ("_socket",)

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    async def connect(self, url: WSParsedURL) -> socket.socket:
        """To the first address of the host that answers."""
        loop = asyncio.get_running_loop()
        trouble = OSError(f"{url.host} has no address")
        for family, kind, protocol, _, address in await loop.getaddrinfo(
            url.host, url.port, type=socket.SOCK_STREAM
        ):
            line = socket.socket(family, kind, protocol)
            line.setblocking(False)
            try:
                await loop.sock_connect(line, address)
            except OSError as error:
                line.close()
                trouble = error
            except BaseException:
                line.close()
                raise
            else:
                self._socket = line
                return line
        raise trouble

    def cut(self) -> None:
        """End it, whoever holds it now: the loop reads the end, and closes."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _refused(error: WSHandshakeError) -> TransportError:
    """What a handshake's answer means that is no WebSocket."""
    response: Any = error.response
    if response is None:
        return TransportError(f"websocket: {error}", error)
    status, location = int(response.status), response.headers.get("location")
    if 300 <= status < 400 and location is not None:
        return Redirected(location, status)
    if status == 101:
        return TransportError(f"websocket: {error}", status)
    text = (error.raw_body or b"")[:200].decode("utf-8", "replace")
    return TransportError(f"websocket: refused with status {status}: {text!r}", status)
