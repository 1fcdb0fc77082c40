"""Whether the nodes at the other ends of tunnels are there: they are asked, and so is the broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from socketeer.adapters.bus import Bus
from socketeer.adapters.forwarding.frames import Kind
from socketeer.adapters.forwarding.peers import Peer, Peers
from socketeer.adapters.forwarding.tunnel import Opened
from socketeer.engine.http.message import Request
from socketeer.engine.request import BAD_REQUEST, RequestRefused
from socketeer.engine.server import EngineServer
from socketeer.engine.timers import Timer
from socketeer.errors import BrokerUnavailable

log = logging.getLogger("socketeer")

#: Seconds in which an owner says that it is at it, before one asks the broker whether it is there.
ACCEPT_TIMEOUT: Final = 1.0

#: The same where the broker knows of nobody by that name, which it may be about to learn.
STRANGER_TIMEOUT: Final = 0.25

#: Seconds that an owner which is there, but busy, may take to say so.
PATIENCE: Final = 10.0

#: The same where the broker cannot tell whether it is there, but this node has heard of it.
UNSURE_PATIENCE: Final = 3.0

#: Seconds between looks at the nodes at the other ends.
TICK: Final = 2.0

#: Seconds after which a silent node counts as gone, whatever the broker says.
DEAD_AFTER: Final = 15.0


def unreachable(request: Request) -> RequestRefused:
    """The refusal where the owner cannot be asked.

    Not code 1: the session may be there. Official clients connect anew in either case.
    """
    return RequestRefused(BAD_REQUEST, {"name": "NODE_UNREACHABLE"}, request, 503)


class Liveness:
    """Minds the nodes that there are tunnels with.

    Args:
        engine: gives the time.
        bus: says who listens, and whether it has been away.
        peers: the nodes.
        channel: the name of a node's channel.
        say: sends a frame without a tunnel.
    """

    def __init__(
        self,
        engine: EngineServer,
        bus: Bus,
        peers: Peers,
        channel: Callable[[str], str],
        say: Callable[[str, Kind], None],
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._peers = peers
        self._channel = channel
        self._say = say
        self._tasks: set[asyncio.Task[None]] = set()
        self._reconnections = bus.health.reconnections
        self._timer = Timer(self._tick)

    def begin(self) -> None:
        """There are tunnels to mind."""
        if self._timer.tick < 0:
            self._engine.wheel.set(self._timer, TICK)

    def end(self) -> None:
        """Nobody is minded any more."""
        self._engine.wheel.clear(self._timer)
        for task in self._tasks:
            task.cancel()

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
            return await self._bus.subscribers(self._channel(node_id)) > 0
        except Exception as error:
            if not self._bus.health.ok:
                raise BrokerUnavailable(f"{self._bus.health.name}: {error}") from error
            log.debug("the bus does not know who listens: %r", error)
            return None

    # --- an owner that is asked for something -------------------------------------------------------

    def expect(self, tunnel: Opened, stranger: bool) -> None:
        """The owner is to say a word soon; nobody has heard of it before if it is a ``stranger``."""
        self._engine.wheel.set(tunnel.patience, ACCEPT_TIMEOUT)
        if stranger:
            self._later(self._look_for(tunnel))

    async def _look_for(self, tunnel: Opened) -> None:
        """Most likely there is no such node, and the client should not wait for it."""
        try:
            listens = await self._listens(tunnel.peer)
        except BrokerUnavailable:
            return
        if listens is False and not tunnel.accepted and not tunnel.ended:
            self._engine.wheel.set(tunnel.patience, STRANGER_TIMEOUT)

    def doubt(self, tunnel: Opened) -> None:
        """The owner has been silent."""
        self._later(self._doubt(tunnel))

    async def _doubt(self, tunnel: Opened) -> None:
        try:
            listens = await self._listens(tunnel.peer)
        except BrokerUnavailable:
            tunnel.refuse(unreachable(tunnel.request))
            return
        if tunnel.accepted or tunnel.ended:
            return
        peer = self._peers.get(tunnel.peer)
        patience = PATIENCE
        if listens is None:
            listens = peer is not None and peer.heard is not None
            patience = UNSURE_PATIENCE
        tunnel.doubts += 1
        if listens and tunnel.doubts == 1:
            self._engine.wheel.set(tunnel.patience, patience)
            return
        tunnel.broken()
        if not listens and peer is not None:
            self._peers.lose(peer)

    # --- nodes that have been heard -----------------------------------------------------------------

    def _tick(self) -> None:
        now, health = self._engine.wheel.time(), self._bus.health
        if health.reconnections != self._reconnections and health.ok:
            self._reconnections = health.reconnections
            self._synchronise()
        for peer in self._peers:
            if peer.tunnels and peer.heard is not None:
                self._mind(peer, now - peer.heard)
        self._peers.sweep(now)
        if len(self._peers):
            self._engine.wheel.set(self._timer, TICK)

    def _synchronise(self) -> None:
        """The link has been away: have every tunnel find out whether it has lost something."""
        for peer in self._peers:
            for tunnel in list(peer.tunnels.values()):
                tunnel.tell(Kind.SYNC)

    def _mind(self, peer: Peer, silence: float) -> None:
        if silence > DEAD_AFTER:
            self._peers.lose(peer)
        elif silence >= TICK:
            self._say(peer.id, Kind.PROBE)
            peer.probes += 1
            if peer.probes > 1:
                self._later(self._check(peer))

    async def _check(self, peer: Peer) -> None:
        try:
            listens = await self._listens(peer.id)
        except BrokerUnavailable:
            return
        if listens is False and peer.probes > 1:
            self._peers.lose(peer)
