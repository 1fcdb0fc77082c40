"""NATS: the adapter, on core NATS, or with JetStream, which keeps what clients miss that come back.

https://docs.nats.io/nats-concepts/overview. The format is ours: ``docs/reference/nats-format.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.bus import Bus
from socketeer.adapters.heartbeat import Heartbeat, HeartbeatAdapter
from socketeer.adapters.nats_bus import LOCAL, MAX_MESSAGE, MAX_TOKEN, NatsBus, NatsServer, is_subject, token
from socketeer.adapters.nats_jetstream import JetStream, JetStreamBus
from socketeer.adapters.nats_wire import JetStreamWire, NatsWire
from socketeer.adapters.recovering import RecoveringClusterAdapter
from socketeer.checks import group, positive
from socketeer.errors import OptionError
from socketeer.server.adapter import AdapterHost


class _RecoveringNatsAdapter(RecoveringClusterAdapter, HeartbeatAdapter):
    """A node whose broadcasts are kept, and which knows the others by their heartbeats."""

    def __init__(
        self, nsp: AdapterHost, wire: JetStreamWire, requests_timeout: float, heartbeat: Heartbeat | None
    ) -> None:
        super().__init__(nsp, wire, requests_timeout)
        self._heartbeat = heartbeat or self._heartbeat


class NatsAdapter:
    """Reaches other nodes through NATS.

    ``Server(adapter=NatsAdapter("nats://..."))``; one object for each server.

    Args:
        server: a URL, several of one cluster, or a ``nats.aio.client.Client`` that has connected: its settings
            are taken, and its connection is left alone.
        prefix: what all subjects begin with.
        requests_timeout: seconds to wait for other nodes where the call does not say.
        heartbeat: how the nodes know that the others live.
        forwarding: whether nodes pass requests of each other's sessions on; False where a proxy keeps clients
            at their node (sticky sessions).
        jetstream: what JetStream keeps, so that sessions are recovered on whichever node their clients come
            back to; False: nothing. The same on all nodes, and for emitters.
        connect: more arguments of ``nats.connect``: credentials, TLS.
        link: how the link to NATS is looked after.
        max_message_size: bytes of one message; the server's ``max_payload`` holds besides.

    Raises:
        OptionError: an option is wrong.
        ImportError: nats-py is missing.
    """

    def __init__(
        self,
        server: NatsServer = LOCAL,
        prefix: str = "socket.io",
        requests_timeout: float = 5.0,
        *,
        heartbeat: Heartbeat | None = None,
        forwarding: bool = True,
        jetstream: JetStream | Mapping[str, Any] | bool = False,
        connect: Mapping[str, Any] | None = None,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        positive("requests_timeout", requests_timeout)
        if len(prefix) > MAX_TOKEN or not is_subject(prefix):
            raise OptionError(
                f"prefix: expected letters, digits, dashes and single dots in between, got {prefix!r:.300}"
            )
        kept: JetStream | None = group(JetStream, "jetstream", jetstream)
        link_options: dict[str, Any] = {
            "connect": connect,
            "link": link,
            "max_message_size": max_message_size,
        }
        self.bus: NatsBus
        self._log: JetStreamBus | None = None
        if kept is None:
            self.bus = NatsBus(server, **link_options)
        else:
            self.bus = self._log = JetStreamBus(prefix, kept, server, **link_options)
        self.prefix = prefix
        self.forwarding = forwarding
        self._patience = requests_timeout
        self._heartbeat = heartbeat

    def node_channel(self, node_id: str) -> str:
        """Where a node hears what others pass on to it: below the prefix, as all else."""
        return f"{self.prefix}.forward.{token(node_id)}"

    def wire(self, nsp: str, bus: Bus) -> NatsWire:
        """The format of one namespace, over this bus."""
        return NatsWire(bus, nsp, self.prefix) if self._log is None else JetStreamWire(bus, nsp, self._log)

    def __call__(self, nsp: AdapterHost) -> HeartbeatAdapter:
        """The adapter of a namespace."""
        log = self._log
        if log is None:
            wire = NatsWire(self.bus, nsp.name, self.prefix)
            return HeartbeatAdapter(nsp, wire, self._patience, self._heartbeat)
        absence = 0 if nsp.recovery is None else nsp.recovery.max_disconnection_duration
        if absence > log.jetstream.max_age:
            raise OptionError(
                f"jetstream max_age: expected at least the {absence} s that clients may be away "
                f"(connection_state_recovery), got {log.jetstream.max_age}"
            )
        return _RecoveringNatsAdapter(nsp, JetStreamWire(log, nsp.name, log), self._patience, self._heartbeat)
