"""This node among those that pass requests on to each other: it knows its tunnels, and the nodes at their other ends.

Each node listens on one channel of its own, ``<prefix>-node#<node id>#``. While there are tunnels, the
nodes at their ends ask each other now and then whether they are still there; otherwise nothing is sent
that no client has caused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from os import urandom
from typing import Any, Final

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
from socketeer.engine.http.message import Request, Response
from socketeer.engine.request import BAD_REQUEST, RequestRefused
from socketeer.engine.server import EngineServer
from socketeer.engine.timers import Timer
from socketeer.errors import BrokerUnavailable, PacketError
from socketeer.protocol.ids import generate_node_id

log = logging.getLogger("socketeer")

#: Seconds in which an owner says that it is at it, before one asks the broker whether it is there.
ACCEPT_TIMEOUT: Final = 1.0

#: The same where the broker knows of nobody by that name, which it may be about to learn.
STRANGER_TIMEOUT: Final = 0.25

#: Seconds that an owner which is there, but busy, may take to say so.
PATIENCE: Final = 10.0

#: Seconds between looks at the nodes at the other ends.
TICK: Final = 2.0

#: Seconds after which a silent node counts as gone, whatever the broker says.
DEAD_AFTER: Final = 15.0

#: Seconds that polls and answers have to end when the server ends.
FAREWELL: Final = 1.0

#: Tunnels at once, at most.
MOST_TUNNELS: Final = 100_000


class Forwarding:
    """Passes on what lands here and belongs elsewhere, and answers what others pass on.

    Implements :class:`~socketeer.engine.relay.Relay`.

    Args:
        engine: the server whose sessions are ours.
        bus: reaches the other nodes.
        prefix: what the names of the channels begin with.
    """

    def __init__(self, engine: EngineServer, bus: Bus, prefix: str) -> None:
        self.engine = engine
        self.bus = bus
        self.node_id = generate_node_id()
        self.chunk = min(CHUNK, bus.max_message_size - HEAD_SIZE)
        self._prefix = prefix
        self._peers = Peers()
        self._count = 0
        """How many tunnels there are."""
        self._last = int.from_bytes(urandom(7), "big")
        """The id of the tunnel that was opened last. A node that starts anew has another id itself."""
        self._dirty: list[Outflow] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False
        self._reconnections = 0
        self._timer = Timer(self._tick)

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; from here on new sessions' ids name this node."""
        self._open = True
        self.bus.start()
        self.bus.subscribe(self._channel(self.node_id), self.receive)
        self._reconnections = self.bus.health.reconnections
        self.engine.join_cluster(self.node_id, self)

    async def leave(self) -> None:
        """Before the sessions end: pass nothing on any more, and have the polls that wait here answered."""
        if not self._open:
            return
        self._open = False
        self.engine.join_cluster(self.node_id, None)
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
        answers = [
            each.task for peer in self._peers for each in peer.tunnels.values() if isinstance(each, Answering)
        ]
        if answers:
            await asyncio.wait(answers, timeout=FAREWELL)
        self._flush()
        for peer in self._peers:
            self._publish(peer.id, Kind.BYE)
            self._lose(peer)
        self.engine.wheel.clear(self._timer)
        for task in self._tasks:
            task.cancel()
        self.bus.unsubscribe(self._channel(self.node_id), self.receive)
        await self.bus.close()

    def _channel(self, node_id: str) -> str:
        return f"{self._prefix}-node#{node_id}#"

    # --- what lands here ----------------------------------------------------------------------------

    def reaches(self, request: Request) -> bool:
        """Whether the request's ``sid`` names another node."""
        sid = request.query.get("sid")
        if not self._open or sid is None or "sid" in request.repeated:
            return False
        return owner_of(sid) not in {None, self.node_id}

    async def request(self, request: Request) -> Response:
        """Have the owner answer."""
        owner, follows, body = self._owner(request), not fits(request, self.chunk // 2), b""
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
        tunnel = Asking(self, owner, self._next(), request, 2 * marks.max_bytes + CHUNK, follows)
        if not self.adopt(tunnel):
            raise self._unreachable(request)
        tunnel.tell(Kind.REQUEST, pack(asked(request, body, follows)))
        if failed:
            tunnel.leave()  # for the owner, a client that has gone in the middle of it
            return Response(failed)
        return await tunnel.answered()

    async def upgrade(self, request: Request) -> Bridge:
        """Have the owner agree."""
        owner, what = self._owner(request), asked(request)
        question = Question(self, owner, self._next(), request)
        if not self.adopt(question):
            raise self._unreachable(request)
        question.tell(Kind.QUESTION, pack(what))
        await question.agreed()
        return Bridge(self, owner, self._next(), request, what)

    def _owner(self, request: Request) -> str:
        owner = owner_of(request.query["sid"])
        if owner is None or not self.bus.health.ok:
            raise self._unreachable(request)
        return owner

    def _unreachable(self, request: Request) -> RequestRefused:
        """Not code 1: the session may be there. Official clients connect anew in either case."""
        return RequestRefused(BAD_REQUEST, {"name": "NODE_UNREACHABLE"}, request, 503)

    def _next(self) -> int:
        self._last += 1
        return self._last

    # --- tunnels --------------------------------------------------------------------------------------

    def adopt(self, tunnel: Opened) -> bool:
        """A tunnel is about to be opened from here; False says that it cannot be."""
        if not self._open or not self.bus.health.ok or self._count >= MOST_TUNNELS:
            return False
        try:
            peer = self._peers.of(tunnel.peer, self.engine.wheel.time())
        except PacketError:
            return False
        self._add(peer, tunnel)
        self.engine.wheel.set(tunnel.patience, ACCEPT_TIMEOUT)
        if peer.heard is None:
            self._later(self._look_for(tunnel))
        return True

    def _add(self, peer: Peer, tunnel: Tunnel) -> None:
        peer.tunnels[tunnel.id] = tunnel
        self._count += 1
        if self._timer.tick < 0:
            self.engine.wheel.set(self._timer, TICK)

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
            self._lose(peer)
        elif frame.kind is Kind.UNKNOWN and tunnel is not None:
            tunnel.broken()

    def _take_opening(self, frame: Frame) -> None:
        now = self.engine.wheel.time()
        peer = self._peers.of(frame.sender, now)
        peer.heard = now
        if frame.number != 0 or frame.tunnel <= peer.highest or frame.sender == self.node_id:
            raise PacketError("a tunnel that has been opened before")
        peer.highest = frame.tunnel
        if frame.kind is Kind.QUESTION:
            self._answer_question(frame)
        elif self._count >= MOST_TUNNELS:
            self._publish(frame.sender, Kind.REFUSED, frame.tunnel, pack(Refused(BAD_REQUEST, 503)))
        elif frame.kind is Kind.REQUEST:
            self._add(peer, Answering(self, frame.sender, frame.tunnel, frame.body))
        else:
            carrier = TunnelCarrier(self, frame.sender, frame.tunnel)
            self._add(peer, carrier)
            carrier.join(frame.body)

    def _answer_question(self, frame: Frame) -> None:
        request = rebuilt(unpack(Asked, frame.body), self.engine.options.path, websocket=True)
        try:
            self.engine.session_of(request, websocket=True)
        except RequestRefused as error:
            self._publish(frame.sender, Kind.REFUSED, frame.tunnel, refused(error))
        else:
            self._publish(frame.sender, Kind.ACCEPTED, frame.tunnel)

    # --- whether the others are there -----------------------------------------------------------------

    def _later(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listens(self, node_id: str) -> bool | None:
        """Whether anybody listens to a node's channel; None where the bus cannot tell.

        Raises:
            BrokerUnavailable: it is away.
        """
        try:
            return await self.bus.subscribers(self._channel(node_id)) > 0
        except BrokerUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a bus need not know
            log.debug("the bus does not know who listens: %r", error)
            return None

    async def _look_for(self, tunnel: Opened) -> None:
        """Nobody has heard of this owner: most likely there is none, and the client should not wait for it."""
        try:
            listens = await self._listens(tunnel.peer)
        except BrokerUnavailable:
            return
        if listens is False and not tunnel.accepted and not tunnel.ended:
            self.engine.wheel.set(tunnel.patience, STRANGER_TIMEOUT)

    def doubt(self, tunnel: Opened) -> None:
        """The owner has been silent."""
        self._later(self._doubt(tunnel))

    async def _doubt(self, tunnel: Opened) -> None:
        try:
            listens = await self._listens(tunnel.peer)
        except BrokerUnavailable:
            tunnel.refuse(self._unreachable(tunnel.request))
            return
        if tunnel.accepted or tunnel.ended:
            return
        peer = self._peers.get(tunnel.peer)
        if listens is None:
            listens = peer is not None and peer.heard is not None
        tunnel.doubts += 1
        if listens and tunnel.doubts == 1:
            self.engine.wheel.set(tunnel.patience, PATIENCE)
            return
        tunnel.broken()
        if not listens and peer is not None:
            self._lose(peer)

    def _tick(self) -> None:
        now, reconnections = self.engine.wheel.time(), self.bus.health.reconnections
        if reconnections != self._reconnections and self.bus.health.ok:
            self._reconnections = reconnections
            self._synchronise()
        for peer in self._peers:
            if peer.tunnels and peer.heard is not None:
                self._mind(peer, now - peer.heard)
        self._peers.sweep(now)
        if len(self._peers):
            self.engine.wheel.set(self._timer, TICK)

    def _synchronise(self) -> None:
        """The link has been away: have every tunnel find out whether it has lost something."""
        for peer in self._peers:
            for tunnel in list(peer.tunnels.values()):
                tunnel.tell(Kind.SYNC)

    def _mind(self, peer: Peer, silence: float) -> None:
        if silence > DEAD_AFTER:
            self._lose(peer)
        elif silence >= TICK:
            self._publish(peer.id, Kind.PROBE)
            peer.probes += 1
            if peer.probes > 1:
                self._later(self._check(peer))

    async def _check(self, peer: Peer) -> None:
        try:
            listens = await self._listens(peer.id)
        except BrokerUnavailable:
            return
        if listens is False and peer.probes > 1:
            self._lose(peer)

    def _lose(self, peer: Peer) -> None:
        """It has gone, with all of its tunnels."""
        for tunnel in list(peer.tunnels.values()):
            tunnel.broken()
        self._peers.forget(peer)
