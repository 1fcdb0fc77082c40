"""A cluster whose nodes know each other by their heartbeats, for brokers that cannot say who listens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from socketeer.adapters.cluster import ClusterAdapter
from socketeer.adapters.messages import EMITTER, Kind, Message
from socketeer.adapters.wire import Wire
from socketeer.checks import positive
from socketeer.engine.timers import Timer
from socketeer.errors import OptionError
from socketeer.server.adapter import AdapterHost

#: Seconds between looks for nodes that have fallen silent.
_SWEEP = 1.0

#: Nodes of one namespace, at most: a forger could make up any number.
_MAX_NODES = 10_000


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How the nodes of a cluster know that the others live."""

    interval: float = 5.0
    """Seconds between two messages of a node, at most."""
    timeout: float = 10.0
    """Seconds after which a silent node counts as gone."""

    def __post_init__(self) -> None:
        positive("heartbeat interval", self.interval)
        positive("heartbeat timeout", self.timeout)
        if self.timeout <= self.interval:
            raise OptionError(
                f"heartbeat timeout: expected more than the interval of {self.interval} s, got {self.timeout!r}"
            )


class HeartbeatAdapter(ClusterAdapter):
    """A cluster adapter that waits for exactly those nodes that live."""

    def __init__(
        self, nsp: AdapterHost, wire: Wire, requests_timeout: float, heartbeat: Heartbeat | None = None
    ) -> None:
        super().__init__(nsp, wire, requests_timeout)
        self._heartbeat = heartbeat or Heartbeat()
        self._nodes: dict[str, float] = {}
        """When each other node was last heard."""
        self._beat = Timer(self._send_heartbeat)
        self._sweep = Timer(self._drop_silent)

    def start(self) -> None:
        """Join the cluster, and say so."""
        if not self._open:
            super().start()
            self._tell(Kind.INITIAL_HEARTBEAT)
            self.nsp.wheel.set(self._beat, self._heartbeat.interval)
            self.nsp.wheel.set(self._sweep, _SWEEP)

    async def close(self) -> None:
        """Leave the cluster, and say so."""
        if self._open:
            self.nsp.wheel.clear(self._beat)
            self.nsp.wheel.clear(self._sweep)
            self._nodes.clear()
            self._tell(Kind.ADAPTER_CLOSE)
        await super().close()

    async def server_count(self) -> int:
        """This node and those that live."""
        return 1 + len(self._nodes)

    async def others(self) -> int | Collection[str]:
        """The ids of those that live."""
        return tuple(self._nodes)

    def hear(self, message: Message) -> None:
        """Another node has told something, so it lives."""
        uid, kind = message.uid, message.kind
        if kind == Kind.ADAPTER_CLOSE:
            self._gone(uid)
            return
        if uid != EMITTER and (uid in self._nodes or len(self._nodes) < _MAX_NODES):
            self._nodes[uid] = self.nsp.wheel.time()
        if kind == Kind.INITIAL_HEARTBEAT:
            self._send_heartbeat()
        else:
            super().hear(message)

    def _send_heartbeat(self) -> None:
        self._tell(Kind.HEARTBEAT)
        self.nsp.wheel.set(self._beat, self._heartbeat.interval)

    def _drop_silent(self) -> None:
        now = self.nsp.wheel.time()
        for uid, heard in list(self._nodes.items()):
            if now - heard > self._heartbeat.timeout:
                self._gone(uid)
        self.nsp.wheel.set(self._sweep, _SWEEP)

    def _gone(self, uid: str) -> None:
        if self._nodes.pop(uid, None) is not None:
            self.node_gone(uid)
