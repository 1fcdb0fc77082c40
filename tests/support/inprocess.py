"""A server and its clients in one process, without a network, and a clock that moves when the test says so.

The clients are those that Socketeer offers to everybody, in `socketeer.testing.inprocess`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from socketeer.engine.http.message import Request, Response
from socketeer.engine.session import Session
from socketeer.engine.timers import TimerWheel
from socketeer.server.server import BaseServer
from socketeer.server.socket import Socket
from socketeer.testing.inprocess import DEADLINE, Packet, make_request
from socketeer.testing.inprocess import MemoryCarrier as FakeCarrier
from socketeer.testing.inprocess import WireClient as Client
from tests.support.clock import FakeClock

__all__ = ["DEADLINE", "Client", "FakeCarrier", "Lobby", "Packet", "Poller", "make_request", "soon"]


class Lobby:
    """A server with a clock of its own. To be made where a loop runs."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.io = BaseServer(**options)
        self.io.engine._wheel = TimerWheel(self.clock)
        self.io.engine._wheel_loop = asyncio.get_running_loop()

    def client(self, request: Request | None = None) -> Client:
        """Somebody new, over WebSocket, who has said nothing yet."""
        return Client(self.io, request or make_request())

    def connected(self, namespace: str = "/", **keywords: Any) -> tuple[Client, Socket]:
        """Somebody new in this namespace, and the server's socket for them."""
        client = self.client(**keywords)
        return client, client.connect(namespace)


class Poller:
    """A client over long-polling, through the engine's own handling of HTTP requests."""

    def __init__(self, io: BaseServer, headers: Iterable[tuple[str, str]] = ()) -> None:
        self.io = io
        self.headers = list(headers)
        self.session: Session

    async def open(self, namespace: str = "/") -> Socket:
        """Shake hands and join a namespace; the server's socket for it."""
        response = await self._request("GET")
        self.session = self.io.engine.sessions[json.loads(response.body[1:])["sid"]]
        known = set(self.io.of(namespace).sockets)
        assert await self.post("40" if namespace == "/" else f"40{namespace},") == 200
        (connected,) = await self.poll()
        assert connected.startswith("40"), connected
        return next(each for key, each in self.io.of(namespace).sockets.items() if key not in known)

    async def post(self, *packets: str) -> int:
        """Send these packets in one body; the status of the answer."""
        return (await self._request("POST", "\x1e".join(packets).encode())).status

    async def poll(self) -> list[str]:
        """The packets of the next poll's answer."""
        return (await self.get()).body.decode().split("\x1e")

    async def get(self) -> Response:
        """The next poll's answer."""
        async with asyncio.timeout(DEADLINE):
            return await self._request("GET")

    async def _request(self, method: str, body: bytes = b"") -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield body

        query = "EIO=4&transport=polling"
        if hasattr(self, "session"):
            query += f"&sid={self.session.id}"
        return await self.io.engine.handle(
            Request(method, "/socket.io/", query, self.headers, "192.0.2.7", secure=False, body=pieces)
        )


async def soon(event: asyncio.Event) -> None:
    """Wait for the event, but not for ever."""
    async with asyncio.timeout(DEADLINE):
        await event.wait()
