"""The client's frozen option groups: every default and its unit, validated once, when they are made.

Times are seconds, sizes are bytes. The names and the defaults are those of the official client
(https://socket.io/docs/v4/client-options/), spelled Python's way.
"""

from __future__ import annotations

import math
import re
import ssl as tls
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from socketeer.checks import group
from socketeer.errors import OptionError
from socketeer.options import Backpressure, Limits, TransportName

__all__ = ["Auth", "ConnectOptions", "ReconnectOptions", "SocketOptions"]

#: What is sent when a namespace is joined: a mapping, or a function that gives one, asked each time.
Auth = Mapping[str, Any] | Callable[[], "Mapping[str, Any] | Awaitable[Mapping[str, Any]]"]


def _number(name: str, value: float, least: float = 0.0) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
        raise OptionError(f"{name}: expected a number, {least:g} or more, got {value!r}")


#: RFC 9110 sections 5.1 and 5.5: anything else would end the header, or the request.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_PROXIES: Final = ("http", "https", "socks5", "socks5h")


def _strings(name: str, value: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise OptionError(f"{name}: expected a mapping of strings, got {value!r}")
    strings = {}
    for key, each in value.items():
        if not isinstance(key, str) or not isinstance(each, (str, int, float)) or isinstance(each, bool):
            raise OptionError(f"{name}: expected strings or numbers, got {key!r}: {each!r}")
        strings[key] = _sendable(f"{name}[{key!r}]", str(each))
    return strings


def _sendable(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise OptionError(f"{name}: expected text, got half of a surrogate pair in {text!r}") from None
    return text


def _headers(name: str, value: Mapping[str, Any]) -> dict[str, str]:
    headers = {key: each.strip() for key, each in _strings(name, value).items()}
    for key, each in headers.items():
        if not _HEADER_NAME.fullmatch(key) or not _HEADER_VALUE.fullmatch(each):
            # The value may be a secret: it is not shown.
            raise OptionError(f"{name}: expected a header's name and a value in one line, at {key!r}")
    return headers


def _proxy(proxy: Any) -> None:
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in _PROXIES and parts.hostname and (parts.port is None or parts.port > 0)
    except (ValueError, AttributeError, TypeError):
        usable = False
    if not isinstance(proxy, str) or not usable:
        raise OptionError(
            f"proxy: expected a URL such as 'socks5://host:1080' ({', '.join(_PROXIES)}), got {proxy!r}"
        )


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """How one Engine.IO connection is made."""

    path: str = "/socket.io"
    """Where the server answers, below the root of the host."""
    transports: tuple[TransportName, ...] = ("polling", "websocket")
    """Which ones may be used; the first is tried first."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the first request's query, and of all others."""
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every request and of the WebSocket handshake. A redirect to another host leaves them behind."""
    upgrade: bool = True
    """Whether to move from long-polling to WebSocket."""
    remember_upgrade: bool = False
    """Whether to begin with WebSocket where the last connection got as far."""
    try_all_transports: bool = False
    """Whether to try the next transport where the first cannot connect."""
    ssl: tls.SSLContext | bool = True
    """A context for TLS; True for the default one, False to check no certificate."""
    proxy: str | None = None
    """``http://``, ``https://`` or ``socks5://``; None for what the environment says (``HTTPS_PROXY`` and its like)."""
    force_base64: bool = False
    """Whether binary goes as text over WebSocket, too."""
    max_message_size: int = 100_000_000
    """Bytes of one message from the server, at most."""
    backpressure: Backpressure = field(default_factory=Backpressure)
    """Water marks of the outgoing queue."""
    limits: Limits = field(default_factory=Limits)
    """What the server may ask of the client."""

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not re.fullmatch(r"/[^?#\x00-\x20\x7f]*", self.path):
            raise OptionError(f"path: expected a path such as '/socket.io', got {self.path!r}")
        object.__setattr__(self, "path", _sendable("path", self.path).rstrip("/"))
        transports = tuple(self.transports) if isinstance(self.transports, Collection) else ()
        if not transports or any(each not in ("polling", "websocket") for each in transports):
            raise OptionError(f"transports: expected some of 'polling', 'websocket', got {self.transports!r}")
        object.__setattr__(self, "transports", transports)
        object.__setattr__(self, "query", _strings("query", self.query))
        object.__setattr__(self, "extra_headers", _headers("extra_headers", self.extra_headers))
        for name in ("upgrade", "remember_upgrade", "try_all_transports", "force_base64"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name}: expected True or False, got {getattr(self, name)!r}")
        if not isinstance(self.ssl, (bool, tls.SSLContext)):
            raise OptionError(f"ssl: expected an ssl.SSLContext, True or False, got {self.ssl!r}")
        if self.proxy is not None:
            _proxy(self.proxy)
        _number("max_message_size", self.max_message_size, 1)
        object.__setattr__(self, "max_message_size", int(self.max_message_size))
        object.__setattr__(
            self, "backpressure", group(Backpressure, "backpressure", self.backpressure) or Backpressure()
        )
        object.__setattr__(self, "limits", group(Limits, "limits", self.limits) or Limits())


@dataclass(frozen=True, slots=True)
class ReconnectOptions:
    """When and how often to connect again (https://socket.io/docs/v4/client-options/#reconnection)."""

    reconnection: bool = True
    reconnection_attempts: float = math.inf
    """How often, before ``reconnect_failed``."""
    reconnection_delay: float = 1.0
    """Seconds before the first attempt; each further one waits twice as long."""
    reconnection_delay_max: float = 5.0
    """Seconds that no wait exceeds."""
    randomization_factor: float = 0.5
    """How far a wait is moved at random: 0.5 is half of it, up or down."""
    timeout: float | None = 20.0
    """Seconds that one attempt to connect may take; None for as long as it needs."""

    def __post_init__(self) -> None:
        attempts: Any = self.reconnection_attempts
        if isinstance(attempts, bool) or not isinstance(attempts, (int, float)) or attempts < 0:
            raise OptionError(f"reconnection_attempts: expected a whole number or math.inf, got {attempts!r}")
        _number("reconnection_delay", self.reconnection_delay)
        _number("reconnection_delay_max", self.reconnection_delay_max)
        _number("randomization_factor", self.randomization_factor)
        if self.randomization_factor > 1:
            raise OptionError(
                f"randomization_factor: expected a number from 0 to 1, got {self.randomization_factor!r}"
            )
        if self.timeout is not None:
            _number("timeout", self.timeout)


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """How events are delivered (https://socket.io/docs/v4/client-options/#socket-options)."""

    auth: Auth | None = None
    retries: int | None = None
    """How often an event is sent again that nobody acknowledged: at least once, in order. None: never."""
    ack_timeout: float | None = None
    """Seconds to wait for an acknowledgement, where a call does not say. None: as long as the connection lives."""

    def __post_init__(self) -> None:
        if self.auth is not None and not isinstance(self.auth, Mapping) and not callable(self.auth):
            raise OptionError(f"auth: expected a mapping or a function that gives one, got {self.auth!r}")
        if self.retries is not None:
            _number("retries", self.retries)
        if self.ack_timeout is not None:
            _number("ack_timeout", self.ack_timeout)
