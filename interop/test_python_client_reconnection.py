"""Our client when connections break: against the official server and ours, over each transport."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

import pytest

from interop.clients import DEADLINE, TRANSPORTS, Heard, Visit, until
from interop.harness import HERE
from socketeer import AckTimeout, SocketDisconnected, TransportError
from socketeer.client.manager import Phase
from tests.support.proxy import Proxy

MANAGER = ("open", "error", "close", "reconnect_attempt", "reconnect", "reconnect_error", "reconnect_failed")

RUNNING: list[str] = []
"""Listeners that have not ended."""


def traced(client: Any, asynchronous: bool = False) -> list[list[Any]]:
    """What ``reference/client_trace.mjs`` tells, of ours."""
    trace: list[list[Any]] = []

    def listener(name: str, count: int) -> Any:
        def tell(*args: Any) -> None:
            trace.append([name, *args[:count]])

        async def tell_later(*args: Any) -> None:
            tell(*args)
            RUNNING.append(name)
            await asyncio.sleep(0.001)
            RUNNING.remove(name)

        return tell_later if asynchronous else tell

    for name in ("connect", "connect_error"):
        client.on(name, listener(name, 0))
    client.on("disconnect", listener("disconnect", 1))
    for name in MANAGER:
        client.io.on(name, listener(name, int(name in {"close", "reconnect_attempt", "reconnect"})))
    return trace


def official_trace(node: str, url: str, mode: str, **options: Any) -> list[list[Any]]:
    settings = {"reconnectionDelay": 10, "reconnectionDelayMax": 50, **options}
    done = subprocess.run(
        [node, "client_trace.mjs", url, json.dumps(settings), mode],
        cwd=HERE / "reference",
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_attempts_that_all_fail(
    visit: Visit, node: str, unused_tcp_port: int, asynchronous: bool
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    client = visit.client(url=url, reconnection_attempts=2)
    trace = traced(client, asynchronous)
    with pytest.raises(TransportError):
        await client.connect()
    async with asyncio.timeout(DEADLINE):
        assert await client.wait()
    await until(lambda: not RUNNING)
    transports = list(TRANSPORTS[visit.mode])
    assert trace == official_trace(node, url, "refused", reconnectionAttempts=2, transports=transports)
    assert (client.active, client.io.reconnecting) == (False, False)
    assert client.io.phase is Phase.CLOSED


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_coming_back(visit: Visit, node: str, asynchronous: bool) -> None:
    client = visit.client()
    trace = traced(client, asynchronous)
    await client.connect()
    await visit.settled(client)
    first, engine = client.id, client.io.engine
    assert engine is not None
    engine.close()
    await until(lambda: client.connected and client.id != first and not RUNNING)
    transports = list(TRANSPORTS[visit.mode])
    url = visit.peers.url("default")
    assert trace == official_trace(node, url, "back", transports=transports)


async def test_the_server_is_killed_and_comes_back(visit: Visit) -> None:
    server, url = visit.peers.start("default")
    try:
        client = await visit.connected(url=url)
        other = client.of("/other")
        await other.connect()
        heard, echoed = Heard().listen(client, "disconnect", "connect"), Heard().listen(client, "echo")
        failed = asyncio.create_task(client.emit_with_ack("silent"))
        await client.emit_with_ack("ack", timeout=5)
        server.stop()
        await heard.has(1)
        assert heard[0][1] in {"transport close", "transport error"}
        with pytest.raises(SocketDisconnected):
            await failed
        assert (client.active, client.connected, client.id) == (True, False, None)
        errors = Heard().listen(client, "connect_error").listen(client.io, "reconnect_error")
        client.emit("echo", 1)
        client.volatile.emit("echo", "volatile")
        kept = asyncio.create_task(client.emit_with_ack("ack", "kept"))
        with pytest.raises(AckTimeout):
            await client.emit_with_ack("echo", "too late", timeout=0.05)
        client.emit("echo", 2)
        third = client.of("/third")
        third.connect()
        await errors.has(2)
        assert set(errors.names()) == {"connect_error", "reconnect_error"}
        server, _ = await asyncio.to_thread(visit.peers.start, "default", int(url.rpartition(":")[2]))
        await until(lambda: client.connected and other.connected and third.connected)
        await echoed.has(2)
        assert await kept == "kept"
        assert await client.emit_with_ack("ack", "sent after", timeout=5) == "sent after"
        assert [each[1] for each in echoed] == [1, 2]
        assert heard.names() == ["disconnect", "connect"]
        await client.close()
    finally:
        server.stop()


async def test_the_first_connection_is_waited_for(visit: Visit) -> None:
    async with Proxy.before(visit.peers.url("default")) as proxy:
        await proxy.refuse()
        client = visit.client(url=proxy.url)
        errors = Heard().listen(client, "connect_error")
        connecting = asyncio.ensure_future(_await(client.connect()))
        await errors.has(2)
        assert not connecting.done()
        await proxy.allow()
        async with asyncio.timeout(DEADLINE):
            await connecting
        assert client.connected
        await client.close()


async def test_no_reconnection_unless_asked_for(visit: Visit) -> None:
    async with Proxy.before(visit.peers.url("default")) as proxy:
        client = await visit.connected(url=proxy.url, reconnection=False)
        heard = Heard().listen(client, "disconnect").listen(client.io, "reconnect_attempt")
        over = asyncio.create_task(client.wait())
        proxy.cut()
        async with asyncio.timeout(DEADLINE):
            reason = await over
        assert reason in {"transport close", "transport error"}
        assert heard.names() == ["disconnect"]
        assert not client.active
        await client.connect()
        await client.close()


async def test_a_connection_cut_before_the_namespace_is_joined(visit: Visit) -> None:
    async with Proxy.before(visit.peers.url("default")) as proxy:
        client = visit.client("/eager", url=proxy.url, reconnection=False)
        heard = Heard().listen(client, "connect_error", "disconnect")
        client.io.on("open", proxy.cut)
        with pytest.raises(TransportError) as caught:
            await client.connect()
        assert heard == [("connect_error", caught.value)]
        assert not client.active
        await client.close()


async def test_the_server_closes_the_connection(visit: Visit) -> None:
    client = await visit.connected()
    heard = Heard().listen(client, "disconnect", "connect")
    client.emit("close_connection")
    await heard.has(2)
    assert heard[0][:2] == ("disconnect", "transport close")
    assert heard[1] == ("connect",)


async def test_the_server_sends_what_is_no_packet(visit: Visit) -> None:
    client = await visit.connected()
    heard = Heard().listen(client, "disconnect", "connect")
    client.emit("garbage")
    await heard.has(2)
    assert heard[0][:2] == ("disconnect", "parse error")
    assert heard[1] == ("connect",)
    assert await client.emit_with_ack("ack", 1, timeout=5) == 1


async def test_a_heartbeat_that_does_not_come(visit: Visit) -> None:
    async with Proxy.before(visit.peers.url("heartbeat")) as proxy:
        client = await visit.connected(profile="heartbeat", url=proxy.url)
        pings = Heard().listen(client.io, "ping")
        await pings.has(2)
        heard = Heard().listen(client, "disconnect", "connect")
        proxy.stall()
        began = asyncio.get_running_loop().time()
        await heard.has(1)
        assert heard[0][:2] == ("disconnect", "ping timeout")
        assert asyncio.get_running_loop().time() - began < 1.5
        proxy.flow()
        await heard.has(2)
        assert await client.emit_with_ack("ack", 1, timeout=5) == 1
        await client.close()


@pytest.mark.parametrize("profile", ["default", "msgpack"])
async def test_a_connection_cut_within_a_binary_packet(visit: Visit, profile: str) -> None:
    mark = b"attachment" * 20
    async with Proxy.before(visit.peers.url(profile)) as proxy:
        client = await visit.connected(profile=profile, url=proxy.url)
        heard, echoed = Heard().listen(client, "disconnect", "connect"), Heard().listen(client, "echo")
        proxy.cut_before = (
            b"bYXR0YWNobWVudG" if visit.mode == "polling" and profile == "default" else mark[:20]
        )
        if visit.mode == "polling" and profile == "msgpack":
            proxy.cut_before = b"b"
        client.emit("echo", {"binary": mark})
        await heard.has(2)
        assert heard.names() == ["disconnect", "connect"]
        assert echoed == []
        client.emit("echo", {"binary": mark})
        await echoed.has(1)
        assert echoed == [("echo", {"binary": mark})]
        await client.close()


async def test_disconnecting_while_it_comes_back(visit: Visit) -> None:
    async with Proxy.before(visit.peers.url("default")) as proxy:
        client = await visit.connected(url=proxy.url)
        heard = Heard().listen(client, "disconnect").listen(client.io, "reconnect_attempt")
        await proxy.refuse()
        await until(lambda: len(heard) >= 3)
        over = asyncio.create_task(client.wait())
        await asyncio.sleep(0)
        client.disconnect()
        async with asyncio.timeout(DEADLINE):
            await over
        await client.io.closed()
        count = len(heard)
        await proxy.allow()
        await client.connect()
        assert client.connected
        assert len(heard) == count
        await client.close()


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "event", ["reconnect_attempt", "reconnect_error", "connect_error", "error", "reconnect"]
)
async def test_disconnecting_in_a_listener_of_the_manager(
    visit: Visit, event: str, asynchronous: bool
) -> None:
    async with Proxy.before(visit.peers.url("default")) as proxy:
        client = await visit.connected(url=proxy.url)

        async def leave_at_once(*_: Any) -> None:
            client.disconnect()

        heard = Heard().listen(client.io, "reconnect_attempt")
        listener: Any = leave_at_once if asynchronous else lambda *_: client.disconnect()
        target = client if event == "connect_error" else client.io
        if event == "reconnect":
            proxy.cut()
        else:
            await proxy.refuse()
        target.on(event, listener)
        await until(lambda: not client.active)
        await client.io.closed()
        assert len(heard) <= 2
        assert client.io.engine is None


async def test_connecting_again_after_the_last_attempt(visit: Visit) -> None:
    async with Proxy.before(visit.peers.url("default")) as proxy:
        await proxy.refuse()
        client = visit.client(url=proxy.url, reconnection_attempts=1)
        heard = Heard().listen(client.io, "reconnect_attempt", "reconnect_failed", "reconnect_error")
        client.io.once("reconnect_failed", client.connect)
        connecting = asyncio.ensure_future(_await(client.connect()))
        with pytest.raises(TransportError):
            await connecting
        await proxy.allow()
        await until(lambda: client.connected)
        assert heard.names()[:3] == ["reconnect_attempt", "reconnect_failed", "reconnect_error"]
        await client.close()


async def test_an_attempt_has_its_time(visit: Visit) -> None:
    async with Proxy.before(visit.peers.url("default")) as proxy:
        proxy.stall()
        client = visit.client(url=proxy.url, reconnection=False, timeout=0.05)
        with pytest.raises(TransportError, match="timeout"):
            await client.connect()
        await client.close()


async def _await(awaitable: Any) -> None:
    await awaitable
