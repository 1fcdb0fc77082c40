"""Engine.IO sessions as a client holds them, over long-polling and over WebSocket, on nothing but `raw.Wire`.

What both kinds can do (connect a namespace, be echoed, be closed) is in `Peer`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Self

from tests.support.raw import (
    BINARY,
    CLOSE,
    PING,
    POLLING,
    PONG,
    SEPARATOR,
    TEXT,
    WEBSOCKET,
    ConnectionEnded,
    Headers,
    Response,
    Wire,
    fetch,
    frame,
    request,
)


class Peer(ABC):
    """An Engine.IO session seen from the client."""

    port: int
    sid: str
    """The Engine.IO session's id; a namespace has its own."""
    ids: dict[str, str]
    """Our id in each namespace that was connected, by `connect`."""

    @abstractmethod
    async def send(self, *packets: str) -> None: ...

    @abstractmethod
    async def packet(self) -> str | bytes:
        """The next Engine.IO packet from the server, whatever it is."""

    @abstractmethod
    async def closed(self) -> int | None:
        """Wait until the server has closed this session; over WebSocket, with which code."""

    @abstractmethod
    async def bye(self) -> None:
        """Leave, whatever state this is in."""

    async def message(self) -> str | bytes:
        """The next message, its `4` taken off; pings are answered on the way."""
        while True:
            packet = await self.packet()
            if isinstance(packet, bytes):
                return packet
            if packet[:1] == "4":
                return packet[1:]
            if packet == "2":
                await self.send("3")
            elif packet != "6":
                raise AssertionError(f"expected a message, got {packet!r}")

    async def connect(self, namespace: str = "/", auth: object = None) -> str:
        """Connect to a namespace and return the id there."""
        name = "" if namespace == "/" else f"{namespace},"
        await self.send(f"40{name}" + ("" if auth is None else json.dumps(auth)))
        reply = await self.message()
        assert isinstance(reply, str), reply
        assert reply.startswith(f"0{name}{{"), reply
        sid: str = json.loads(reply[1 + len(name) :])["sid"]
        self.ids[namespace] = sid
        return sid

    async def echo(self, *values: object) -> list[Any]:
        """Send the event `echo` and return what its acknowledgement brings: proof that all before it was handled."""
        await self.send(f"427{json.dumps(['echo', *values])}")
        while not (isinstance(reply := await self.message(), str) and reply.startswith("37[")):
            pass
        answer: list[Any] = json.loads(reply[2:])
        return answer


class Polling(Peer):
    """A session over HTTP long-polling; each request has a connection of its own."""

    def __init__(self, port: int, opened: dict[str, Any], response: Response) -> None:
        self.port = port
        self.sid = opened["sid"]
        self.ids = {}
        self.opened = opened
        self.response = response
        self.target = f"{POLLING}&sid={self.sid}"
        self._inbox: deque[str] = deque()

    @classmethod
    async def open(cls, port: int, *, query: str = "", headers: Headers = ()) -> Self:
        response = await fetch(port, "GET", POLLING + query, headers=headers)
        assert response.status == 200, response
        assert response.text[:1] == "0", response
        first, *others = response.text.split(SEPARATOR)
        peer = cls(port, json.loads(first[1:]), response)
        peer._inbox.extend(others)
        return peer

    async def get(self) -> Response:
        return await fetch(self.port, "GET", self.target)

    async def post(self, body: str | bytes, *, headers: Headers = ()) -> Response:
        data = body.encode() if isinstance(body, str) else body
        return await fetch(self.port, "POST", self.target, headers=headers, body=data)

    async def begin(self, method: str = "GET", *, headers: Headers = (), body: bytes | None = None) -> Wire:
        """Send a request and leave its answer on the wire, to be taken by `Wire.response`."""
        wire = await Wire.open(self.port)
        await wire.send(request(method, self.target, self.port, headers=headers, body=body))
        return wire

    async def send(self, *packets: str) -> None:
        response = await self.post(SEPARATOR.join(packets))
        assert (response.status, response.body) == (200, b"ok"), response

    async def packet(self) -> str | bytes:
        if not self._inbox:
            response = await self.get()
            assert response.status == 200, response
            self._inbox.extend(response.text.split(SEPARATOR))
        packet = self._inbox.popleft()
        return base64.b64decode(packet[1:], validate=True) if packet[:1] == "b" else packet

    async def closed(self) -> None:
        """Poll until the session id is unknown; only a close packet, pings and noops may come on the way."""
        while (response := await self.get()).status == 200:
            self._inbox.extend(response.text.split(SEPARATOR))
        assert (response.status, response.code) == (400, 1), response

    async def bye(self) -> None:
        with contextlib.suppress(ConnectionEnded, OSError):
            await self.post("1")


class WebSocket(Peer):
    """A session over WebSocket, or a probe to bring one there."""

    def __init__(self, wire: Wire, sid: str, response: Response) -> None:
        self.wire = wire
        self.port = wire.port
        self.sid = sid
        self.ids = {}
        self.response = response

    @staticmethod
    async def shake(
        port: int, target: str = WEBSOCKET, *, headers: Headers = (), receive_buffer: int | None = None
    ) -> tuple[Wire, Response]:
        """Ask for a WebSocket and return the answer, whatever it is. A header given here replaces ours."""
        key = base64.b64encode(os.urandom(16)).decode()
        ours = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
        ours.append(("Sec-WebSocket-Key", key))
        theirs = list(headers)
        given = {name.lower() for name, _ in theirs}
        lines = [(name, value) for name, value in ours if name.lower() not in given] + theirs
        wire = await Wire.open(port, receive_buffer=receive_buffer)
        await wire.send(request("GET", target, port, headers=lines))
        response = await wire.response()
        if response.status == 101:
            digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
            assert response.header("sec-websocket-accept") == base64.b64encode(digest).decode()
            assert (response.header("upgrade") or "").lower() == "websocket"
        return wire, response

    @classmethod
    async def open(
        cls,
        port: int,
        *,
        query: str = "",
        sid: str = "",
        headers: Headers = (),
        receive_buffer: int | None = None,
    ) -> Self:
        """Open a session, or with `sid` the probe of one; the probe itself is the test's to send."""
        target = WEBSOCKET + query + (f"&sid={sid}" if sid else "")
        wire, response = await cls.shake(port, target, headers=headers, receive_buffer=receive_buffer)
        assert response.status == 101, response
        peer = cls(wire, sid, response)
        if not sid:
            opened = await peer.packet()
            assert isinstance(opened, str), opened
            assert opened[:1] == "0", opened
            peer.sid = json.loads(opened[1:])["sid"]
        return peer

    async def send(self, *packets: str | bytes) -> None:
        """One frame for each packet: text, or binary for bytes."""
        for packet in packets:
            await self.wire.send(frame(packet.encode()) if isinstance(packet, str) else frame(packet, BINARY))

    async def packet(self) -> str | bytes:
        while (found := await self.wire.frame()).opcode in (PING, PONG):
            pass
        assert found.opcode != CLOSE, f"expected a packet, got a close frame: {found.close_code}"
        payload = found.payload
        more = found
        while not more.fin:
            more = await self.wire.frame()
            payload += more.payload
        return payload.decode() if found.opcode == TEXT else payload

    async def closed(self) -> int:
        """The code of the server's close frame; 1006 when the connection just ended. Data before it is passed over."""
        try:
            while (found := await self.wire.frame()).opcode != CLOSE:
                pass
        except ConnectionEnded:
            return 1006
        await self.wire.send(frame(found.payload[:2], CLOSE))
        assert await self.wire.rest() == b"", "the server sent something after its close frame"
        return found.close_code

    async def bye(self) -> None:
        if not self.wire.ended:
            await self.wire.send(frame(b"\x03\xe8", CLOSE))
        self.wire.close()
