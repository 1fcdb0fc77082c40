"""Servers that are killed, and a Redis that goes, while sessions are served by other nodes: official clients come back."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from interop.harness import HERE, Process
from interop.without_stickiness import START
from tests.support import requirements
from tests.support.proxy import Proxy
from tests.support.raw import POLLING, Response, fetch
from tests.support.round_robin import RoundRobin, elsewhere, round_robin


class House:
    """Two servers; sessions begin at the first, and all else lands on the second."""

    def __init__(self, servers: list[Process], proxy: RoundRobin, port: int) -> None:
        self.servers = servers
        self.proxy = proxy
        self.url = f"http://127.0.0.1:{port}"
        self.clients: list[Process] = []

    async def client(self, node: str, mode: str) -> Process:
        """One that is connected, and has settled on its transport."""
        client = Process([node, "reconnecting.mjs", self.url, mode], HERE / "reference")
        self.clients.append(client)
        await find(client, "connected")
        if mode == "upgrade":
            await find(client, "upgraded")
        assert await ask(client, "ack", 1) == 1
        async with asyncio.timeout(30):
            while not self.proxy.waiting[self.proxy.ports[1]]:  # noqa: ASYNC110 - the client polls soon
                await asyncio.sleep(0.01)
        return client


async def find(process: Process, key: str) -> Any:
    document = await asyncio.to_thread(process.find, lambda each: key in each)
    return document[key]


async def ask(client: Process, *event: Any) -> Any:
    client.write(json.dumps(event))
    return await find(client, "answer")


@asynccontextmanager
async def house(redis: str) -> AsyncIterator[House]:
    key = f"interop-{secrets.token_hex(8)}"
    command = [sys.executable, "-m", "interop.server_app", "default", redis, key]
    servers = [Process(command, HERE.parent) for _ in range(2)]
    made = None
    try:
        urls = [(await asyncio.to_thread(each.read, START))["url"] for each in servers]
        ports = [urlsplit(url).port or 0 for url in urls]
        async with round_robin(ports, elsewhere) as (proxy, port):
            made = House(servers, proxy, port)
            yield made
            for client in made.clients:
                client.stop()
    finally:
        for process in servers:
            process.stop()


@pytest.mark.parametrize("mode", ["polling", "upgrade"])
async def test_an_owner_that_is_killed(node: str, mode: str) -> None:
    """What belonged to it is gone, which is found out soon; its clients come back to another one."""
    async with house(requirements.redis()) as there:
        client = await there.client(node, mode)
        owner, other = there.servers
        os.kill(owner.pid, signal.SIGKILL)
        there.proxy.ports = [there.proxy.ports[1]] * 2
        await find(client, "disconnected")
        await find(client, "connected")
        assert await ask(client, "ack", 2) == 2
        assert other.running


async def test_a_poll_to_an_owner_that_has_been_killed_is_answered_soon(node: str) -> None:
    async with house(requirements.redis()) as there:
        client = Process([node, "reconnecting.mjs", there.url, "polling"], HERE / "reference")
        there.clients.append(client)
        sid = await find(client, "connected")
        os.kill(there.servers[0].pid, signal.SIGKILL)
        begun = time.monotonic()
        answer = await fetch(there.proxy.ports[1], target=f"{POLLING}&sid={sid}")
        assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)
        assert time.monotonic() - begun < 10  # a second, on a machine that has nothing else to do


@pytest.mark.parametrize("mode", ["polling", "upgrade"])
async def test_a_node_between_that_is_killed(node: str, mode: str) -> None:
    """The owner ends the sessions that hung on it; their clients come back."""
    async with house(requirements.redis()) as there:
        client = await there.client(node, mode)
        owner, between = there.servers
        os.kill(between.pid, signal.SIGKILL)
        there.proxy.ports = [there.proxy.ports[0]] * 2
        await find(client, "disconnected")
        await find(client, "connected")
        assert await ask(client, "ack", 2) == 2
        ended = await asyncio.to_thread(owner.find, lambda entry: entry.get("kind") == "disconnect")
        assert ended["reason"] in {
            "transport error",
            "transport close",
        }  # the latter where the client comes first


# The proxy before Redis is cut while servers are connecting through it: a connection that has just been accepted is lost.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mode", ["polling", "upgrade"])
async def test_a_redis_that_cannot_be_reached(node: str, mode: str) -> None:
    """What lands on the wrong node is refused at once; when Redis is back, so are all."""
    async with Proxy.before(requirements.redis()) as redis, house(f"redis://127.0.0.1:{redis.port}") as there:
        client = await there.client(node, mode)

        async def refused_with(status: int) -> None:
            async with asyncio.timeout(60):
                while (await stray(there)).status != status:  # noqa: ASYNC110 - other processes do it
                    await asyncio.sleep(0.05)

        await redis.refuse()
        await refused_with(503)
        await redis.allow()
        await refused_with(400)
        async with asyncio.timeout(60):
            while await ask(client, "ack", 2) != 2:
                pass


async def stray(there: House) -> Response:
    """A poll of a session of nobody's, at the second server."""
    return await fetch(there.proxy.ports[1], target=f"{POLLING}&sid=abcdef{secrets.token_hex(7)}")
