"""What our client promises about delivery: at least once with ``retries``, what was missed with recovery."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import uuid4

import pytest

from interop.clients import DEADLINE, Heard, Visit, until
from socketeer import AckTimeout, SocketDisconnected
from tests.support.proxy import Proxy

# --- at least once ------------------------------------------------------------------------------


async def noted(visit: Visit, key: str) -> list[Any]:
    """What the server has noted, in order."""
    observer = visit.client()
    await observer.connect()
    found: list[Any] = await observer.emit_with_ack("noted", key, timeout=5)
    return found


async def test_events_are_sent_until_they_are_acknowledged(visit: Visit) -> None:
    client, key = await visit.connected(retries=3, ack_timeout=0.05), uuid4().hex
    answers = [asyncio.create_task(client.emit_with_ack("note reluctantly", key, each, 3)) for each in "abc"]
    await asyncio.sleep(0)
    client.emit("note reluctantly", key, "d", 1)
    assert [await each for each in answers] == ["a", "b", "c"]
    await until(lambda: not client._outbound.retries)
    assert await noted(visit, key) == [*"aaabbbcccd"]


async def test_one_is_under_way_at_a_time(visit: Visit) -> None:
    client = await visit.connected(retries=3, ack_timeout=5)
    sent: list[float] = []
    client.on_any_outgoing(lambda *_: sent.append(asyncio.get_running_loop().time()))
    slow = asyncio.create_task(client.emit_with_ack("ack later", 40, "slow"))
    quick = asyncio.create_task(client.emit_with_ack("ack", "quick"))
    assert (await quick, await slow) == ("quick", "slow")
    assert sent[1] - sent[0] > 0.03


async def test_tries_end(visit: Visit) -> None:
    client, key = await visit.connected(retries=2, ack_timeout=0.05), uuid4().hex
    with pytest.raises(AckTimeout):
        await client.emit_with_ack("note reluctantly", key, "a", 9)
    assert await client.emit_with_ack("note", key, "b") == "b"
    assert await noted(visit, key) == ["a", "a", "a", "b"]


async def test_a_disconnection_counts_as_a_try(visit: Visit) -> None:
    client, key = await visit.connected(retries=2), uuid4().hex
    heard = Heard().listen(client, "disconnect")
    with pytest.raises(SocketDisconnected):
        await client.emit_with_ack("note and leave", key, "a")
    assert len(heard) == 3
    assert await client.emit_with_ack("note", key, "b") == "b"
    assert await noted(visit, key) == ["a", "a", "a", "b"]


async def test_without_a_time_out_nothing_is_sent_twice_on_one_connection(visit: Visit) -> None:
    client, key = await visit.connected(retries=2), uuid4().hex
    answer = asyncio.create_task(client.emit_with_ack("note reluctantly", key, "a", 2))
    await asyncio.sleep(0)
    client.emit("note", key, "b")
    await until(lambda: len(client._outbound.acks) == 1)
    assert await noted(visit, key) == ["a"]
    await asyncio.sleep(0.1)
    assert await noted(visit, key) == ["a"]
    engine = client.io.engine
    assert engine is not None
    engine.close()
    assert await answer == "a"
    await until(lambda: not client._outbound.retries)
    assert await noted(visit, key) == ["a", "a", "b"]


async def test_what_cannot_be_sent_is_told_at_once_and_holds_nothing_up(visit: Visit) -> None:
    client, key = await visit.connected(retries=2, ack_timeout=1), uuid4().hex
    client.emit("note", key, 1)
    with pytest.raises(TypeError):
        client.emit("note", key, object())
    with pytest.raises(TypeError):
        await client.emit_with_ack("note", key, object())
    assert await client.emit_with_ack("note", key, 2) == 2
    assert await noted(visit, key) == [1, 2]


async def test_retries_with_connections_cut_at_random(visit: Visit) -> None:
    chance, key, count = random.Random(visit.mode), uuid4().hex, 60
    async with Proxy.before(visit.peers.url("default")) as proxy:
        client = await visit.connected(url=proxy.url, retries=1_000_000, ack_timeout=2)
        answers = []
        for number in range(count):
            answers.append(asyncio.create_task(client.emit_with_ack("note", key, number)))
            await asyncio.sleep(chance.random() * 0.004)
            if chance.random() < 0.15:
                proxy.cut()
        async with asyncio.timeout(DEADLINE):
            assert [await each for each in answers] == list(range(count))
        came = await noted(visit, key)
        # At least once, in order: an event may come again, but only before the next one does.
        assert [each for at, each in enumerate(came) if at == 0 or came[at - 1] != each] == list(range(count))
        assert proxy.accepted > 1
        await client.close()


# --- connection state recovery --------------------------------------------------------------------


async def test_what_was_missed_comes_before_connect(visit: Visit) -> None:
    for _ in range(10):
        if await missed(visit):
            return
        # A cut between two polls goes unnoticed by the server, which then has no session to give back.
        assert visit.mode == "polling", "not recovered"
    raise AssertionError("never recovered")


async def missed(visit: Visit) -> bool:
    """Cut a connection, send what it misses, and let it come back; whether it was recovered, and then rightly."""
    async with Proxy.before(visit.peers.url("recovery")) as proxy:
        talker = await visit.connected(profile="recovery")
        client = await visit.connected(profile="recovery", url=proxy.url)
        event = f"event {uuid4().hex}"
        order: list[Any] = []
        client.on(event, lambda value, data, *_: order.append((value, data)))
        client.on("connect", lambda: order.append("connect"))
        talker.emit("to all", event, 0, b"\0")
        await until(lambda: len(order) == 1)
        first = client.id
        await proxy.refuse()
        await until(lambda: not client.connected)
        for number in range(1, 4):
            await talker.emit_with_ack("relay", {"via": "nsp"}, event, number, bytes([number]), timeout=5)
        client.emit("echo", "kept")
        await proxy.allow()
        await until(lambda: client.connected)
        if client.recovered:
            assert order == [(0, b"\0"), (1, b"\1"), (2, b"\2"), (3, b"\3"), "connect"]
            assert client.id == first
        assert await client.emit_with_ack("ack", "after", timeout=5) == "after"
        await client.close()
        return client.recovered


async def test_recovery_is_refused_after_a_restart(visit: Visit) -> None:
    server, url = visit.peers.start("recovery")
    try:
        client = await visit.connected(profile="recovery", url=url)
        await client.emit_with_ack("relay", {"via": "nsp"}, "anything", timeout=5)
        first, offset = client.id, client._offset
        assert offset
        server.stop()
        await until(lambda: not client.connected)
        server, _ = await asyncio.to_thread(visit.peers.start, "recovery", int(url.rpartition(":")[2]))
        await until(lambda: client.connected)
        assert (client.recovered, client._offset) == (False, None)
        assert client.id != first
        await client.close()
    finally:
        server.stop()


async def test_recovery_with_connections_cut_at_random(visit: Visit) -> None:
    chance, count = random.Random(visit.mode), 60
    async with Proxy.before(visit.peers.url("recovery")) as proxy:
        talker = await visit.connected(profile="recovery")
        client = await visit.connected(profile="recovery", url=proxy.url)
        event = f"event {uuid4().hex}"
        heard: list[Any] = []
        client.on(event, lambda value, data, *_: heard.append((value, data)))
        fresh = Heard()
        client.on("connect", lambda: None if client.recovered else fresh.append(client.id))
        await talker.emit_with_ack("relay", {"via": "nsp"}, event, 0, b"\0", timeout=5)
        await until(lambda: heard)
        for number in range(1, count):
            await talker.emit_with_ack("relay", {"via": "nsp"}, event, number, bytes([number]), timeout=5)
            if chance.random() < 0.15:
                proxy.cut()
            await asyncio.sleep(chance.random() * 0.004)
        await until(lambda: client.connected)
        while heard[-1][0] < count:  # the session of the last moment may be a fresh one
            await talker.emit_with_ack("relay", {"via": "nsp"}, event, count, b"end", timeout=5)
            await asyncio.sleep(0.02)
        numbers = [number for number, _ in heard if number < count]
        # Once, in order, with what belongs to it; and nothing is missing unless the server did not know us any more.
        assert numbers == sorted(set(numbers))
        assert all(data == bytes([number]) for number, data in heard if number < count)
        if not fresh:
            assert numbers == list(range(count))
        # Between two polls, a server does not see that the client is gone: there is nothing to recover yet.
        assert not fresh or visit.mode == "polling"
        assert proxy.accepted > 1
        await client.close()
