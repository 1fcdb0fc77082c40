"""The adapter of one machine, over a real hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.local import LocalAdapter, LocalBus
from socketeer.adapters.local_frames import MAX_MESSAGE, VERSION, Kind, encode
from socketeer.adapters.local_hub import Hub
from socketeer.errors import BrokerUnavailable, MessageTooLarge, OptionError
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from tests.adapters.local_nodes import QUICK, joined, until

HELLO = encode(Kind.HELLO, body=VERSION)


class TestLocal(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        self.hub = Hub()
        path = await self.hub.start()
        return [BaseServer(adapter=LocalAdapter(path), **options) for _ in range(count)]

    async def close_servers(self, servers: Sequence[BaseServer]) -> None:
        await super().close_servers(servers)
        await self.hub.close()


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub()
    await hub.start()
    yield hub
    await hub.close()


async def test_what_is_published_arrives_in_order_at_all_others(hub: Hub) -> None:
    nodes = [await joined(hub.path) for _ in range(3)]
    (one, own), *others = nodes
    sent = [b"%d" % number * (number % 7 * 1000) for number in range(1000)]
    outgoing = [one.publish("c", each) for each in sent]
    one.publish("nobody", b"")
    await outgoing[-1]
    for bus, heard in others:
        await until(lambda heard=heard: len(heard) == len(sent))  # type: ignore[misc]
        assert heard == sent
        assert bus.health.received == len(sent)
    assert own == []
    assert (one.health.lost, await one.subscribers("c"), await one.subscribers("nobody")) == (0, 3, 0)
    for bus, _ in nodes:
        await bus.close()


async def test_the_largest_message_and_one_byte_more(hub: Hub) -> None:
    (one, _), (other, heard) = await joined(hub.path), await joined(hub.path)
    largest = bytes(MAX_MESSAGE)
    await one.publish("c", largest)
    await until(lambda: len(heard) == 1)
    assert heard == [largest]
    with pytest.raises(MessageTooLarge):
        one.publish("c", bytes(MAX_MESSAGE + 1))
    await one.close()
    await other.close()


@pytest.mark.parametrize("channel", ["", "é" * 5000, "x" * 512, "\ud800", "\x00"])
async def test_any_name_of_a_channel(hub: Hub, channel: str) -> None:
    (one, _), (other, heard) = await joined(hub.path, channel), await joined(hub.path, channel)
    await one.publish(f"{channel}x", b"other")
    await one.publish(channel, b"mine")
    await until(lambda: bool(heard))
    assert heard == [b"mine"]
    other.unsubscribe(channel, heard.append)
    await other.settled()
    assert await one.subscribers(channel) == 1
    await one.close()
    await other.close()


# --- hostile bytes from the hub -------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        encode(Kind.HELLO, body=b"socketeer 0"),
        HELLO + encode(Kind.SUBSCRIBE, b"c"),
        HELLO + encode(Kind.PONG, body=b"1"),
        HELLO + encode(Kind.COUNTED, body=b"1"),
        HELLO + b"\xff\xff\xff\xff",
    ],
)
async def test_hostile_bytes_from_the_hub(said: bytes, tmp_path: Path) -> None:
    """The link is given up, and made again."""
    visits = 0

    async def hostile(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        visits += 1
        writer.write(said)
        with suppress(ConnectionError):
            await writer.drain()
        await _reader.read()
        writer.close()

    path = str(tmp_path / "hub")
    server = await asyncio.start_unix_server(hostile, path)
    bus = LocalBus(path, link=QUICK)
    bus.subscribe("c", lambda payload: None)
    bus.start()
    await until(lambda: visits > 2)
    assert bus.health.reason is not None
    with pytest.raises(BrokerUnavailable):
        await bus.subscribers("c")
    await bus.close()
    server.close()
    await server.wait_closed()


async def test_messages_that_no_node_sends_are_counted(hub: Hub) -> None:
    io = BaseServer(adapter=LocalAdapter(hub.path, "p"))
    io.start()
    await io.adapter.ready()  # type: ignore[attr-defined]
    bus, _ = await joined(hub.path)
    for each in (b"", b"\xff", b"{", b'{"uid":5}', b"[]"):
        await bus.publish("p#/#", each)
    health = io.adapter.health  # type: ignore[attr-defined]
    await until(lambda: health.rejected == 5)
    assert health.ok
    await bus.close()
    await io.close()


# --- the hub's end ------------------------------------------------------------


async def test_a_hub_that_comes_back_finds_everything_subscribed(tmp_path: Path) -> None:
    path = str(tmp_path / "hub")
    hub = Hub()
    await hub.start(path)
    (one, _), (other, heard) = await joined(path), await joined(path)
    for number in range(3):
        await hub.close()
        await until(lambda: not one.health.ok and not other.health.ok)
        with pytest.raises(BrokerUnavailable):
            await one.subscribers("c")
        kept = one.publish("c", b"%d" % number)
        hub = Hub()
        await hub.start(path)
        await until(lambda: other.health.ok)
        await kept
        assert await other.subscribers("c") == 2
        await one.publish("c", b"after")
        await until(lambda: heard[-1:] == [b"after"])
    assert other.health.reconnections == 3
    await one.close()
    await other.close()
    await hub.close()


async def test_closing_while_somebody_asks(hub: Hub) -> None:
    bus, _ = await joined(hub.path)
    asking = [asyncio.ensure_future(bus.subscribers("c")) for _ in range(3)]
    await asyncio.sleep(0)
    await bus.close()
    for each in await asyncio.gather(*asking, return_exceptions=True):
        assert each == 1 or isinstance(each, BrokerUnavailable)


async def test_a_node_that_was_cut_off_comes_back_by_itself(hub: Hub) -> None:
    (one, _), (other, heard) = await joined(hub.path), await joined(hub.path)
    for node in list(hub._nodes):
        node.abort()
    await until(lambda: one.health.reconnections == 1 and other.health.reconnections == 1)
    await one.publish("c", b"again")
    await until(lambda: heard == [b"again"])
    await one.close()
    await other.close()


async def test_a_hub_that_hangs_bounds_what_waits(tmp_path: Path) -> None:
    """It is connected and does not read: the queue fills up to its limit, and what is lost is counted."""

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        await reader.readexactly(len(HELLO))
        while b"end" not in (data := await reader.readexactly(frame_size)):
            if data[4] == Kind.PING:
                writer.write(encode(Kind.PONG, body=data[7:]))
        await over.wait()
        writer.close()

    frame_size = 15
    over = asyncio.Event()
    path = str(tmp_path / "hub")
    server = await asyncio.start_unix_server(hangs, path, limit=1024)
    bus = LocalBus(path, link=LinkOptions(max_pending_bytes=2_000_000))
    bus.start()
    await until(lambda: bus.health.ok)
    await bus.publish("x", b"end----")
    last = None
    for _ in range(100):
        last = bus.publish("x", bytes(100_000))
        await asyncio.sleep(0)
    with pytest.raises(BrokerUnavailable, match="max_pending_bytes"):
        await last  # type: ignore[misc]
    assert bus.health.lost > 50
    over.set()
    await bus.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("path", ["", None, 5])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(OptionError, match="path"):
        LocalAdapter(path)
