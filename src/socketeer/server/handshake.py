"""What a client said when it connected (https://socket.io/docs/v4/server-socket-instance/#sockethandshake)."""

from __future__ import annotations

import time as clock
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from socketeer.engine.http.message import Request

# Not strftime's names, which follow the locale.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(slots=True, eq=False)
class Handshake:
    """The handshake of one socket: the first HTTP request's details, and the CONNECT packet's ``auth``."""

    request: Request = field(repr=False)
    auth: dict[str, Any]
    """The ``auth`` option of the client; empty where there was none."""
    issued: int = field(default_factory=lambda: int(clock.time() * 1000))
    """When it was made: milliseconds since 1970."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the first request, by lower-case name."""
        return self.request.headers

    @property
    def query(self) -> dict[str, str]:
        """The query of the first request, Engine.IO's own parameters included."""
        return self.request.query

    @property
    def url(self) -> str:
        """Path and query string of the first request."""
        return self.request.url

    @property
    def address(self) -> str:
        """The client's address, without the port."""
        return self.request.address

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.request.secure

    @property
    def xdomain(self) -> bool:
        """Whether the request named an origin."""
        return "origin" in self.request.headers

    @property
    def time(self) -> str:
        """When it was made, as JavaScript writes a date."""
        stamp = datetime.fromtimestamp(self.issued / 1000, UTC)
        day = f"{_DAYS[stamp.weekday()]} {_MONTHS[stamp.month - 1]} {stamp:%d %Y %H:%M:%S}"
        return f"{day} GMT+0000 (Coordinated Universal Time)"
