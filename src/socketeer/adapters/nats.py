"""NATS: the adapter, on core NATS. The format is ours: ``docs/reference/nats-format.md``.

https://docs.nats.io/nats-concepts/core-nats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.bus import Bus
from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.heartbeat import Heartbeat, HeartbeatAdapter
from socketeer.adapters.nats_bus import LOCAL, MAX_MESSAGE, MAX_TOKEN, NatsBus, NatsServer, is_subject, token
from socketeer.checks import positive
from socketeer.errors import OptionError
from socketeer.server.adapter import AdapterHost


class NatsWire(ChannelWire):
    """One namespace's messages on ``<prefix>.all.<namespace>`` and ``<prefix>.node.<namespace>.<node>``.

    Args:
        bus: what moves the bytes.
        nsp: the namespace.
        prefix: of all subjects.
    """

    def __init__(self, bus: Bus, nsp: str, prefix: str) -> None:
        super().__init__(bus, nsp, prefix)
        self.channel = f"{prefix}.all.{token(nsp)}"
        self._nodes = f"{prefix}.node.{token(nsp)}"

    def _own(self, uid: str) -> str:
        return f"{self._nodes}.{token(uid)}"


class NatsAdapter:
    """Reaches other nodes through NATS.

    ``Server(adapter=NatsAdapter("nats://..."))``; one object for each server.

    Args:
        server: a URL, several of one cluster, or a ``nats.aio.client.Client`` that has connected: its settings
            are taken, and its connection is left alone.
        prefix: what all subjects begin with.
        requests_timeout: seconds to wait for other nodes where the call does not say.
        heartbeat: how the nodes know that the others live.
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
        connect: Mapping[str, Any] | None = None,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        positive("requests_timeout", requests_timeout)
        if len(prefix) > MAX_TOKEN or not is_subject(prefix):
            raise OptionError(
                f"prefix: expected letters, digits, dashes and single dots in between, got {prefix!r:.300}"
            )
        self.bus = NatsBus(server, connect=connect, link=link, max_message_size=max_message_size)
        self._prefix = prefix
        self._patience = requests_timeout
        self._heartbeat = heartbeat

    def wire(self, nsp: str, bus: Bus) -> NatsWire:
        """The format of one namespace, over this bus."""
        return NatsWire(bus, nsp, self._prefix)

    def __call__(self, nsp: AdapterHost) -> HeartbeatAdapter:
        """The adapter of a namespace."""
        return HeartbeatAdapter(nsp, self.wire(nsp.name, self.bus), self._patience, self._heartbeat)
