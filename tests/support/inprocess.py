"""A server and its clients in one process, without a network: wire text goes in, wire text comes out.

The server is the real one, down to the transport. What stands in is the seam below it, the carrier that would move
a WebSocket's bytes, and the clock of the timer wheel, which moves when the test says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, cast

from socketeer.engine.carriers.base import Receiver
from socketeer.engine.http.message import Request, Response
from socketeer.engine.session import Session
from socketeer.engine.timers import TimerWheel
from socketeer.protocol.frame import Message
from socketeer.server.server import BaseServer
from socketeer.server.socket import Socket
from tests.support.clock import FakeClock

DEADLINE: Final = 5.0
"""Seconds that any one wait may take."""

Packet = str | bytes


class FakeCarrier:
    """An open WebSocket that keeps what is sent. A `busy` one has something waiting to leave."""

    receiver: Receiver

    def __init__(self) -> None:
        self.sent: list[Packet] = []
        self.busy = False
        self.closed = False
        self.max_bytes: int | None = None
        """Queued bytes above which the client is given up, as a real carrier does."""
        self.room = asyncio.Event()
        self.room.set()
        self.news = asyncio.Event()

    def send(self, message: Message) -> None:
        assert not self.closed, f"{message.text!r} is sent after the end"
        if message.text:
            self.sent.append(message.text.decode())
        self.sent.extend(bytes(each) for each in message.attachments)
        self.news.set()
        if self.max_bytes is not None and message.size() > self.max_bytes:
            self.abort()
            self.receiver.carrier_lost("transport error", "more than max_bytes queued")

    def writable(self) -> bool:
        return not self.busy

    def held(self) -> int:
        return 0

    async def drained(self) -> None:
        await self.room.wait()

    def close(self) -> None:
        self.closed = True
        self.room.set()
        self.news.set()

    def abort(self) -> None:
        self.close()


def make_request(query: str = "", headers: Iterable[tuple[str, str]] = (), **fields: Any) -> Request:
    """The HTTP side of a WebSocket handshake."""
    return Request(
        **{
            "method": "GET",
            "path": "/socket.io/",
            "query_string": "EIO=4&transport=websocket" + query,
            "raw_headers": [("host", "localhost:3000"), *headers],
            "address": "192.0.2.7",
            "secure": False,
            **fields,
        }
    )


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


class Client:
    """A client whose words go straight into its session."""

    def __init__(self, io: BaseServer, request: Request) -> None:
        self.io = io
        self.carrier = FakeCarrier()
        io.engine.open_websocket(request, None, self.carrier)
        self.session = cast(Session, self.carrier.receiver)
        opened = self.heard()
        assert len(opened) == 1, opened
        assert str(opened[0]).startswith('0{"sid":"'), opened

    def say(self, *packets: Packet) -> None:
        """Send these packets, which arrive together."""
        for packet in packets:
            if self.carrier.closed:
                break
            if isinstance(packet, str):
                self.carrier.receiver.receive_text(packet.encode())
            else:
                self.carrier.receiver.receive_binary(packet)

    def heard(self) -> list[Packet]:
        """What has come since the last look."""
        packets, self.carrier.sent = self.carrier.sent, []
        self.carrier.news.clear()
        return packets

    async def hears(self, *expected: Packet) -> None:
        """Wait until as many packets have come as are expected, and compare them."""
        try:
            async with asyncio.timeout(DEADLINE):
                while len(self.carrier.sent) < len(expected):
                    self.carrier.news.clear()
                    await self.carrier.news.wait()
        except TimeoutError:
            raise AssertionError(f"expected {list(expected)}, got {self.carrier.sent}") from None
        assert self.heard() == list(expected)

    def asks(self, *packets: Packet) -> list[Packet]:
        """Say something and give what the server answers at once."""
        self.say(*packets)
        return self.heard()

    def connect(self, namespace: str = "/", auth: object = None) -> Socket:
        """Join a namespace that lets everybody in; the server's socket for it."""
        name = "" if namespace == "/" else f"{namespace},"
        known = set(self.io.of(namespace).sockets)
        self.say(f"40{name}" + ("" if auth is None else json.dumps(auth)))
        socket_id = next(each for each in self.io.of(namespace).sockets if each not in known)
        heard = self.heard()
        assert f'40{name}{{"sid":"{socket_id}"}}' in heard, heard
        self.carrier.sent = [each for each in heard if each != f'40{name}{{"sid":"{socket_id}"}}']
        return self.io.of(namespace).sockets[socket_id]

    def vanish(self, reason: str = "transport close", description: str = "connection lost") -> None:
        """The WebSocket ends, as its carrier would tell."""
        self.carrier.closed = True
        self.carrier.receiver.carrier_lost(reason, description)

    def ended(self) -> bool:
        """Whether the server has ended the connection."""
        return self.carrier.closed


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
