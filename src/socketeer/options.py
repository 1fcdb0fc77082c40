"""Frozen option groups: every default and its unit, validated once, when they are made.

Times are seconds, sizes are bytes. The names and the defaults are Socket.IO's
(https://socket.io/docs/v4/server-options/), spelled Python's way.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from socketeer.checks import group, positive, whole
from socketeer.errors import OptionError
from socketeer.web_options import Cookie, Cors, CorsFunction, OriginRule

__all__ = [
    "AllowRequest",
    "Backpressure",
    "Compression",
    "Cookie",
    "Cors",
    "CorsFunction",
    "EngineOptions",
    "Limits",
    "OriginRule",
    "PerMessageDeflate",
    "Recovery",
    "ServeClient",
    "ServerOptions",
    "TransportName",
]

log = logging.getLogger("socketeer")

TransportName = Literal["polling", "websocket"]

#: Called with the handshake request; returns True to accept, or False or a reason to refuse.
AllowRequest = Callable[[Any], "bool | str | Awaitable[bool | str | None] | None"]

#: True serves the browser client from the user's cache, a path from that folder, False not at all.
ServeClient = bool | str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Compression:
    """When answers to long-polling are compressed."""

    threshold: int = 1024
    """Bytes; a smaller answer goes out as it is."""
    level: int = 1
    """zlib's level: 0 (none) to 9 (smallest), -1 for zlib's own choice. The loop waits meanwhile."""
    mem_level: int = 8
    """zlib's memory level: 1 (least memory) to 9."""

    def __post_init__(self) -> None:
        whole("http_compression.threshold", self.threshold, least=0)
        whole("http_compression.level", self.level, least=-1, most=9)
        whole("http_compression.mem_level", self.mem_level, least=1, most=9)


@dataclass(frozen=True, slots=True)
class PerMessageDeflate:
    """How WebSocket messages are compressed (RFC 7692), for clients that offer ``permessage-deflate``.

    The names are those of npm's ``ws``. By default every message is compressed by itself: a
    connection then holds no memory for compression, and a broadcast is compressed once for all.
    """

    threshold: int = 1024
    """Bytes; a smaller message goes out as it is."""
    server_no_context_takeover: bool = True
    """False lets a message refer to those before it, unless the client asks otherwise: fewer bytes, but some
    250 kB for each connection, and a broadcast is compressed anew for each receiver."""
    client_no_context_takeover: bool = True
    """False lets the client's messages refer to those before them: some 40 kB for each connection."""
    server_max_window_bits: int | None = None
    """8 to 15: how far back a message may refer, as a power of two; refuses clients that ask for less.
    None: what the client asks for, 15 where it does not."""
    client_max_window_bits: int | None = None
    """The same for the client's messages; refuses clients that cannot be told (Firefox). None: theirs to say."""
    level: int = 1
    """zlib's level: 0 (none) to 9 (smallest), -1 for zlib's own choice. The loop waits meanwhile."""
    mem_level: int = 8
    """zlib's memory level: 1 (least memory) to 9."""

    def __post_init__(self) -> None:
        whole("per_message_deflate.threshold", self.threshold, least=0)
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(
                    f"per_message_deflate.{name}: expected True or False, got {getattr(self, name)!r}"
                )
        for name in ("server_max_window_bits", "client_max_window_bits"):
            if getattr(self, name) is not None:
                whole(f"per_message_deflate.{name}", getattr(self, name), least=8, most=15)
        whole("per_message_deflate.level", self.level, least=-1, most=9)
        whole("per_message_deflate.mem_level", self.mem_level, least=1, most=9)


@dataclass(frozen=True, slots=True)
class Backpressure:
    """When ``await socket.emit(...)`` waits, and when a consumer that never reads is let go."""

    high_water: int = 65_536
    """Bytes queued for one client above which awaiting an emit waits."""
    low_water: int = 16_384
    """Bytes queued at which the wait ends."""
    max_bytes: int = 16_777_216
    """Bytes queued at which the client is disconnected (reason ``transport error``)."""

    def __post_init__(self) -> None:
        for name in ("high_water", "low_water", "max_bytes"):
            whole(f"backpressure.{name}", getattr(self, name))
        if not 0 <= self.low_water <= self.high_water <= self.max_bytes:
            raise OptionError(
                "backpressure: expected 0 <= low_water <= high_water <= max_bytes, "
                f"got {self.low_water}, {self.high_water}, {self.max_bytes}"
            )


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may ask of the server. Each default serves ordinary clients with room to spare."""

    max_attachments: int = 10
    """Binary attachments of one packet, as in the official parser."""
    max_payload_packets: int = 10_000
    """Packets in one long-polling body."""
    max_fragments: int = 16_384
    """Fragments of one WebSocket message."""
    max_namespaces: int = 1_000
    """Namespaces joined, or waiting in middlewares, over one connection."""
    max_namespace_length: int = 1_024
    """Characters in the name of a namespace that is made because a client asks for it."""
    max_sessions: int | None = None
    """Connections at once; more are answered 503. None: no limit."""
    max_sessions_per_address: int | None = None
    """Connections at once from one address; more are answered 429. None: no limit (proxies share one)."""
    header_timeout: float = 10.0
    """Seconds a client may take to send the headers of a request; under ``io.run`` and ``io.serve``."""
    body_timeout: float = 30.0
    """Seconds a client may take to send one long-polling body."""
    attachment_timeout: float = 30.0
    """Seconds a client may take to send the attachments of one packet."""

    def __post_init__(self) -> None:
        whole("limits.max_attachments", self.max_attachments, least=0)
        for name in ("max_payload_packets", "max_fragments", "max_namespaces", "max_namespace_length"):
            whole(f"limits.{name}", getattr(self, name), least=1)
        for name in ("max_sessions", "max_sessions_per_address"):
            if getattr(self, name) is not None:
                whole(f"limits.{name}", getattr(self, name), least=1)
        for name in ("header_timeout", "body_timeout", "attachment_timeout"):
            positive(f"limits.{name}", getattr(self, name))


@dataclass(frozen=True, slots=True)
class Recovery:
    """Connection state recovery: what is kept of clients whose connection broke, and for how long.

    A client that comes back in time has its id, rooms and data again, and gets the events that it missed
    (https://socket.io/docs/v4/connection-state-recovery). What is kept is bounded for each namespace:
    beyond a bound the oldest goes, and a client that would have needed it starts afresh, so that
    nothing is ever missing in the middle.
    """

    max_disconnection_duration: float = 120.0
    """Seconds in which a client may come back."""
    skip_middlewares: bool = True
    """Whether a client that is recovered passes by the middlewares of ``io.use``."""
    max_sessions: int = 100_000
    """Clients that may come back, at most."""
    max_packets: int = 100_000
    """Events kept, at most."""
    max_bytes: int = 67_108_864
    """Bytes of the events kept, at most, with an estimate of what keeping each one costs."""

    def __post_init__(self) -> None:
        positive("connection_state_recovery.max_disconnection_duration", self.max_disconnection_duration)
        for name in ("max_sessions", "max_packets", "max_bytes"):
            whole(f"connection_state_recovery.{name}", getattr(self, name), least=1)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The options of the Engine.IO server (https://socket.io/docs/v4/server-options/#low-level-engine-options)."""

    path: str = "/socket.io"
    add_trailing_slash: bool = True
    transports: tuple[TransportName, ...] = ("polling", "websocket")
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    upgrade_timeout: float = 10.0
    max_http_buffer_size: int = 1_000_000
    allow_upgrades: bool = True
    allow_eio3: bool = False
    """Whether clients of Socket.IO 2 (Engine.IO 3) may connect too. Their ``socket.id`` is the session's id."""
    initial_packet: str | None = None
    cors: Cors | CorsFunction | None = None
    cookie: Cookie | None = None
    http_compression: Compression | None = field(default_factory=Compression)
    per_message_deflate: PerMessageDeflate | None = None
    allow_request: AllowRequest | None = None
    backpressure: Backpressure = field(default_factory=Backpressure)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in ("ping_interval", "ping_timeout", "upgrade_timeout"):
            positive(name, getattr(self, name))
        size: Any = self.max_http_buffer_size
        if isinstance(size, float) and size.is_integer():  # 1e6, as Socket.IO's own pages write it
            object.__setattr__(self, "max_http_buffer_size", int(size))
        whole("max_http_buffer_size", self.max_http_buffer_size, least=1)
        if not isinstance(self.path, str) or not self.path.startswith("/"):
            raise OptionError(f"path: expected a path such as '/socket.io', got {self.path!r}")
        object.__setattr__(self, "path", self.path.rstrip("/"))
        if not isinstance(self.add_trailing_slash, bool):
            raise OptionError(f"add_trailing_slash: expected True or False, got {self.add_trailing_slash!r}")
        if not isinstance(self.initial_packet, str | None):
            raise OptionError(f"initial_packet: expected text or None, got {self.initial_packet!r}")
        transports = tuple(self.transports) if isinstance(self.transports, Collection) else ()
        if not transports or any(each not in ("polling", "websocket") for each in transports):
            raise OptionError(f"transports: expected some of 'polling', 'websocket', got {self.transports!r}")
        object.__setattr__(self, "transports", transports)
        if isinstance(self.cors, type) or not callable(self.cors):
            object.__setattr__(self, "cors", group(Cors, "cors", self.cors))
        object.__setattr__(self, "cookie", group(Cookie, "cookie", self.cookie))
        object.__setattr__(
            self, "http_compression", group(Compression, "http_compression", self.http_compression)
        )
        object.__setattr__(
            self,
            "per_message_deflate",
            group(PerMessageDeflate, "per_message_deflate", self.per_message_deflate),
        )
        object.__setattr__(self, "limits", group(Limits, "limits", self.limits) or Limits())
        object.__setattr__(
            self, "backpressure", group(Backpressure, "backpressure", self.backpressure) or Backpressure()
        )
        if self.allow_request is not None and not callable(self.allow_request):
            raise OptionError(f"allow_request: expected a callable, got {self.allow_request!r}")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options of the Socket.IO layer above the engine."""

    connect_timeout: float = 45.0
    """Seconds after which a connection that has joined no namespace is closed."""
    cleanup_empty_child_namespaces: bool = False
    """Whether a dynamic namespace ends when its last client has gone."""
    connection_state_recovery: Recovery | None = None
    """What is kept of clients whose connection broke; None for nothing."""
    serve_client: ServeClient = True
    """Where the files for browsers come from."""

    def __post_init__(self) -> None:
        positive("connect_timeout", self.connect_timeout)
        if not isinstance(self.serve_client, (bool, str, os.PathLike)) or self.serve_client == "":
            raise OptionError(
                "serve_client: expected True (what `socketeer fetch-client` has fetched), False or a folder "
                f"such as 'node_modules/socket.io-client/dist', got {self.serve_client!r}"
            )
        recovery = group(Recovery, "connection_state_recovery", self.connection_state_recovery)
        object.__setattr__(self, "connection_state_recovery", recovery)
