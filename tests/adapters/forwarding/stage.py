"""Servers of one cluster, and clients whose requests land where the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from socketeer import Server, Socket
from socketeer.adapters.bus import Bus
from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.cluster import ClusterAdapter
from socketeer.engine.http.message import Response
from socketeer.engine.session import Session
from socketeer.server.adapter import AdapterHost
from tests.adapters.bus import Exchange, LoopBus
from tests.engine.fakes import FakeCarrier, make_request

DEADLINE = 10.0


class Factory:
    """An adapter over any bus."""

    def __init__(self, bus: Bus, prefix: str = "test", forwarding: bool = True) -> None:
        self.bus = bus
        self.prefix = prefix
        self.forwarding = forwarding

    def __call__(self, nsp: AdapterHost) -> ClusterAdapter:
        return ClusterAdapter(nsp, ChannelWire(self.bus, nsp.name, self.prefix), 5.0)


async def until(met: Callable[[], object], what: str = "") -> None:
    async with asyncio.timeout(DEADLINE):
        while not met():  # noqa: ASYNC110 - most of it happens in other tasks
            await asyncio.sleep(0.002)


class Node:
    """One server."""

    def __init__(self, factory: Any, **options: Any) -> None:
        self.io = Server(adapter=factory, **options)
        self.engine = self.io.engine
        self.bus = factory.bus
        self.heard: list[Any] = []
        self.reasons: list[str] = []

        @self.io.on("connection")
        def connection(socket: Socket) -> None:
            @socket.on("echo")
            def echo(value: Any) -> Any:
                self.heard.append(value)
                return value

            @socket.on("disconnect")
            def disconnect(reason: str) -> None:
                self.reasons.append(reason)

    async def handle(self, *args: Any, **keywords: Any) -> Response:
        async with asyncio.timeout(DEADLINE):
            return await self.engine.handle(make_request(*args, **keywords))

    @property
    def tunnels(self) -> int:
        assert self.io._forwarding is not None
        return self.io._forwarding._count

    def sessions(self) -> list[Session]:
        return list(self.engine.sessions.values())


class Poller:
    """A client on long-polling, of a session that `owner` owns."""

    def __init__(self, owner: Node, sid: str) -> None:
        self.owner = owner
        self.sid = sid
        self.query = f"EIO=4&transport=polling&sid={sid}"

    @property
    def session(self) -> Session:
        return self.owner.engine.sessions[self.sid]

    async def get(self, node: Node, **keywords: Any) -> Response:
        return await node.handle(self.query, **keywords)

    async def post(self, node: Node, body: Any, **keywords: Any) -> Response:
        headers = list(keywords.pop("headers", ()))
        if isinstance(body, bytes) and not any(name == "content-length" for name, _ in headers):
            headers.append(("content-length", str(len(body))))
        return await node.handle(self.query, "POST", body=body, headers=headers, **keywords)

    async def upgrade(self, node: Node) -> FakeCarrier:
        """A WebSocket that asks to take over; it has said nothing yet."""
        request = make_request(f"EIO=4&transport=websocket&sid={self.sid}")
        async with asyncio.timeout(DEADLINE):
            joining, _ = await node.engine.admit(request)
        carrier = FakeCarrier()
        node.engine.open_websocket(request, joining, carrier)
        return carrier

    async def upgraded(self, node: Node) -> FakeCarrier:
        """The same, once it has taken over."""
        carrier = await self.upgrade(node)
        carrier.says("2probe")
        await until(lambda: carrier.sent == ["3probe"])
        carrier.sent.clear()
        carrier.says("5")
        await until(lambda: self.session.transport.name == "websocket")
        return carrier


async def client(node: Node, **keywords: Any) -> Poller:
    """A client in the main namespace, whose answer it has not fetched."""
    response = await node.handle(**keywords)
    assert response.status == 200, response
    poller = Poller(node, json.loads(response.body[1:].split(b"\x1e")[0])["sid"])
    await poller.post(node, b"40")
    await until(node.sessions)
    return poller


async def joined(node: Node) -> Poller:
    """The same, and it has."""
    poller = await client(node)
    response = await poller.get(node)
    assert response.body.startswith(b"40")
    return poller


@asynccontextmanager
async def cluster(
    count: int = 2, *, bus: Callable[[], Bus] | None = None, **options: Any
) -> AsyncIterator[list[Node]]:
    """Servers over one bus each, by default in this process."""
    exchange = Exchange()
    nodes = [Node(Factory(bus() if bus is not None else LoopBus(exchange)), **options) for _ in range(count)]
    for node in nodes:
        node.io.start()
        await node.bus.settled()
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.io.close()
