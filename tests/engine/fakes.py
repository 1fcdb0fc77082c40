"""What stands on either side of an Engine.IO session in these tests: requests below, a listener above."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from socketeer.engine.carriers.base import Receiver
from socketeer.engine.http.message import Request, Response
from socketeer.engine.server import EngineServer
from socketeer.engine.session import Session, SessionHandler
from socketeer.engine.timers import TimerWheel
from socketeer.options import EngineOptions
from socketeer.protocol.frame import Message
from tests.support.clock import FakeClock

DEADLINE: Final = 5.0
"""Seconds that any one wait may take."""

Packet = str | bytes
"""A text frame or a binary one."""


async def settle() -> None:
    """Let everything run that can run."""
    for _ in range(20):
        await asyncio.sleep(0)


def make_request(
    query: str = "EIO=4&transport=polling",
    method: str = "GET",
    *,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | Upload | None = None,
    line: Line | None = None,
    address: str = "192.0.2.7",
) -> Request:
    """A request as a web server hands it over; `line` is the connection that it came by."""
    upload = Upload.of(body) if isinstance(body, bytes) else body
    return Request(
        method=method,
        path="/socket.io/",
        query_string=query,
        raw_headers=list(headers),
        address=address,
        secure=False,
        body=None if upload is None else upload.pieces,
        disconnected=None if line is None else line.cut.wait,
    )


class Line:
    """An HTTP connection that may be cut."""

    def __init__(self) -> None:
        self.cut: Any = asyncio.Event()


class Upload:
    """The body of a POST, piece by piece."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    @classmethod
    def of(cls, *pieces: bytes) -> Upload:
        """A body that is here already."""
        upload = cls()
        upload.put(*pieces)
        upload.end()
        return upload

    def put(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._pieces.put_nowait(piece)

    def end(self) -> None:
        self._pieces.put_nowait(None)

    def fail(self, error: Exception) -> None:
        self._pieces.put_nowait(error)

    async def pieces(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece


class Listener:
    """The floor above: keeps what it is told. Implements `SessionHandler`."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.heard: list[bytes] = []
        """Messages in order: text with its type in front, binary as it is."""
        self.upgrades: list[str] = []
        self.closed: list[tuple[str, str | None]] = []

    def on_text(self, data: bytes) -> None:
        self.heard.append(data)

    def on_binary(self, data: bytes) -> None:
        self.heard.append(data)

    def on_upgrade(self) -> None:
        self.upgrades.append(self.session.transport.name)

    def on_close(self, reason: str, description: str | None) -> None:
        assert self.session.state.value == "closed"
        self.closed.append((reason, description))

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.closed]


class FakeCarrier:
    """An open WebSocket that keeps what is sent. Implements `Carrier`."""

    receiver: Receiver

    def __init__(self) -> None:
        self.sent: list[Packet] = []
        self.busy = False
        self.bytes_held = 0
        self.closed: list[str] = []
        """How it was ended: `close` or `abort`, each time it was."""

    def send(self, message: Message) -> None:
        if not self.closed:
            self.sent.append(message.text.decode())
            self.sent.extend(message.attachments)

    def writable(self) -> bool:
        return not self.busy

    def held(self) -> int:
        return self.bytes_held

    async def drained(self) -> None:
        pass

    def close(self) -> None:
        self.closed.append("close")

    def abort(self) -> None:
        self.closed.append("abort")

    def says(self, *packets: Packet) -> None:
        """The client sends these frames."""
        for packet in packets:
            if not self.closed:
                if isinstance(packet, str):
                    self.receiver.receive_text(packet.encode())
                else:
                    self.receiver.receive_binary(packet)

    def vanishes(self, reason: str = "transport close", description: str = "connection lost") -> None:
        """The client's connection ends."""
        if not self.closed:
            self.receiver.carrier_lost(reason, description)


class Desk:
    """An Engine.IO server with a clock of its own, and what its sessions tell. To be made where a loop runs."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.listeners: dict[str, Listener] = {}
        self.engine = EngineServer(EngineOptions(**options), self._listener)
        self.engine._wheel = TimerWheel(self.clock)
        self.engine._wheel_loop = asyncio.get_running_loop()

    def _listener(self, session: Session) -> SessionHandler:
        listener = self.listeners[session.id] = Listener(session)
        return listener

    @property
    def timers(self) -> int:
        """How many are set."""
        assert self.engine._wheel is not None
        return sum(map(len, self.engine._wheel._buckets.values()))

    async def handle(self, request: Request) -> Response:
        async with asyncio.timeout(DEADLINE):
            return await self.engine.handle(request)

    async def polling(self, **keywords: Any) -> Poller:
        """A new client on long-polling."""
        response = await self.handle(make_request(**keywords))
        assert response.status == 200, response
        sid = json.loads(response.body[1:])["sid"]
        return Poller(self, sid, response)

    async def websocket(self, query: str = "") -> tuple[FakeCarrier, Listener]:
        """A new client on WebSocket, whose open packet has been taken off."""
        request = make_request("EIO=4&transport=websocket" + query)
        carrier = FakeCarrier()
        session, _ = await self.engine.admit(request)
        self.engine.open_websocket(request, session, carrier)
        opened = str(carrier.sent.pop(0))
        return carrier, self.listeners[json.loads(opened[1:])["sid"]]


class Poller:
    """A client on long-polling."""

    def __init__(self, desk: Desk, sid: str, opened: Response) -> None:
        self.desk = desk
        self.sid = sid
        self.opened = opened
        self.listener = desk.listeners[sid]
        self.session = self.listener.session
        self.query = f"EIO=4&transport=polling&sid={sid}"

    async def get(self, **keywords: Any) -> Response:
        """A poll, waited for."""
        return await self.desk.handle(make_request(self.query, **keywords))

    async def begin(self, **keywords: Any) -> asyncio.Task[Response]:
        """A poll that has arrived and may have to wait."""
        poll = asyncio.create_task(self.get(**keywords))
        await settle()
        return poll

    async def post(self, body: bytes | Upload, **keywords: Any) -> Response:
        return await self.desk.handle(make_request(self.query, "POST", body=body, **keywords))

    async def probe(self) -> FakeCarrier:
        """A WebSocket that wants to take the session over; it has said nothing yet."""
        request = make_request(f"EIO=4&transport=websocket&sid={self.sid}")
        session, _ = await self.desk.engine.admit(request)
        carrier = FakeCarrier()
        self.desk.engine.open_websocket(request, session, carrier)
        return carrier
