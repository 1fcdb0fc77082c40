"""Socketeer under uvicorn: its server with our classes, and what those are called.

:class:`WebSocketProtocol` and :class:`HttpProtocol` are uvicorn's own protocols with additions: a WebSocket of ours is
handed over, so that its frames bypass ASGI, and ordinary requests below the engine's path are answered without it.
What other applications serve is served as uvicorn does.

Use them by ``io.run``, ``io.serve``, ``socketeer run``, or ``uvicorn app:app --ws
socketeer.integrations.uvicorn:WebSocketProtocol --http socketeer.integrations.uvicorn:HttpProtocol``; each also
alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from socketeer.engine.carriers.choice import carrier_name
from socketeer.integrations.asgi import CLOSERS
from socketeer.integrations.uvicorn_accept import accept_directly, to_listen_on
from socketeer.integrations.uvicorn_http import HttpProtocol
from socketeer.integrations.uvicorn_websocket import WebSocketProtocol

__all__ = ["HttpProtocol", "Server", "WebSocketProtocol", "make_config"]


class Server(uvicorn.Server):
    """A uvicorn server that tells when it listens and closes the Socket.IO sessions before it waits for requests."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[list[str]], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening
        self._closers: set[Callable[[], Awaitable[None]]] = set()
        """Of the Socket.IO servers that have been asked for, wherever in the application they are."""

    async def startup(self, sockets: Any = None) -> None:
        """As uvicorn's; then the addresses are known."""
        self.lifespan.state[CLOSERS] = self._closers
        await super().startup(to_listen_on(sockets))
        if self.started:
            self.servers = accept_directly(self.servers, self.config, self.server_state, self.lifespan.state)
            self._on_listening(self._urls())

    def _urls(self) -> list[str]:
        scheme = "https" if self.config.is_ssl else "http"
        urls = []
        for server in self.servers:
            for sock in server.sockets:
                name = sock.getsockname()
                if isinstance(name, tuple):
                    host = f"[{name[0]}]" if ":" in name[0] else name[0]
                    urls.append(f"{scheme}://{host}:{name[1]}")
                else:
                    urls.append(f"unix:{name}")
        return urls

    async def main_loop(self) -> None:
        """As uvicorn's; but who cancels it wants a server that has ended, not one that still listens."""
        try:
            await super().main_loop()
        except asyncio.CancelledError:
            await self.shutdown()
            raise

    async def shutdown(self, sockets: Any = None) -> None:
        """Polls that wait would hold the shutdown up for as long as a heartbeat."""
        self.should_exit = True
        for close in tuple(self._closers):
            await close()
        await super().shutdown(sockets)


def make_config(
    app: Any,
    host: str,
    port: int,
    access_log: bool,
    header_timeout: float = HttpProtocol.header_timeout,
    **settings: Any,
) -> uvicorn.Config:
    """Uvicorn's configuration with what Socketeer needs; ``settings`` are uvicorn's own and win."""
    carrier_name()  # what the environment asks for and is not there is said before anybody connects
    merged: dict[str, Any] = {
        "host": host,
        "port": port,
        "ws": WebSocketProtocol,
        "http": type("HttpProtocol", (HttpProtocol,), {"header_timeout": header_timeout}),
        "ws_per_message_deflate": False,
        "log_config": None,
        "log_level": "warning",
        "access_log": access_log,
        "timeout_graceful_shutdown": 0.5,  # together with what uvicorn takes anyway, less than a second
        "lifespan": "auto",
    }
    merged.update(settings)
    config = uvicorn.Config(app, **merged)
    if access_log:
        # The level that is set above for uvicorn's own news would keep these lines back too.
        logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    return config
