"""Our client against the official server and against ours: servers as processes, clients that must leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from interop.harness import HERE, Process
from socketeer import Server
from socketeer.client.client import Client

DEADLINE = 15.0
"""Seconds that anything may take."""

TRANSPORTS: dict[str, tuple[Any, ...]] = {
    "polling": ("polling",),
    "websocket": ("websocket",),
    "upgrade": ("polling", "websocket"),
}
QUICK: dict[str, Any] = {"reconnection_delay": 0.01, "reconnection_delay_max": 0.05}


class Peers:
    """The servers of one kind, started when a test first asks for them."""

    def __init__(self, kind: str, node: str) -> None:
        self.kind = kind
        self._node = node
        self._running: dict[str, tuple[Process, str]] = {}

    def start(self, profile: str, port: int = 0) -> tuple[Process, str]:
        """A new server and its URL."""
        if (
            profile == "recovery"
            and self.kind == "ours"
            and "connection_state_recovery" not in inspect.signature(Server).parameters
        ):
            pytest.skip("our server does not offer connection state recovery yet")
        arguments = [profile, str(port)]
        if self.kind == "official":
            process = Process([self._node, "for_clients.mjs", *arguments], HERE / "reference")
        else:
            process = Process([sys.executable, "-m", "interop.for_clients", *arguments], HERE.parent)
        try:
            return process, process.find(lambda document: "url" in document)["url"]
        except AssertionError:
            process.stop()
            raise

    def url(self, profile: str) -> str:
        """The URL of the server that all tests of this profile share."""
        if profile not in self._running:
            self._running[profile] = self.start(profile)
        return self._running[profile][1]

    def stop(self) -> None:
        for process, _ in self._running.values():
            process.stop()


class Visit:
    """One test's clients, of one server, over one kind of transport."""

    def __init__(self, peers: Peers, mode: str) -> None:
        self.peers = peers
        self.mode = mode
        self.clients: list[Client] = []
        self.complaints: list[dict[str, Any]] = []

    def client(
        self, namespace: str = "/", profile: str = "default", url: str | None = None, **options: Any
    ) -> Client:
        """A client that is closed when the test ends."""
        base = url or self.peers.url(profile)
        settings = {"transports": TRANSPORTS[self.mode], **QUICK, **options}
        if profile == "msgpack":
            settings["parser"] = "msgpack"
        client = Client(base + namespace, **settings)
        self.clients.append(client)
        return client

    async def connected(self, *args: Any, **options: Any) -> Client:
        """The same, connected, and where it upgrades, upgraded."""
        client = self.client(*args, **options)
        await client.connect()
        await self.settled(client)
        return client

    async def settled(self, client: Client) -> None:
        """Wait until the client has the transport that it is to keep."""
        if self.mode == "upgrade":
            engine = client.io.engine
            assert engine is not None
            await until(lambda: engine.transport.name == "websocket")


@asynccontextmanager
async def visiting(peers: Peers, mode: str) -> AsyncIterator[Visit]:
    visit = Visit(peers, mode)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: visit.complaints.append(context))
    before = asyncio.all_tasks()
    yield visit
    async with asyncio.timeout(DEADLINE):
        for client in visit.clients:
            await client.close()
        for client in visit.clients:
            client.off()
            client.io.off()
        # Listeners of the test's own may still run to their end.
        here = before | {asyncio.current_task()}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                while asyncio.all_tasks() - here:  # noqa: ASYNC110 - tasks of others have no event
                    await asyncio.sleep(0)
    left = asyncio.all_tasks() - here
    gc.collect()
    await asyncio.sleep(0)
    assert not visit.complaints, visit.complaints
    assert not left, left
    for client in visit.clients:
        assert len(client._outbound.acks) == 0 or client.send_buffer, client


async def until(condition: Callable[[], Any]) -> None:
    """Wait until it holds, but not for ever."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.002)


class Heard(list[Any]):
    """What a listener has been called with, in order."""

    def listen(self, target: Any, *events: str) -> Heard:
        for event in events:
            target.on(event, self._listener(event))
        return self

    def _listener(self, event: str) -> Callable[..., None]:
        return lambda *args: self.append((event, *args))

    async def has(self, count: int) -> None:
        await until(lambda: len(self) >= count)

    def names(self) -> list[str]:
        return [each[0] for each in self]
