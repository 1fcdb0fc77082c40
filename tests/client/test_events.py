"""Events as an asynchronous iterator, over the official server and ours."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from socketeer import Client, Event, OptionError, Overflow
from tests.support.official import Running, server

__all__ = ["server"]


@pytest_asyncio.fixture
async def client(server: Running) -> AsyncIterator[Client]:
    async with (
        asyncio.timeout(30),
        Client(f"{server.url}?tag={uuid.uuid4().hex}", reconnection_delay=0.05) as one,
    ):
        yield one


async def settled(client: Client) -> None:
    """Everything that the server has sent before this has come."""
    await client.emit_with_ack("ack", timeout=10)


def taps(client: Client) -> int:
    """How many streams listen."""
    watch = client._watch
    return 0 if watch is None else len(watch.taps)


async def test_events_one_after_the_other_until_the_end(client: Client) -> None:
    found: list[tuple[str, tuple[Any, ...]]] = []
    client.emit("echo", 1, b"\x00")
    client.emit("message", "two")
    client.emit("disconnect_me", False)
    async for event in client.events():
        assert not event.ack.wanted
        found.append((event.name, event.args))
    assert found == [("echo", (1, b"\x00")), ("message", ("two",))]
    assert client.disconnected
    assert taps(client) == 0


async def test_an_event_that_wants_an_acknowledgement(client: Client) -> None:
    async with client.events("question") as events:
        asking = asyncio.ensure_future(client.emit_with_ack("ask", "question", 5000, [1], timeout=10))
        event = await anext(events)
        assert event.ack.wanted
        event.ack("the", "answer")
        assert await asking == {"value": ["the", "answer"]}


async def test_it_goes_on_over_a_reconnection(client: Client) -> None:
    async with client.events("echo") as events:
        client.emit("echo", "before")
        assert (await anext(events)).args == ("before",)
        again = asyncio.Event()
        client.io.on("reconnect", lambda attempt: again.set())
        client.emit("close_connection")
        waiting = asyncio.ensure_future(anext(events))
        await again.wait()
        client.emit("echo", "after")
        assert (await waiting).args == ("after",)


async def test_several_at_once_and_listeners_beside_them(client: Client) -> None:
    heard: list[int] = []
    client.on("echo", heard.append)
    async with client.events() as everything, client.events("message", "other") as some:
        client.emit("echo", 1)
        client.emit("message", 2)
        assert [(await anext(everything)).args, (await anext(everything)).args] == [(1,), (2,)]
        assert (await anext(some)).args == (2,)
        client.off_any()  # forgets listeners, which a stream is not
        client.emit("message", 3)
        assert (await anext(some)).args == (3,)
    assert heard == [1]


async def test_made_before_connecting_it_misses_nothing(server: Running) -> None:
    client = Client(f"{server.url}/eager")
    events = client.events()
    async with asyncio.timeout(10), client:
        assert (await anext(events)).args == ("from the middleware",)
        assert (await anext(events)).args == ("from the connection handler",)
    assert [event async for event in events] == []


async def test_it_ends_where_no_connection_can_be_made() -> None:
    client = Client("http://127.0.0.1:9", reconnection=False)
    events = client.events()
    client.connect()
    assert [event async for event in events] == []


@pytest.mark.parametrize(
    ("overflow", "kept"), [(Overflow.DROP_OLDEST, [3, 4, 5]), (Overflow.DROP_NEWEST, [0, 1, 2])]
)
async def test_when_the_queue_is_full(client: Client, overflow: Overflow, kept: list[int]) -> None:
    events = client.events("burst", max_queued=3, overflow=overflow)
    client.emit("burst", "burst", 6, False)
    await settled(client)
    assert events.dropped == 3
    assert [(await anext(events)).args[0] for _ in range(3)] == kept


async def test_when_the_queue_is_full_it_may_disconnect(client: Client) -> None:
    events = client.events(max_queued=3, overflow=Overflow.DISCONNECT)
    client.emit("burst", "burst", 6, False)
    assert await client.wait() == "io client disconnect"
    assert [event.args[0] async for event in events] == [0, 1, 2]
    assert events.dropped > 0


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "many"])
async def test_a_size_that_is_none(client: Client, size: Any) -> None:
    with pytest.raises(OptionError, match="max_queued: expected a whole number, 1 or more"):
        client.events(max_queued=size)
    with pytest.raises(ValueError, match="lose some"):
        client.events(overflow="lose some")  # type: ignore[arg-type]
    assert taps(client) == 0


# --- leaving early ----------------------------------------------------------------------------------


async def test_a_stream_that_is_left_listens_no_more(client: Client) -> None:
    async def first() -> Event:
        async for event in client.events("echo"):
            return event
        raise AssertionError("the stream has ended")

    client.emit("echo", 1)
    assert (await first()).args == (1,)
    gc.collect()
    await asyncio.sleep(0)  # the collector may run in any thread: it leaves the rest to the loop
    assert taps(client) == 0


async def test_a_stream_that_is_closed_ends_for_those_who_wait(client: Client) -> None:
    events = client.events()
    waiting = asyncio.ensure_future(anext(events, None))
    await asyncio.sleep(0)
    await events.aclose()
    assert await waiting is None
    await events.aclose()
    assert taps(client) == 0
    assert client.connected


async def test_a_call_that_is_cancelled_loses_nothing(client: Client) -> None:
    async with client.events() as events:
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        client.emit("echo", 1)
        assert (await anext(events)).args == (1,)


async def test_several_may_take_from_one_stream(client: Client) -> None:
    async with client.events("burst") as events:
        takers = [asyncio.ensure_future(anext(events)) for _ in range(3)]
        client.emit("burst", "burst", 3, False)
        assert sorted([(await each).args[0] for each in takers]) == [0, 1, 2]
