"""The link to a broker, over a small real one: what arrives, what waits, what is lost, and how it comes back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import pytest

from socketeer.adapters.broker import BrokerBus, LinkOptions, Outgoing
from socketeer.adapters.health import LinkState
from socketeer.errors import BrokerUnavailable, MessageTooLarge, OptionError

DEADLINE = 5.0


class Broker:
    """A broker on loopback that speaks in lines: ``SUB c``, ``UNSUB c``, ``PUB c payload``, ``PING``.

    It answers each with ``OK``, and gives who has subscribed ``MSG c payload``.
    """

    def __init__(self) -> None:
        self.port = 0
        self.published: list[bytes] = []
        self.subscribed: dict[asyncio.StreamWriter, set[bytes]] = {}
        self.open = asyncio.Event()
        """Whether it reads on."""
        self.open.set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self.subscribed):
            writer.transport.abort()
        await self.until(lambda: not self.subscribed)
        await self._server.wait_closed()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until it is so, looking whenever something has happened."""
        async with asyncio.timeout(DEADLINE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.subscribed[writer] = set()
        try:
            with suppress(ConnectionError):
                while line := await reader.readline():
                    await self.open.wait()
                    self._obey(writer, *line.rstrip(b"\n").split(b" ", 2))
                    self._changed.set()
        finally:
            del self.subscribed[writer]
            writer.close()
            self._changed.set()

    def _obey(self, writer: asyncio.StreamWriter, verb: bytes, *args: bytes) -> None:
        if verb == b"SUB":
            self.subscribed[writer].add(args[0])
        elif verb == b"UNSUB":
            self.subscribed[writer].discard(args[0])
        elif verb == b"PUB":
            channel, payload = args
            self.published.append(payload)
            for each, channels in self.subscribed.items():
                if channel in channels:
                    each.write(b"MSG %b %b\n" % (channel, payload))
        writer.write(b"OK\n")


class LineBus(BrokerBus):
    """A bus over it. What begins with ``refuse`` is refused by itself, as brokers do with what they cannot bear."""

    def __init__(self, port: int, options: LinkOptions) -> None:
        super().__init__("the test's broker", options, 1000)
        self.port = port
        self._writer: asyncio.StreamWriter | None = None
        self._answers: list[asyncio.Future[None]] = []

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def _disconnect(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer.cancel()
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
            await writer.wait_closed()

    async def _listen(self) -> None:
        while line := await self._reader.readline():
            verb, *args = line.rstrip(b"\n").split(b" ", 2)
            if verb == b"MSG":
                self.received(args[0].decode(), args[1])
            else:
                answer = self._answers.pop(0)
                if not answer.done():
                    answer.set_result(None)
        raise ConnectionError("it hung up")

    async def _ask(self, *lines: bytes) -> None:
        assert self._writer is not None
        answers = [asyncio.get_running_loop().create_future() for _ in lines]
        self._answers += answers
        self._writer.writelines(line + b"\n" for line in lines)
        for answer in answers:
            await answer

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        lines = []
        for each in batch:
            if each.payload.startswith(b"refuse"):
                each.failed(BrokerUnavailable("refused by itself"))
            else:
                lines.append(b"PUB %b %b" % (each.channel.encode(), each.payload))
        await self._ask(*lines)

    async def _subscribe(self, add: Sequence[str], remove: Sequence[str]) -> None:
        await self._ask(
            *(b"SUB " + each.encode() for each in add), *(b"UNSUB " + each.encode() for each in remove)
        )

    async def _ping(self) -> None:
        await self._ask(b"PING")

    async def subscribers(self, channel: str) -> int:
        raise NotImplementedError


class Heard:
    """What has come on a channel, and a way to wait for it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._more = asyncio.Event()

    def __call__(self, payload: bytes) -> None:
        self.messages.append(payload)
        self._more.set()

    async def count(self, number: int) -> list[bytes]:
        async with asyncio.timeout(DEADLINE):
            while len(self.messages) < number:
                self._more.clear()
                await self._more.wait()
        return self.messages


class Setting:
    """A broker, and buses that are closed at the end."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.buses: list[LineBus] = []

    def bus(self, **options: float) -> LineBus:
        defaults: dict[str, float] = {"reconnection_delay": 0.01, "reconnection_delay_max": 0.02}
        bus = LineBus(self.broker.port, LinkOptions(**{**defaults, **options}))  # type: ignore[arg-type]
        bus.start()
        self.buses.append(bus)
        return bus

    async def cut(self, bus: LineBus) -> None:
        """Stop the broker, and wait until the bus knows."""
        await self.broker.stop()
        await is_away(bus)


async def is_away(bus: LineBus) -> None:
    """A bus that is away says so at once; before, each subscription is answered or fails with the link."""
    async with asyncio.timeout(DEADLINE):
        while True:
            bus.subscribe("probe", _ignore)
            try:
                await bus.settled()
            except BrokerUnavailable:
                return
            finally:
                bus.unsubscribe("probe", _ignore)


def _ignore(_payload: bytes) -> None:
    pass


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    setting = Setting()
    await setting.broker.start()
    yield setting
    setting.broker.open.set()
    for bus in setting.buses:
        await bus.close()
    await setting.broker.stop()


def numbers(first: int, last: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, last)]


async def test_what_is_published_arrives_in_order(setting: Setting) -> None:
    a, b = setting.bus(), setting.bus()
    heard, twice = Heard(), Heard()
    b.subscribe("news", heard)
    b.subscribe("news", twice)
    await b.settled()
    for each in numbers(0, 500):
        a.publish("news", each)
    await a.publish("other", b"not for b")
    assert await heard.count(500) == await twice.count(500) == numbers(0, 500)
    assert (a.health.published, b.health.received, a.health.lost) == (501, 500, 0)


async def test_a_subscription_is_in_effect_once_it_is_settled(setting: Setting) -> None:
    bus = setting.bus()
    await bus.settled()
    setting.broker.open.clear()
    bus.subscribe("news", _ignore)
    settled = asyncio.create_task(bus.settled())
    for _ in range(20):  # by now the broker has been told, and has not answered
        await asyncio.sleep(0)
    again = asyncio.create_task(bus.settled())
    await asyncio.sleep(0)
    assert not settled.done()
    assert not again.done()
    setting.broker.open.set()
    await asyncio.gather(settled, again)
    assert list(setting.broker.subscribed.values()) == [{b"news"}]


async def test_the_last_receiver_ends_the_subscription(setting: Setting) -> None:
    bus = setting.bus()
    one, other = Heard(), Heard()
    bus.subscribe("news", one)
    bus.subscribe("news", other)
    bus.unsubscribe("news", one)
    await bus.settled()
    await bus.publish("news", b"1")
    assert (await other.count(1), one.messages) == ([b"1"], [])
    bus.unsubscribe("news", other)
    bus.unsubscribe("news", other)
    await bus.settled()
    assert list(setting.broker.subscribed.values()) == [set()]


async def test_the_link_comes_back_with_its_subscriptions_and_what_was_published_meanwhile(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    bus = setting.bus()
    heard = Heard()
    bus.subscribe("news", heard)
    await bus.publish("news", b"0")
    await setting.cut(bus)
    assert bus.health.state is LinkState.AWAY
    meanwhile = [bus.publish("news", each) for each in numbers(1, 50)]
    bus.subscribe("more", heard)
    await setting.broker.start()
    for each in meanwhile:
        await each
    assert await heard.count(50) == numbers(0, 50)
    await bus.settled()
    assert list(setting.broker.subscribed.values()) == [{b"news", b"more"}]
    assert (bus.health.reconnections, bus.health.lost, bus.health.ok) == (1, 0, True)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[-1] == "the test's broker is back"
    assert len(lines) == len(set(lines)) <= 4, "a reason is said once, however many attempts there are"


async def test_what_waits_is_bounded(setting: Setting) -> None:
    bus = setting.bus(max_pending_bytes=200)
    await bus.settled()
    await setting.cut(bus)
    kept = bus.publish("news", b"x" * 10)
    with pytest.raises(BrokerUnavailable, match="the test's broker: "):
        await bus.publish("news", b"y")
    assert bus.health.lost == 1
    await setting.broker.start()
    await kept
    await bus.publish("news", b"z")
    assert setting.broker.published == [b"x" * 10, b"z"]


async def test_small_messages_that_wait_are_bounded_by_the_memory_that_they_take(setting: Setting) -> None:
    bus = setting.bus(max_pending_bytes=100_000)
    await bus.settled()
    await setting.cut(bus)
    for _ in range(10_000):
        bus.publish("news", b"")
    assert bus.health.lost > 9000
    await setting.broker.start()


async def test_a_link_that_breaks_whenever_it_is_up_is_tried_less_and_less(setting: Setting) -> None:
    bus = setting.bus(reconnection_delay=0.05, reconnection_delay_max=1.0)
    loop, times = asyncio.get_running_loop(), list[float]()
    for number in range(5):
        await bus.publish("news", b"%d" % number)
        times.append(loop.time())
        await setting.cut(bus)
        await setting.broker.start()
    waits = [later - before for before, later in itertools.pairwise(times)]
    assert bus.health.reconnections == 4
    assert waits[-1] > 0.08, f"the fourth wait is 0.1 to 0.6 s: {waits}"


async def test_what_was_on_its_way_when_the_link_broke_is_lost_and_not_sent_twice(setting: Setting) -> None:
    bus = setting.bus()
    await bus.settled()
    setting.broker.open.clear()
    sent = asyncio.ensure_future(bus.publish("news", b"1"))
    for _ in range(20):
        await asyncio.sleep(0)
    for writer in setting.broker.subscribed:
        writer.transport.abort()
    with pytest.raises(BrokerUnavailable, match=r"hung up|closed|reset"):
        await sent
    setting.broker.open.set()
    await bus.publish("news", b"2")
    assert setting.broker.published.count(b"1") <= 1
    assert (bus.health.lost, bus.health.published) == (1, 1)


async def test_what_the_broker_refuses_by_itself_does_not_harm_the_rest(setting: Setting) -> None:
    bus = setting.bus()
    first, refused, last = (bus.publish("news", each) for each in (b"1", b"refuse", b"2"))
    await last
    await first
    with pytest.raises(BrokerUnavailable, match="by itself"):
        await refused
    assert setting.broker.published == [b"1", b"2"]
    assert (bus.health.published, bus.health.lost, bus.health.refused) == (2, 1, 1)


async def test_a_broker_that_does_not_answer_is_away(setting: Setting) -> None:
    bus = setting.bus(ping_interval=0.01, ping_timeout=0.05)
    await bus.settled()
    setting.broker.open.clear()
    await is_away(bus)
    assert bus.health.reason == "no answer in time"
    setting.broker.open.set()
    await bus.publish("news", b"1")
    assert bus.health.ok


async def test_closing_sends_what_is_queued_and_what_is_on_its_way(setting: Setting) -> None:
    queued, on_its_way, unconnected = setting.bus(), setting.bus(), setting.bus()
    unconnected.publish("news", b"a")
    await unconnected.close()
    await asyncio.gather(queued.settled(), on_its_way.settled())
    queued.publish("news", b"b")
    await queued.close()
    on_its_way.publish("news", b"c")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await on_its_way.close()
    assert setting.broker.published == [b"a", b"b", b"c"]
    assert [bus.health.lost for bus in (queued, on_its_way, unconnected)] == [0, 0, 0]
    assert queued.health.state is LinkState.IDLE
    await setting.broker.until(lambda: not setting.broker.subscribed)


async def test_closing_while_the_broker_is_away_loses_what_waits_and_ends_who_waits(setting: Setting) -> None:
    bus = setting.bus()
    await bus.settled()
    await setting.cut(bus)
    waiting = bus.publish("news", b"1")
    await bus.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        await waiting
    with pytest.raises(BrokerUnavailable, match="nothing serves"):
        await bus.publish("news", b"2")
    with pytest.raises(BrokerUnavailable, match="nothing serves"):
        await bus.settled()
    assert bus.health.lost == 2
    await setting.broker.start()


async def test_closing_ends_who_waits_for_a_subscription(setting: Setting) -> None:
    bus = setting.bus()
    await bus.settled()
    setting.broker.open.clear()
    bus.subscribe("news", _ignore)
    settled = asyncio.create_task(bus.settled())
    await asyncio.sleep(0)
    await bus.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        await settled


async def test_the_last_of_its_users_closes_it(setting: Setting) -> None:
    bus = setting.bus()
    bus.start()
    await bus.close()
    await bus.publish("news", b"1")
    await bus.close()
    assert bus.health.state is LinkState.IDLE
    assert setting.broker.published == [b"1"]


async def test_who_starts_it_again_while_it_closes_has_a_link(setting: Setting) -> None:
    bus = setting.bus()
    heard = Heard()
    bus.subscribe("news", heard)
    await bus.settled()
    closing = asyncio.create_task(bus.close())
    await asyncio.sleep(0)
    bus.start()
    sent = bus.publish("news", b"1")
    await closing
    await sent
    assert await heard.count(1) == [b"1"]
    await setting.broker.until(lambda: len(setting.broker.subscribed) == 1)


async def test_what_is_too_large_is_refused_in_both_directions(setting: Setting) -> None:
    bus = setting.bus()
    heard = Heard()
    bus.subscribe("news", heard)
    with pytest.raises(MessageTooLarge, match="max_message_size"):
        bus.publish("news", b"x" * 1001)
    bus.received("news", b"x" * 4001)
    bus.received("news", b"x" * 4000)
    assert [len(each) for each in heard.messages] == [4000]
    assert bus.health.rejected == 1


async def test_a_receiver_that_fails_does_not_stop_the_others(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    bus = setting.bus()
    heard = Heard()

    def fail(_payload: bytes) -> None:
        raise ValueError("mine")

    bus.subscribe("news", fail)
    bus.subscribe("news", heard)
    await bus.publish("news", b"1")
    assert await heard.count(1) == [b"1"]
    assert "could not be handled" in caplog.text
    assert bus.health.ok


@pytest.mark.parametrize("name", ["connect_timeout", "ping_interval", "ping_timeout", "max_pending_bytes"])
def test_options_that_cannot_work_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match=name):
        LinkOptions(**{name: 0})
