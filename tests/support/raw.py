"""A client that knows nothing of Socket.IO: bytes out, bytes in, and a deadline on every wait.

No WebSocket or HTTP library stands behind it, so that a test may send what no library would: half a request, a frame
whose length lies, a reserved bit. What comes back is read strictly, the way a browser would.

`Wire` is one TCP connection; `request`, `chunk` and `frame` make the bytes. The Engine.IO sessions held over wires are
in `peers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Self, cast

DEADLINE: Final = 5.0
"""Seconds that any one wait may take."""

SEPARATOR: Final = "\x1e"
POLLING: Final = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET: Final = "/socket.io/?EIO=4&transport=websocket"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

Headers = Iterable[tuple[str, str]]


class ConnectionEnded(Exception):
    """The server ended the TCP connection before it had sent what was waited for."""


@dataclass(frozen=True)
class Response:
    """One HTTP response, as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> int | None:
        """The Engine.IO error code in the body, if it holds one."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found.get("code") if isinstance(found, dict) else None


@dataclass(frozen=True)
class Frame:
    """One WebSocket frame from the server."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv1: bool = False

    @property
    def close_code(self) -> int:
        """1005 stands for a close frame without a code, as in the RFC."""
        return int.from_bytes(self.payload[:2]) if self.payload else 1005


class Wire(asyncio.Protocol):
    """One TCP connection to the server."""

    open_now: ClassVar[set[Wire]] = set()
    """Those that are open still, so that a test that fails half-way can be cleaned up after."""

    def __init__(self, port: int, deadline: float) -> None:
        self.port = port
        self.deadline = deadline
        self.received = bytearray()
        self.deflate = False  # permessage-deflate is agreed on
        self.ended = False  # the server will send nothing more
        self.lost = asyncio.Event()  # the connection is gone
        self._news = asyncio.Event()  # bytes came, or the end
        self._clear = asyncio.Event()  # set while the kernel takes what we write
        self._clear.set()

    @classmethod
    async def open(cls, port: int, *, deadline: float = DEADLINE, receive_buffer: int | None = None) -> Self:
        """A small `receive_buffer` makes a client that stops reading felt at once."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(deadline):
            await loop.sock_connect(sock, ("127.0.0.1", port))
        _, wire = await loop.create_connection(lambda: cls(port, deadline), sock=sock)
        return wire

    @classmethod
    async def close_all(cls) -> None:
        """Close what a test has left open, before its loop ends."""
        left = tuple(cls.open_now)
        for wire in left:
            wire.close()
        async with asyncio.timeout(DEADLINE):
            for wire in left:
                await wire.lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods alone
        self.open_now.add(self)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._news.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._news.set()
        return True  # our own direction stays open until the test closes it

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_now.discard(self)
        self.lost.set()
        self.ended = True
        self._news.set()
        self._clear.set()

    def pause_writing(self) -> None:
        self._clear.clear()

    def resume_writing(self) -> None:
        self._clear.set()

    async def send(self, data: bytes, *, step: int = 1 << 16) -> None:
        """Write in steps, stopping quietly once the server has ended the connection."""
        for start in range(0, len(data), step):
            if self.ended or self.transport.is_closing():
                return
            self.transport.write(data[start : start + step])
            async with asyncio.timeout(self.deadline):
                await self._clear.wait()
            await asyncio.sleep(0)  # let what the server says meanwhile come in

    async def wait(self, ready: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(self.deadline):
                while not ready() and not self.ended:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"no {what} within {self.deadline} s; so far {bytes(self.received[:200])!r}"
            ) from None
        if not ready():
            raise ConnectionEnded(
                f"the server ended the connection before {what}: {bytes(self.received[:200])!r}"
            )

    async def trickle(self, data: bytes, until: Callable[[], bool], *, pace: float = 0.03) -> None:
        """Send this again and again, one piece every `pace` seconds: a pace of attack, not a wait for anything."""
        end = asyncio.get_running_loop().time() + self.deadline
        while not until():
            assert asyncio.get_running_loop().time() < end, f"still taking bytes after {self.deadline} s"
            await self.send(data)
            await asyncio.sleep(pace)

    async def take(self, size: int) -> bytes:
        await self.wait(lambda: len(self.received) >= size, f"{size} bytes")
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    async def take_until(self, end: bytes) -> bytes:
        await self.wait(lambda: end in self.received, repr(end))
        return await self.take(self.received.index(end) + len(end))

    async def rest(self) -> bytes:
        """All that still comes until the server ends the connection."""
        with contextlib.suppress(ConnectionEnded):
            await self.wait(lambda: False, "end of the connection")
        return bytes(self.received)

    async def response(self, *, head: bool = False) -> Response:
        """Read one HTTP response; `head` when the request was HEAD, whose answer has no body."""
        start, *lines = (await self.take_until(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        version, status, *_ = start.split(" ", 2)
        assert version in ("HTTP/1.0", "HTTP/1.1"), start
        headers = tuple((name, value.strip()) for name, value in (line.split(":", 1) for line in lines))
        bare = Response(int(status), headers, b"")
        if head or bare.status in (204, 304) or bare.status < 200:
            return bare
        if (bare.header("transfer-encoding") or "").lower() == "chunked":
            body = b""
            while size := int(await self.take_until(b"\r\n"), 16):
                body += await self.take(size)
                assert await self.take(2) == b"\r\n"
            assert await self.take(2) == b"\r\n"
        elif (length := bare.header("content-length")) is not None:
            body = await self.take(int(length))
        else:
            body = await self.rest()
        return Response(bare.status, headers, body)

    async def frame(self) -> Frame:
        """Read one frame, refusing whatever RFC 6455 forbids a server to send."""
        first, second = await self.take(2)
        opcode, fin, length = first & 0x0F, bool(first & 0x80), second & 0x7F
        compressed = self.deflate and opcode in (TEXT, BINARY) and bool(first & 0x40)
        assert compressed or not first & 0x40, f"the server set the first reserved bit: {first:#04x}"
        assert not first & 0x30, f"the server set a reserved bit: {first:#04x}"
        assert not second & 0x80, "the server masked a frame"
        assert opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG), f"the server sent opcode {opcode}"
        assert opcode < CLOSE or (fin and length < 126), "the server fragmented or overfilled a control frame"
        if length >= 126:
            least, length = length - 126, int.from_bytes(await self.take(2 if length == 126 else 8))
            assert length > (125, 65535)[least], "the server wasted bytes on a length"
        payload = await self.take(length)
        assert opcode != CLOSE or length != 1, "the server sent half a close code"
        return Frame(opcode, payload, fin, compressed)

    def close(self) -> None:
        self.transport.close()

    def finish(self) -> None:
        """Send FIN and keep reading."""
        self.transport.write_eof()

    def reset(self) -> None:
        """Send RST, as a peer does that vanished with data unread."""
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.transport.abort()


def request(
    method: str, target: str, port: int, *, headers: Headers = (), body: bytes | None = None
) -> bytes:
    """A request's bytes. Host and Content-Length are added unless given, or left out by giving them as ''."""
    lines = list(headers)
    given = {name.lower() for name, _ in lines}
    if "host" not in given:
        lines.insert(0, ("Host", f"127.0.0.1:{port}"))
    if body is not None and not given & {"content-length", "transfer-encoding"}:
        lines.append(("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines if value or name.lower() != "host")
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; the empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def fetch(
    port: int, method: str = "GET", target: str = POLLING, *, headers: Headers = (), body: bytes | None = None
) -> Response:
    """One request on a connection of its own."""
    wire = await Wire.open(port)
    try:
        await wire.send(request(method, target, port, headers=headers, body=body))
        return await wire.response(head=method == "HEAD")
    finally:
        wire.close()


def frame(
    payload: bytes = b"",
    opcode: int = TEXT,
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    length: int | None = None,
) -> bytes:
    """Any client frame. `rsv` is 4, 2 and 1 for RSV1 to RSV3; `length` is what the header claims."""
    claimed = len(payload) if length is None else length
    head = bytes([(fin << 7) | (rsv << 4) | opcode])
    bit = 0x80 if mask is not None else 0
    if claimed < 126:
        head += bytes([bit | claimed])
    elif claimed < 1 << 16:
        head += struct.pack(">BH", bit | 126, claimed)
    else:
        head += struct.pack(">BQ", bit | 127, claimed)
    if mask is None:
        return head + payload
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload) ^ int.from_bytes(key)
    return head + mask + masked.to_bytes(len(payload))
