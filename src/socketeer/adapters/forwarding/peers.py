"""The other nodes that this one has to do with at the moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from socketeer.adapters.forwarding.tunnel import Tunnel
from socketeer.errors import PacketError

#: Seconds after which a node that nothing connects us with is forgotten.
FORGOTTEN_AFTER: Final = 600.0

#: Nodes at most: a forger could make up any number.
MOST: Final = 10_000


class Peer:
    """One other node.

    Attributes:
        heard: when it last said something; None where it never has.
        highest: of the tunnels that it has opened, the last one's id: an opening that comes again is no higher.
        probes: how often it has been asked whether it is there, since it was heard.
        tunnels: by their ids.
    """

    __slots__ = ("heard", "highest", "id", "probes", "tunnels", "used")

    def __init__(self, node_id: str, now: float) -> None:
        self.id = node_id
        self.heard: float | None = None
        self.used = now
        self.highest = 0
        self.probes = 0
        self.tunnels: dict[int, Tunnel] = {}


class Peers:
    """All of them, by their ids."""

    __slots__ = ("_peers",)

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}

    def __iter__(self) -> Iterator[Peer]:
        """Those of now: they may come and go meanwhile."""
        return iter(list(self._peers.values()))

    def __len__(self) -> int:
        return len(self._peers)

    def get(self, node_id: str) -> Peer | None:
        """A node that there is something with."""
        return self._peers.get(node_id)

    def of(self, node_id: str, now: float) -> Peer:
        """A node that there is to be something with.

        Raises:
            PacketError: there are too many.
        """
        peer = self._peers.get(node_id)
        if peer is None:
            if len(self._peers) >= MOST:
                self._make_room()
            peer = self._peers[node_id] = Peer(node_id, now)
        peer.used = now
        return peer

    def _make_room(self) -> None:
        idle = min(
            (peer for peer in self._peers.values() if not peer.tunnels),
            key=lambda peer: peer.used,
            default=None,
        )
        if idle is None:
            raise PacketError(f"more than {MOST} nodes")
        del self._peers[idle.id]

    def forget(self, peer: Peer) -> None:
        """There is nothing with it any more."""
        if self._peers.get(peer.id) is peer:
            del self._peers[peer.id]

    def lose(self, peer: Peer) -> None:
        """It has gone, with all of its tunnels."""
        for tunnel in list(peer.tunnels.values()):
            tunnel.broken()
        self.forget(peer)

    def sweep(self, now: float) -> None:
        """Forget those that there has been nothing with for long."""
        for peer in self:
            if not peer.tunnels and now - peer.used > FORGOTTEN_AFTER:
                self.forget(peer)
