"""This node among those that pass requests on to each other: it knows its tunnels, and the nodes at their other ends.

Each node listens on one channel of its own, ``<prefix>-node#<node id>#``. While there are tunnels, the
nodes at their ends ask each other now and then whether they are still there; otherwise nothing is sent
that no client has caused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from os import urandom
from typing import Final

from socketeer.adapters.bus import Bus
from socketeer.adapters.forwarding.frames import (
    HEAD_SIZE,
    LOOSE,
    NO_TUNNEL,
    OPENING,
    Asked,
    Frame,
    Kind,
    Refused,
    decode,
    encode,
    owner_of,
    pack,
    unpack,
)
from socketeer.adapters.forwarding.liveness import Liveness, unreachable
from socketeer.adapters.forwarding.peers import Peer, Peers
from socketeer.adapters.forwarding.requests import (
    Answering,
    Asking,
    asked,
    fits,
    rebuilt,
    refused,
    small_body,
)
from socketeer.adapters.forwarding.sockets import Bridge, Question, TunnelCarrier
from socketeer.adapters.forwarding.tunnel import CHUNK, Opened, Outflow, Tunnel
from socketeer.adapters.health import LinkState
from socketeer.engine.http.message import Request, Response
from socketeer.engine.request import BAD_REQUEST, RequestRefused, protocol_of
from socketeer.engine.server import EngineServer
from socketeer.engine.transports.polling import TEXT
from socketeer.errors import BrokerUnavailable, PacketError
from socketeer.protocol.engineio import NOOP_PACKET
from socketeer.protocol.ids import generate_node_id

log = logging.getLogger("socketeer")

#: Seconds that polls and answers have to end when the server ends.
FAREWELL: Final = 1.0

#: Seconds that a node which begins waits for its broker before it lets clients in, and they for it.
READY_TIMEOUT: Final = 2.0

#: Tunnels at once, at most.
MOST_TUNNELS: Final = 100_000


#: Seconds that a poll waits on a node which is about to end, before it is to find another one.
LEAVING_POLL: Final = 0.1


class Phase(Enum):
    """Where a node is in its life."""

    CLOSED = "closed"
    OPEN = "open"
    LEAVING = "leaving"
    """Nothing that would last begins here any more."""


class Forwarding:
    """Passes on what lands here and belongs elsewhere, and answers what others pass on.

    Implements :class:`~socketeer.engine.relay.Relay`.

    Args:
        engine: the server whose sessions are ours.
        bus: reaches the other nodes.
        channel: the channel of a node, by its id.
    """

    def __init__(self, engine: EngineServer, bus: Bus, channel: Callable[[str], str]) -> None:
        self.engine = engine
        self.bus = bus
        self.node_id = generate_node_id()
        self.chunk = min(CHUNK, bus.max_message_size - HEAD_SIZE)
        self._channel = channel
        self._peers = Peers()
        self._count = 0
        """How many tunnels there are."""
        self._last = int.from_bytes(urandom(7), "big")
        """The id of the tunnel that was opened last. A node that starts anew has another id itself."""
        self._dirty: list[Outflow] = []
        self._phase = Phase.CLOSED
        self._liveness = Liveness(engine, bus, self._peers, self._channel, self._publish)

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; from here on new sessions' ids name this node."""
        self._phase = Phase.OPEN
        self.bus.start()
        self.bus.subscribe(self._channel(self.node_id), self.receive)
        self.engine.join_cluster(self.node_id, self)

    async def ready(self, timeout: float = READY_TIMEOUT) -> None:
        """Wait until the other nodes are heard, or for so many seconds."""
        with suppress(BrokerUnavailable, TimeoutError):
            async with asyncio.timeout(timeout):
                await self.bus.settled()

    async def leave(self) -> None:
        """Before the sessions end: have the polls that wait here answered; those that come find another node."""
        self._phase = Phase.LEAVING
        polls = [
            each
            for peer in self._peers
            for each in peer.tunnels.values()
            if isinstance(each, Asking) and each.waits
        ]
        for poll in polls:
            poll.tell(Kind.RELEASE)
        if polls:
            await asyncio.wait([poll.outcome for poll in polls], timeout=FAREWELL)

    async def close(self) -> None:
        """After the sessions have ended: send what is still to be sent, and say goodbye."""
        self._phase = Phase.CLOSED
        self.engine.join_cluster(self.node_id, None)
        answers = [
            each.task for peer in self._peers for each in peer.tunnels.values() if isinstance(each, Answering)
        ]
        if answers:
            await asyncio.wait(answers, timeout=FAREWELL)
        self._flush()
        for peer in self._peers:
            self._publish(peer.id, Kind.BYE)
            self._peers.lose(peer)
        self._liveness.end()
        self.bus.unsubscribe(self._channel(self.node_id), self.receive)
        await self.bus.close()

    # --- what lands here ----------------------------------------------------------------------------

    def reaches(self, request: Request) -> bool:
        """Whether the request's ``sid`` names another node."""
        sid = request.query.get("sid")
        if self._phase is Phase.CLOSED or sid is None or "sid" in request.repeated:
            return False
        return owner_of(sid) not in {None, self.node_id}

    async def request(self, request: Request) -> Response:
        """Have the owner answer."""
        if self._phase is Phase.LEAVING and request.method == "GET" and protocol_of(request) == 4:
            await asyncio.sleep(LEAVING_POLL)
            return Response(200, {"content-type": TEXT, "cache-control": "no-store"}, NOOP_PACKET.payload())
        owner, follows, body = await self._owner(request), not fits(request, self.chunk // 2), b""
        failed = 0
        if not follows:
            try:
                body = await small_body(request, self.engine.options.limits.body_timeout)
            except TimeoutError:
                failed = 408
            except ConnectionError:
                failed = 400
        follows = follows or failed > 0
        marks = self.engine.options.backpressure
        tunnel = Asking(self, owner, request, 2 * marks.max_bytes + CHUNK, follows)
        if not self.adopt(tunnel):
            raise unreachable(request)
        tunnel.tell(Kind.REQUEST, pack(asked(request, body, follows)))
        if failed:
            tunnel.leave()  # for the owner, a client that has gone in the middle of it
            return Response(failed)
        return await tunnel.answered()

    async def upgrade(self, request: Request) -> Bridge:
        """Have the owner agree."""
        owner, what = await self._owner(request), asked(request)
        question = Question(self, owner, request)
        if not self.adopt(question):
            raise unreachable(request)
        question.tell(Kind.QUESTION, pack(what))
        await question.agreed()
        return Bridge(self, owner, request, what)

    async def _owner(self, request: Request) -> str:
        if self.bus.health.state in {LinkState.IDLE, LinkState.CONNECTING}:
            await self.ready()  # this node has only just begun
        owner = owner_of(request.query["sid"])
        if owner is None or self._phase is Phase.CLOSED or not self.bus.health.ok:
            raise unreachable(request)
        return owner

    # --- tunnels --------------------------------------------------------------------------------------

    def adopt(self, tunnel: Opened) -> bool:
        """A tunnel is to be opened from here, at once: ids go up in the order of openings. False says that it cannot be."""
        if self._phase is Phase.CLOSED or not self.bus.health.ok or self._count >= MOST_TUNNELS:
            return False
        try:
            peer = self._peers.of(tunnel.peer, self.engine.wheel.time())
        except PacketError:
            return False
        self._last += 1
        tunnel.id = self._last
        self._add(peer, tunnel)
        self._liveness.expect(tunnel, stranger=peer.heard is None)
        return True

    def doubt(self, tunnel: Opened) -> None:
        """The owner has been silent."""
        self._liveness.doubt(tunnel)

    def _add(self, peer: Peer, tunnel: Tunnel) -> None:
        peer.tunnels[tunnel.id] = tunnel
        self._count += 1
        self._liveness.begin()

    def forget(self, tunnel: Tunnel) -> None:
        """A tunnel has ended."""
        peer = self._peers.get(tunnel.peer)
        if peer is not None and peer.tunnels.pop(tunnel.id, None) is not None:
            self._count -= 1
            if not peer.tunnels and peer.heard is None:
                self._peers.forget(peer)

    def publish(self, peer: str, payload: bytes) -> None:
        """Send a frame."""
        self.bus.publish(self._channel(peer), payload)

    def _publish(self, peer: str, kind: Kind, tunnel: int = NO_TUNNEL, body: bytes = b"") -> None:
        self.publish(peer, encode(kind, self.node_id, tunnel, 0, body))

    def flush_soon(self, outflow: Outflow) -> None:
        """Flush at the end of the loop's turn."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(outflow)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for outflow in dirty:
            outflow.flush()

    # --- what comes -------------------------------------------------------------------------------------

    def receive(self, payload: bytes) -> None:
        """A frame of another node; what is none is counted and dropped."""
        try:
            self._take(decode(payload))
        except PacketError as error:
            self.bus.health.reject(error, self._channel(self.node_id))

    def _take(self, frame: Frame) -> None:
        peer = self._peers.get(frame.sender)
        if peer is not None:
            peer.heard, peer.probes = self.engine.wheel.time(), 0
        tunnel = None if peer is None else peer.tunnels.get(frame.tunnel)
        if frame.kind in LOOSE:
            self._take_loose(frame, peer, tunnel)
        elif frame.kind in OPENING:
            self._take_opening(frame)
        elif tunnel is not None:
            tunnel.receive(frame)
        elif frame.kind in {Kind.DATA, Kind.SYNC}:
            self._publish(frame.sender, Kind.UNKNOWN, frame.tunnel)

    def _take_loose(self, frame: Frame, peer: Peer | None, tunnel: Tunnel | None) -> None:
        if frame.kind is Kind.PROBE:
            self._publish(frame.sender, Kind.ALIVE)
        elif frame.kind is Kind.BYE and peer is not None:
            self._peers.lose(peer)
        elif frame.kind is Kind.UNKNOWN and tunnel is not None:
            tunnel.broken()

    def _take_opening(self, frame: Frame) -> None:
        now = self.engine.wheel.time()
        peer = self._peers.of(frame.sender, now)
        peer.heard = now
        if frame.number != 0 or frame.tunnel <= peer.highest or frame.sender == self.node_id:
            raise PacketError("a tunnel that has been opened before")
        peer.highest = frame.tunnel
        what = unpack(Asked, frame.body)
        if frame.kind is Kind.QUESTION:
            self._answer_question(frame, what)
        elif self._count >= MOST_TUNNELS:
            self._publish(frame.sender, Kind.REFUSED, frame.tunnel, pack(Refused(BAD_REQUEST, 503)))
        elif frame.kind is Kind.REQUEST:
            self._add(peer, Answering(self, frame.sender, frame.tunnel, what))
        else:
            carrier = TunnelCarrier(self, frame.sender, frame.tunnel)
            self._add(peer, carrier)
            carrier.join(what)

    def _answer_question(self, frame: Frame, what: Asked) -> None:
        request = rebuilt(what, self.engine.options.path, websocket=True)
        try:
            self.engine.session_of(request, websocket=True)
        except RequestRefused as error:
            self._publish(frame.sender, Kind.REFUSED, frame.tunnel, refused(error))
        else:
            self._publish(frame.sender, Kind.ACCEPTED, frame.tunnel)
