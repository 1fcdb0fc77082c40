"""What stands on either side of the connecting side: a listener above, and below a server that does as it is told.

`Scripted` speaks HTTP and WebSocket by hand, so that a test may answer what no server would.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from socketeer.client_options import ConnectOptions
from socketeer.engine.client import EngineClient
from socketeer.engine.client_session import ClientSession
from socketeer.engine.session import Session
from socketeer.engine.timers import loop_wheel
from tests.support.raw import BINARY, CLOSE, TEXT, Frame, frame

DEADLINE: Final = 10.0

OPENED: Final[dict[str, Any]] = {
    "sid": "a-session",
    "upgrades": [],
    "pingInterval": 25_000,
    "pingTimeout": 20_000,
    "maxPayload": 1_000_000,
}


def open_packet(**changes: Any) -> bytes:
    return b"0" + json.dumps({**OPENED, **changes}).encode()


async def until(ready: Callable[[], object], what: str = "") -> None:
    """Look again and again until it is so."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not ready():  # noqa: ASYNC110 - what is looked at sets no event
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE} s: {what or ready}") from None


class Ear:
    """Hears what a session brings. Implements `socketeer.engine.session.SessionHandler`."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.upgrades = 0
        self.closed: list[tuple[str, str | None]] = []

    def __call__(self, session: Session) -> Ear:
        return self

    def on_text(self, data: bytes) -> None:
        self.messages.append(data[1:].decode())

    def on_binary(self, data: bytes) -> None:
        self.messages.append(data)

    def on_upgrade(self) -> None:
        self.upgrades += 1

    def on_close(self, reason: str, description: str | None) -> None:
        self.closed.append((reason, description))

    async def end(self) -> tuple[str, str | None]:
        await until(lambda: self.closed, "the session's end")
        assert len(self.closed) == 1
        return self.closed[0]


class Opener:
    """An `EngineClient` and what its sessions heard."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self.ear = Ear()
        self.ended: list[Session] = []
        self.sessions: list[ClientSession] = []

    async def open(self) -> ClientSession:
        self.ear = Ear()
        async with asyncio.timeout(DEADLINE):
            session = await self.client.open(self.ear, self.ended.append)
        self.sessions.append(session)
        return session


@contextlib.asynccontextmanager
async def opener(url: str, **options: Any) -> AsyncIterator[Opener]:
    """A client for a block. At its end the sessions are closed, and nothing may be left: no task, no socket."""
    one = Opener(EngineClient(url, ConnectOptions(**options), loop_wheel()))
    try:
        yield one
    finally:
        for session in one.sessions:
            session.close(discard=True)
        async with asyncio.timeout(DEADLINE):
            await one.client.close()
        left = [each for each in asyncio.all_tasks() if each.get_name().startswith("socketeer")]
    assert not left, left
    del one
    gc.collect()  # a socket that nobody closed warns now, and warnings are errors


# --- the scripted server --------------------------------------------------------------------------


@dataclass
class Asked:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def names(self) -> list[str]:
        """The parameters' names, in order."""
        return [name for name, _ in parse_qsl(urlsplit(self.target).query, keep_blank_values=True)]


class Line:
    """One connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self) -> Asked | None:
        """The next request; None at the end."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        start, *lines = head.split("\r\n")[:-2]
        method, target, _ = start.split(" ", 2)
        headers: dict[str, str] = {}
        for line in lines:
            name, value = line.split(":", 1)
            assert name.lower() not in headers, f"the header {name} came twice"
            headers[name.lower()] = value.strip()
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Asked(method, target, headers, body)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self,
        body: bytes = b"ok",
        status: int = 200,
        headers: dict[str, str] | None = None,
        length: bool = True,
    ) -> None:
        lines = {**({"Content-Length": str(len(body))} if length else {}), **(headers or {})}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await self.write(f"HTTP/1.1 {status} Any\r\n{text}\r\n".encode("latin-1") + body)

    async def upgrade(self, asked: Asked, headers: str = "") -> None:
        """Answer a WebSocket handshake."""
        key = asked.headers["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest()).decode()
        await self.write(
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
            ).encode()
        )

    async def text(self, data: bytes) -> None:
        await self.write(frame(data, TEXT, mask=None))

    async def binary(self, data: bytes) -> None:
        await self.write(frame(data, BINARY, mask=None))

    async def frame(self) -> Frame | None:
        """The client's next frame, which has to be masked; None at the end."""
        try:
            first, second = await self.reader.readexactly(2)
            assert second & 0x80, "a client's frame without a mask"
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            key = await self.reader.readexactly(4)
            data = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Frame(
            first & 0x0F, bytes(byte ^ key[at % 4] for at, byte in enumerate(data)), bool(first & 0x80)
        )

    async def gone(self) -> None:
        """Read until the client ends the connection, and say nothing."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    async def close_frames(self) -> None:
        """Read until the client's close frame, answer it, and end."""
        while (found := await self.frame()) is not None:
            if found.opcode == CLOSE:
                await self.write(frame(found.payload[:2], CLOSE, mask=None))
                return


Script = Callable[["Scripted", Line, Asked], Awaitable[bool | None]]


@dataclass
class Scripted:
    """A server that answers each request by its script; one that gives False ends the connection."""

    script: Script
    asked: list[Asked] = field(default_factory=list)
    lines: set[Line] = field(default_factory=set)
    connections: int = 0
    trouble: list[BaseException] = field(default_factory=list)
    url: str = ""
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        self.lines.add(line)
        self.connections += 1
        try:
            while (asked := await line.ask()) is not None:
                self.asked.append(asked)
                if await self.script(self, line, asked) is False:
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is told
            self.trouble.append(error)
        finally:
            self.lines.discard(line)
            writer.close()


@contextlib.asynccontextmanager
async def scripted(
    script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Scripted]:
    """A server in this loop; what went wrong in its script fails the test."""
    it = Scripted(script)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await it.serve(reader, writer)

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    it.port = server.sockets[0].getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    it.url = f"{'https' if tls else 'http'}://{name}:{it.port}"
    try:
        yield it
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tuple(tasks), timeout=DEADLINE)
        await server.wait_closed()
    assert not it.trouble, it.trouble
