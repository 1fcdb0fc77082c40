"""What is the same for all connections of one uvicorn: found out with the first of them."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from uvicorn.config import Config

from socketeer.engine.timers import Patience, TimerWheel
from socketeer.integrations.uvicorn_direct import Direct, direct_of
from socketeer.integrations.uvicorn_websocket import WebSocketProtocol

_KEY: Final = "socketeer.site"


class Awaited(Protocol):
    """A connection whose request has to come."""

    transport: asyncio.Transport


class Site:
    """What a uvicorn serves, and how."""

    __slots__ = ("_header_timeout", "_patience", "_patience_loop", "direct", "websocket")

    def __init__(self, config: Config, header_timeout: float) -> None:
        if not config.loaded:
            config.load()
        self.direct: Final[Direct | None] = direct_of(config)
        """The short way, if there is one."""
        kind: Any = config.ws_protocol_class
        ours = isinstance(kind, type) and issubclass(kind, WebSocketProtocol)
        self.websocket: Final[type[WebSocketProtocol] | None] = kind if ours else None
        """What takes handshakes; None where it is none of ours."""
        self._header_timeout = header_timeout
        self._patience: Patience | None = None
        self._patience_loop: asyncio.AbstractEventLoop | None = None

    def patience(self, loop: asyncio.AbstractEventLoop) -> Patience:
        """With connections whose request has not come yet."""
        if self._patience is None or self._patience_loop is not loop:
            self._patience = Patience(TimerWheel(loop), self._header_timeout, _abort)
            self._patience_loop = loop
        return self._patience


def _abort(connection: Awaited) -> None:
    connection.transport.abort()


def site_of(config: Config, header_timeout: float) -> Site:
    """What a configuration comes to, kept with it."""
    kept: dict[str, Any] = vars(config)
    site: Site | None = kept.get(_KEY)
    if site is None:
        site = kept[_KEY] = Site(config, header_timeout)
    return site
