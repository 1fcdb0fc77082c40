"""A client in the same process, without a network: wire text goes in, wire text comes out.

The server is the real one, down to the transport. What stands in is the seam below that, the carrier
which would move a WebSocket's bytes::

    client = WireClient(io)
    socket = client.connect()
    socket.emit("hello", 1)
    assert client.heard() == ['42["hello",1]']
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Final, cast

from socketeer.engine.carriers.base import Receiver
from socketeer.engine.http.message import Request
from socketeer.engine.session import Session
from socketeer.protocol.frame import Message
from socketeer.server.server import BaseServer
from socketeer.server.socket import Socket

DEADLINE: Final = 5.0
"""Seconds that any one wait may take."""

Packet = str | bytes
"""A text frame or a binary one."""


class MemoryCarrier:
    """An open WebSocket that keeps what is sent. A ``busy`` one has something waiting to leave."""

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
        """Keep what a WebSocket would carry."""
        assert not self.closed, f"{message.text!r} is sent after the end"
        if message.text:
            self.sent.append(message.text.decode())
        self.sent.extend(bytes(each) for each in message.attachments)
        self.news.set()
        if self.max_bytes is not None and message.size() > self.max_bytes:
            self.abort()
            self.receiver.carrier_lost("transport error", "more than max_bytes queued")

    def writable(self) -> bool:
        """Whether nothing is waiting to leave."""
        return not self.busy

    def held(self) -> int:
        """Nothing is queued here."""
        return 0

    async def drained(self) -> None:
        """Wait while ``room`` is not set."""
        await self.room.wait()

    def close(self) -> None:
        """The server has ended it."""
        self.closed = True
        self.room.set()
        self.news.set()

    def abort(self) -> None:
        """The same, at once."""
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


class WireClient:
    """A client over WebSocket whose words go straight into its session. It has said nothing yet.

    Attributes:
        session: the server's side of the connection, ``socket.conn``.
        carrier: what has been sent, and whether the server has closed it.
        welcome: the payload of the last CONNECT packet: ``sid``, and ``pid`` where sessions are recovered.
    """

    def __init__(self, io: BaseServer, request: Request | None = None) -> None:
        self.io = io
        self.carrier = MemoryCarrier()
        self.welcome: dict[str, Any] = {}
        io.engine.open_websocket(make_request() if request is None else request, None, self.carrier)
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
        """Join a namespace, made if need be, that lets everybody in at once; the server's socket for it.

        What came before and after the CONNECT packet is still there to be heard.
        """
        nsp = self.io.of(namespace)
        name = "" if namespace == "/" else f"{namespace},"
        self.say(f"40{name}" + ("" if auth is None else json.dumps(auth)))
        self.welcome, self.carrier.sent = _take_welcome(self.heard(), f"40{name}")
        return nsp.sockets[self.welcome["sid"]]

    async def rejoin(self, namespace: str = "/", auth: object = None) -> Socket:
        """As :meth:`connect`, where the server may have to look for a session first."""
        nsp = self.io.of(namespace)
        name = "" if namespace == "/" else f"{namespace},"
        self.say(f"40{name}" + ("" if auth is None else json.dumps(auth)))
        start = f"40{name}{{"
        try:
            async with asyncio.timeout(DEADLINE):
                while not any(isinstance(each, str) and each.startswith(start) for each in self.carrier.sent):
                    self.carrier.news.clear()
                    await self.carrier.news.wait()
        except TimeoutError:
            raise AssertionError(f"expected {start}...}}, got {self.carrier.sent}") from None
        self.welcome, self.carrier.sent = _take_welcome(self.heard(), f"40{name}")
        return nsp.sockets[self.welcome["sid"]]

    def vanish(self, reason: str = "transport close", description: str = "connection lost") -> None:
        """The WebSocket ends, as its carrier would tell."""
        self.carrier.closed = True
        self.carrier.receiver.carrier_lost(reason, description)

    def ended(self) -> bool:
        """Whether the connection has ended."""
        return self.carrier.closed


def _take_welcome(heard: list[Packet], start: str) -> tuple[dict[str, Any], list[Packet]]:
    """The payload of the CONNECT packet among these, and the others."""
    for at, packet in enumerate(heard):
        if isinstance(packet, str) and packet.startswith(start + "{"):
            return json.loads(packet[len(start) :]), heard[:at] + heard[at + 1 :]
    raise AssertionError(f"expected {start}{{...}}, got {heard}")
