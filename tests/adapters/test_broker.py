"""A bus over a broker: a small one of the test's own, over TCP, that can be ended and begun again."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import pytest

from socketeer.adapters.broker import BrokerBus, LinkOptions, Outgoing
from socketeer.adapters.health import LinkState
from socketeer.errors import BrokerUnavailable, MessageTooLarge

QUICK = LinkOptions(reconnection_delay=0.01, reconnection_delay_max=0.05, max_pending_bytes=1_000)


class LineBroker:
    """SUB and UNSUB with a channel, PUB with a channel and a payload, PING; each is answered by OK."""

    def __init__(self) -> None:
        self.port = 0
        self.server: asyncio.Server | None = None
        self.subscribers: dict[str, list[asyncio.StreamWriter]] = {}
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()
        self.subscribers.clear()
        await self.server.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(ConnectionError):
            while line := await reader.readline():
                verb, *rest = line.decode().split()
                if verb == "SUB":
                    self.subscribers.setdefault(rest[0], []).append(writer)
                elif verb == "UNSUB":
                    self.subscribers[rest[0]].remove(writer)
                elif verb == "PUB":
                    for each in self.subscribers.get(rest[0], ()):
                        each.write(f"MSG {rest[0]} {rest[1]}\n".encode())
                writer.write(b"OK\n")
        writer.transport.abort()


class LineBus(BrokerBus):
    def __init__(self, port: int, options: LinkOptions = QUICK) -> None:
        super().__init__(f"a broker at {port}", options, 500)
        self.port = port
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter | None = None
        self.answers: list[asyncio.Future[None]] = []

    async def _connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def _disconnect(self) -> None:
        for answer in self.answers:
            answer.cancel()
        self.answers.clear()
        if self.writer is not None:
            self.writer.transport.abort()
            self.writer = None

    async def _listen(self) -> None:
        while line := await self.reader.readline():
            verb, *rest = line.decode().split()
            if verb == "OK":
                self.answers.pop(0).set_result(None)
            else:
                self.received(rest[0], base64.b64decode(rest[1]))
        raise ConnectionError("the broker has ended")

    async def _say(self, *lines: str) -> None:
        assert self.writer is not None
        answers = [asyncio.get_running_loop().create_future() for _ in lines]
        self.answers += answers
        for line in lines:
            self.writer.write(f"{line}\n".encode())
        await asyncio.gather(*answers)

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        await self._say(*(f"PUB {each.channel} {base64.b64encode(each.payload).decode()}" for each in batch))

    async def _subscribe(self, add: Sequence[str], remove: Sequence[str]) -> None:
        await self._say(*(f"SUB {each}" for each in add), *(f"UNSUB {each}" for each in remove))

    async def _ping(self) -> None:
        await self._say("PING")

    async def subscribers(self, channel: str) -> int:
        raise NotImplementedError


@pytest.fixture
async def broker() -> AsyncIterator[LineBroker]:
    broker = LineBroker()
    await broker.start()
    yield broker
    await broker.stop()


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.005)


async def test_in_order_and_to_whom_it_is_for(broker: LineBroker) -> None:
    first, second = LineBus(broker.port), LineBus(broker.port)
    heard: list[bytes] = []
    second.subscribe("a", heard.append)
    for bus in (first, second):
        bus.start()
        await bus.settled()
    for number in range(50):
        first.publish("b" if number % 5 == 4 else "a", bytes([number]))
    await first.publish("a", b"end")
    await until(lambda: heard[-1:] == [b"end"])
    assert heard == [*(bytes([number]) for number in range(50) if number % 5 != 4), b"end"]
    assert (first.health.published, second.health.received) == (51, len(heard))
    second.unsubscribe("a", heard.append)
    await second.settled()
    assert broker.subscribers["a"] == []
    for bus in (first, second):
        await bus.close()
        assert bus.health.state is LinkState.IDLE


async def test_a_broker_that_dies_and_returns(broker: LineBroker, caplog: pytest.LogCaptureFixture) -> None:
    bus = LineBus(broker.port)
    heard: list[bytes] = []
    bus.subscribe("a", heard.append)
    bus.start()
    await bus.settled()
    await broker.stop()
    await until(lambda: bus.health.state is LinkState.AWAY)
    with pytest.raises(BrokerUnavailable):
        await bus.settled()
    waiting = asyncio.ensure_future(_accepted(bus, b"meanwhile"))
    await broker.start()
    await waiting
    await until(lambda: heard == [b"meanwhile"])
    assert (bus.health.ok, bus.health.reconnections, bus.health.lost) == (True, 1, 0)
    assert caplog.records[-1].getMessage().endswith("is back")
    await bus.close()


async def _accepted(bus: LineBus, payload: bytes) -> None:
    await bus.publish("a", payload)


async def test_no_more_waits_than_is_allowed(broker: LineBroker) -> None:
    await broker.stop()
    bus = LineBus(broker.port)
    bus.start()
    kept = [bus.publish("a", bytes(400)) for _ in range(2)]
    with pytest.raises(BrokerUnavailable):
        await bus.publish("a", bytes(400))
    with pytest.raises(MessageTooLarge):
        bus.publish("a", bytes(501))
    assert bus.health.lost == 1
    await broker.start()
    for each in kept:
        await each
    assert bus.health.published == 2
    await bus.close()


async def test_what_is_queued_leaves_before_the_last_user_closes(broker: LineBroker) -> None:
    bus, other = LineBus(broker.port), LineBus(broker.port)
    heard: list[bytes] = []
    other.subscribe("a", heard.append)
    for each in (bus, bus, other):
        each.start()
        await each.settled()
    bus.publish("a", b"1")
    await bus.close()
    assert bus.health.ok
    bus.publish("a", b"2")
    await bus.close()
    await until(lambda: heard == [b"1", b"2"])
    with pytest.raises(BrokerUnavailable, match="nothing serves"):
        await bus.publish("a", b"3")
    await other.close()


async def test_a_receiver_that_fails_ends_nothing(
    broker: LineBroker, caplog: pytest.LogCaptureFixture
) -> None:
    bus = LineBus(broker.port)
    heard: list[bytes] = []

    def fails(payload: bytes) -> None:
        raise LookupError

    bus.subscribe("a", fails)
    bus.subscribe("a", heard.append)
    bus.start()
    await bus.publish("a", b"1")
    await until(lambda: heard == [b"1"])
    assert "could not be handled" in caplog.text
    bus.received("a", bytes(2_001))
    assert bus.health.rejected == 1
    await bus.close()
