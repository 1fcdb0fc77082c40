"""A connection of uvicorn's becomes a WebSocket that a carrier of ours serves: picows, or the native lane.

The carriers stay among the connections that uvicorn counts: they are told of the server's end, and waited for.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketeer.engine.carriers.base import Carrier
from socketeer.engine.carriers.choice import CarrierName
from socketeer.engine.carriers.deflate import DeflateCarrier
from socketeer.engine.carriers.lane import BUILT
from socketeer.engine.carriers.picows import Flusher, PicowsCarrier, feed, take_over
from socketeer.options import EngineOptions
from socketeer.protocol.deflate import Codec

log = logging.getLogger("socketeer")

_flushers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Flusher] = weakref.WeakKeyDictionary()


def _flusher(loop: asyncio.AbstractEventLoop) -> Flusher:
    flusher = _flushers.get(loop)
    if flusher is None:
        flusher = _flushers[loop] = Flusher(loop)
    return flusher


#: Seconds that a peer may take to answer a close frame when the server ends.
LAST_WORDS = 0.2


class _Counted(PicowsCarrier):
    """A carrier that uvicorn counts among its connections: it is told of the server's end, and waited for.

    From Python 3.12 on the loop's server waits for every connection that it has accepted, so one that
    nobody closes would hold the end up for ever.
    """

    __slots__ = ()
    _connections: set[Any]

    def on_ws_connected(self, transport: Any) -> None:
        super().on_ws_connected(transport)
        self._connections.add(self)

    def on_ws_disconnected(self, transport: Any) -> None:
        self._connections.discard(self)
        super().on_ws_disconnected(transport)

    def shutdown(self) -> None:
        """Called by uvicorn, once, when the server ends: a peer that does not answer now is not waited for."""
        if not self._closing:
            self.close()
            self.receiver.carrier_lost("server shutting down", "the web server ends")
        asyncio.get_running_loop().call_later(LAST_WORDS, self.abort)


class TakenOver(_Counted):
    """A connection of uvicorn's that picows serves."""

    __slots__ = ("_connections",)

    def __init__(
        self, options: EngineOptions, loop: asyncio.AbstractEventLoop, connections: set[Any]
    ) -> None:
        super().__init__(options.max_http_buffer_size, options.limits, options.backpressure, _flusher(loop))
        self._connections = connections


class TakenOverDeflate(_Counted, DeflateCarrier):
    """The same for a client with which permessage-deflate is agreed on."""

    __slots__ = ("_connections",)

    def __init__(
        self, options: EngineOptions, loop: asyncio.AbstractEventLoop, connections: set[Any], codec: Codec
    ) -> None:
        DeflateCarrier.__init__(
            self,
            options.max_http_buffer_size,
            options.limits,
            options.backpressure,
            _flusher(loop),
            codec,
        )
        self._connections = connections


if BUILT or TYPE_CHECKING:
    from socketeer.engine.carriers.lane import carrier as lane
    from socketeer.engine.carriers.lane._lane import Lane

    class TakenOverLane(lane.LaneCarrier):
        """A connection of uvicorn's that the native lane serves, counted as the others are."""

        __slots__ = ("connections",)

        connections: set[Any]

        def _gone(self) -> None:
            self.connections.discard(self)

        def shutdown(self) -> None:
            """As :meth:`_Counted.shutdown`."""
            if self.is_open:
                self.close()
                self.receiver.carrier_lost("server shutting down", "the web server ends")
            asyncio.get_running_loop().call_later(LAST_WORDS, self.abort)

    def take_accepted(
        fd: int,
        its_lane: Lane,
        connections: set[Any],
        accept: bytes,
        options: EngineOptions,
        headers: list[tuple[str, str]],
        ready: Callable[[Carrier], None],
    ) -> None:
        """As a :class:`HandOver` to the lane, of a connection that no transport has had; closed, where that fails."""
        carrier = _lane_carrier(options, its_lane, connections)
        try:
            lane.enter(fd, carrier, accept, headers)
            ready(carrier)
            carrier.flush()  # the answer and the session's first packet in one
        except BaseException:
            carrier.abort()  # nothing to do where it has not been entered
            connections.discard(carrier)
            raise

    def _lane_carrier(options: EngineOptions, its_lane: Lane, connections: set[Any]) -> TakenOverLane:
        size, limits, backpressure = options.max_http_buffer_size, options.limits, options.backpressure
        carrier = TakenOverLane(its_lane, size, limits, backpressure)
        carrier.connections = connections
        connections.add(carrier)
        return carrier


def with_subprotocol(headers: list[tuple[str, str]], offered: str | None) -> list[tuple[str, str]]:
    """The headers of the answer; of the subprotocols that a client offers it gets the first."""
    if offered is None:
        return headers
    return [*headers, ("Sec-WebSocket-Protocol", offered.split(",")[0].strip())]


class HandOver:
    """A connection whose WebSocket handshake is about to be answered."""

    __slots__ = ("_carrier", "_connections", "_early", "_key", "_loop", "_subprotocols", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        connections: set[Any],
        key: str,
        subprotocols: str | None,
        early: bytes,
        carrier: CarrierName,
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._connections = connections
        """Those that uvicorn counts."""
        self._key = key
        self._subprotocols = subprotocols
        """What the client offers."""
        self._early = early
        """What it has sent behind its handshake."""
        self._carrier = carrier

    def __call__(
        self,
        options: EngineOptions,
        headers: list[tuple[str, str]],
        codec: Codec | None,
        ready: Callable[[Carrier], None],
    ) -> None:
        """Answer 101 with ``headers`` and give the connection to a carrier; ``ready`` gets that."""
        transport, early = self._transport, self._early
        headers = with_subprotocol(headers, self._subprotocols)
        if codec is None and self._carrier == "lane" and lane.can_take_over(transport):
            taken = self._take_lane(options, headers)
            if taken is not None:
                _begin(taken, ready)
                taken.flush()  # the answer and the session's first packet in one
                return
        carrier: PicowsCarrier
        if codec is None:
            carrier = TakenOver(options, self._loop, self._connections)
        else:
            carrier = TakenOverDeflate(options, self._loop, self._connections, codec)
        protocol = take_over(transport, carrier, self._key, headers, options.max_http_buffer_size)
        _begin(carrier, ready)
        if early:
            feed(protocol, early)
            transport.resume_reading()

    def _take_lane(self, options: EngineOptions, headers: list[tuple[str, str]]) -> TakenOverLane | None:
        """The lane's carrier for this connection; None where the system has no descriptor left for it."""
        carrier = _lane_carrier(options, lane.lane_of(self._loop), self._connections)
        try:
            lane.take_over(self._transport, carrier, self._key, headers, self._early)
        except OSError as error:
            self._connections.discard(carrier)
            log.warning("a connection stays on picows: %s", error)
            return None
        except BaseException:
            self._connections.discard(carrier)
            raise
        return carrier


def _begin(carrier: Carrier, ready: Callable[[Carrier], None]) -> None:
    try:
        ready(carrier)
    except BaseException:
        carrier.abort()  # nobody else has it
        raise
