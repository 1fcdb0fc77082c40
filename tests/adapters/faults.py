"""What a cluster does when its broker, a node or the way between them fails: scenarios for every engine.

An engine's test is a subclass of :class:`Faults` that says how its broker is run and how its adapter is made.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from interop.harness import Process
from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.health import Health, LinkState
from socketeer.errors import AckTimeout, BrokerUnavailable, MessageTooLarge
from socketeer.server.adapter import AdapterFactory
from socketeer.server.server import BaseServer
from socketeer.testing.stage import Actor, Stage
from tests.support.proxy import Proxy
from tests.support.repository import ROOT

PATIENCE = 20.0

#: A link that is quick to come back, for tests that do not look at how long it waits.
QUICK = LinkOptions(reconnection_delay=0.05, reconnection_delay_max=0.5)


class Broker(Protocol):
    """A broker of the test's own, on a port that stays the same."""

    @property
    def url(self) -> str: ...

    def start(self) -> None:
        """A new process, which need not answer yet."""
        ...

    def shutdown(self) -> None:
        """End it in good order."""
        ...

    def stop(self) -> None:
        """Kill it."""
        ...

    def pause(self) -> None:
        """Stop its process: it answers nobody, and closes nothing."""
        ...

    def go_on(self) -> None:
        """After :meth:`pause`."""
        ...


def health_of(io: BaseServer) -> Health:
    health = io.adapter.health  # type: ignore[attr-defined]
    assert isinstance(health, Health)
    return health


class Play:
    """Two servers in this process with one client each, and more nodes as processes."""

    def __init__(self, servers: list[BaseServer], start: Callable[[str], Process]) -> None:
        self.servers = servers
        self.stage = Stage(servers, PATIENCE)
        self.clients: list[Actor] = []
        self._start = start
        self.processes: list[Process] = []
        self._number = 0

    async def until(self, met: Callable[[], Any], what: str) -> None:
        await self.stage.until(met, what)

    async def all_up(self) -> None:
        await self.until(lambda: all(health_of(io).ok for io in self.servers), "the links are up")

    async def all_away(self) -> None:
        away = LinkState.AWAY
        await self.until(
            lambda: all(health_of(io).state is away for io in self.servers), "nobody is connected"
        )

    async def whole(self, servers: int | None = None) -> None:
        """Wait until what each node emits reaches every client, and all nodes know how many there are."""
        count = len(self.servers) + len(self.processes) if servers is None else servers
        await self.all_up()
        for io in self.servers:
            await io.adapter.ready()  # type: ignore[attr-defined]

            async def counted(io: BaseServer = io) -> bool:
                return await io.adapter.server_count() == count

            await self.until(counted, f"there are {count} nodes")
        heard = await self.stage.heard()
        for each in heard:
            each.clear()
        self._number += 1
        for number, io in enumerate(self.servers):
            io.emit("whole", self._number, number)
            io.to("room").emit("whole", self._number, number)
        wanted = [["whole", self._number, number] for number in range(len(self.servers)) for _ in range(2)]
        for client in await self.stage.heard():
            assert sorted(client) == wanted

    async def process(self, name: str) -> Process:
        process = await asyncio.to_thread(self._start, name)
        self.processes.append(process)
        await self.told(process, "answer")
        return process

    async def told(self, process: Process, key: str) -> Any:
        return (await asyncio.to_thread(process.find, lambda each: key in each))[key]

    async def tell(self, process: Process, *command: Any) -> Any:
        process.write(json.dumps(command))
        return await self.told(process, "answer")

    async def hears(self, process: Process) -> bool:
        """Whether it gets an event that is emitted now."""
        word = secrets.token_hex(4)
        self.servers[0].emit(word)
        for _ in range(100):
            if [word] in await self.tell(process, "events"):
                return True
            await asyncio.sleep(0.02)
        return False

    async def answers(self, *clients: Actor) -> None:
        """Acknowledge with the node's number."""
        for client in clients:
            await self.until(lambda c=client: c.answer(f"node {c.node}"), "a client is asked")  # type: ignore[misc]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log has been told of brokers."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def check_lines(caplog: pytest.LogCaptureFixture, links: int) -> None:
    """Each link said once that it broke and perhaps why it could not be made again, and once that it is back."""
    said = lines(caplog)
    back = [line for line in said if line.endswith(" is back")]
    assert len(back) == links, said
    assert links <= len(said) - len(back) <= 3 * links, said
    assert all(line.isprintable() and len(line) < 500 for line in said)
    assert not any(record.exc_info for record in caplog.records), caplog.text


class Faults:
    """The scenarios."""

    patience = PATIENCE
    away: float = 2.0
    """Seconds without a broker."""
    node: ClassVar[str]
    """``module:function``, for the nodes that are processes: makes the adapter from a URL and a key."""

    @contextmanager
    def run_broker(self, folder: Path) -> Iterator[Broker]:
        """To be written by the subclass: a broker that has not been started."""
        raise NotImplementedError

    def adapter(self, url: str, key: str, link: LinkOptions, **options: Any) -> AdapterFactory:
        """To be written by the subclass; an option is ``max_message_size``."""
        raise NotImplementedError

    def through(self, url: str, proxy: Proxy) -> str:
        """The broker's URL by way of a proxy."""
        return url.replace(url.rpartition(":")[2].partition("/")[0], str(proxy.port))

    @pytest.fixture
    def broker(self, tmp_path: Path) -> Iterator[Broker]:
        with self.run_broker(tmp_path) as broker:
            broker.start()
            yield broker

    @asynccontextmanager
    async def play(
        self, broker: Broker, link: LinkOptions = QUICK, urls: tuple[str, ...] = (), **options: Any
    ) -> AsyncIterator[Play]:
        """A cluster that is whole."""
        key = f"test-{secrets.token_hex(4)}"
        servers = [
            BaseServer(adapter=self.adapter(url, key, link, **options))
            for url in (urls or (broker.url, broker.url))
        ]

        def start(name: str) -> Process:
            command = [sys.executable, "-m", "tests.adapters.fault_node", self.node, broker.url, key, name]
            return Process(command, ROOT)

        play = Play(servers, start)
        try:
            for io in servers:
                io.start()
            await play.all_up()
            play.clients = [play.stage.enter(node) for node in range(len(servers))]
            for client in play.clients:
                client.socket.join("room")
            await play.whole()
            yield play
        finally:
            for process in play.processes:
                process.stop()
            for io in servers:
                await io.close()

    # --- the broker --------------------------------------------------------------------------------

    async def test_a_broker_that_is_restarted(self, broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
        async with self.play(broker) as play:
            caplog.clear()
            broker.shutdown()
            await play.all_away()
            self.is_alone(play)
            broker.start()
            await play.whole()
            check_lines(caplog, 2)
            assert [health_of(io).reconnections for io in play.servers] == [1, 1]
            first = play.servers[0]
            assert len(await first.fetch_sockets()) == 2
            asking = asyncio.ensure_future(first.timeout(PATIENCE).emit_with_ack("hello"))
            await play.answers(*play.clients)
            assert sorted(await asking) == ["node 0", "node 1"]

    def is_alone(self, play: Play) -> None:
        """A node whose broker is away serves its own clients, and says how it stands."""
        first, client = play.servers[0], play.clients[0]
        first.emit("alone", 1)
        client.listen()
        assert client.events.pop() == ["alone", 1]
        health = health_of(first)
        assert (health.ok, health.state) == (False, LinkState.AWAY)
        assert health.reason

    async def test_a_broker_that_is_killed(self, broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
        await self.kill(broker, self.away, caplog)

    @pytest.mark.slow
    @pytest.mark.timeout(150)
    async def test_a_broker_that_is_away_for_half_a_minute(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        await self.kill(broker, 30, caplog)

    async def kill(self, broker: Broker, seconds: float, caplog: pytest.LogCaptureFixture) -> None:
        """What is emitted while it is away reaches the clients here at once."""
        loop = asyncio.get_running_loop()
        async with self.play(broker, LinkOptions()) as play:
            caplog.clear()
            broker.stop()
            await play.all_away()
            self.is_alone(play)
            end, sent, longest = loop.time() + seconds, 0, 0.0
            while loop.time() < end:
                before = loop.time()
                play.servers[0].emit("still", sent)
                longest = max(longest, loop.time() - before)
                sent += 1
                await asyncio.sleep(0.02)
            assert longest < 1.0, "nobody waits for the broker"
            client = play.clients[0]
            client.listen()
            assert client.events == [["still", number] for number in range(sent)]
            with pytest.raises(AckTimeout) as late:
                await play.servers[0].timeout(0.2).fetch_sockets()
            assert [each.id for each in late.value.responses] == [client.id]
            broker.start()
            await play.whole()
            check_lines(caplog, 2)
            assert health_of(play.servers[0]).lost <= 1, (
                "a heartbeat on its way, perhaps; the rest has waited"
            )

    async def test_two_nodes_do_not_come_back_in_lockstep(self, broker: Broker) -> None:
        async with Proxy.before(broker.url) as one, Proxy.before(broker.url) as other:
            urls = self.through(broker.url, one), self.through(broker.url, other)
            link = LinkOptions(reconnection_delay=0.1, reconnection_delay_max=0.4)
            async with self.play(broker, link, urls) as play:
                broker.stop()
                await play.all_away()
                begun = len(one.times), len(other.times)
                await play.until(
                    lambda: len(one.times) > begun[0] + 12 and len(other.times) > begun[1] + 12,
                    "both try again and again",
                )
                tries = one.times[begun[0] :], other.times[begun[1] :]
                waits = [[b - a for a, b in itertools.pairwise(each)] for each in tries]
                # At the longest wait, too, where two that double alone would go on in step.
                differ = [abs(a - b) for a, b in zip(waits[0][-8:], waits[1][-8:], strict=False)]
                assert max(differ) > 0.01, waits
                broker.start()
                await play.whole()

    async def test_a_connection_that_is_half_open(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        loop = asyncio.get_running_loop()
        link = LinkOptions(
            connect_timeout=1.0, ping_interval=0.5, ping_timeout=1.0,
            reconnection_delay=0.05, reconnection_delay_max=0.5,
        )  # fmt: skip
        async with (
            Proxy.before(broker.url) as proxy,
            self.play(broker, link, (broker.url, self.through(broker.url, proxy))) as play,
        ):
            caplog.clear()
            second, client = play.servers[1], play.clients[1]
            proxy.stall()
            begun = loop.time()
            asking = asyncio.ensure_future(second.timeout(0.4).emit_with_ack("hello"))
            await play.answers(client)
            with pytest.raises(AckTimeout) as late:
                await asking
            assert late.value.responses == ["node 1"]
            assert loop.time() - begun < 5.0, "about 0.4 s, and not until the link is given up"
            await play.until(lambda: not health_of(second).ok, "the silence is noticed")
            assert loop.time() - begun < 1.5 + 5.0, "1.5 s, on a busy machine"
            assert health_of(second).reason == "no answer in time"
            proxy.flow()
            await play.whole()
            check_lines(caplog, 1)

    async def test_a_broker_that_is_paused(self, broker: Broker) -> None:
        link = LinkOptions(
            connect_timeout=1.0, ping_interval=0.2, ping_timeout=1.0,
            reconnection_delay=0.05, reconnection_delay_max=0.5,
        )  # fmt: skip
        async with self.play(broker, link) as play:
            broker.pause()
            await play.all_away()
            self.is_alone(play)
            broker.go_on()
            await play.whole()

    async def test_what_waits_for_the_broker_is_bounded(self, broker: Broker) -> None:
        link = LinkOptions(reconnection_delay=0.05, reconnection_delay_max=0.5, max_pending_bytes=200_000)
        async with self.play(broker, link) as play:
            broker.stop()
            await play.all_away()
            first = play.servers[0]
            health = health_of(first)
            published = health.published
            told = [first.emit("flood", number, "x" * 1000) for number in range(2000)]
            kept = 2000 - health.lost
            assert 100 < kept <= 200
            with pytest.raises(BrokerUnavailable):
                await told[-1]
            broker.start()
            await play.whole()
            assert 0 <= health.lost - (2000 - kept) < 50, "heartbeats, perhaps"
            assert health.published >= published + kept

    # --- nodes -------------------------------------------------------------------------------------

    async def test_a_node_that_is_killed_while_it_is_waited_for(self, broker: Broker) -> None:
        async with self.play(broker) as play:
            first, second = play.servers
            second.on("who", lambda: "node 1")
            near, far = play.clients
            doomed = await play.process("doomed")
            await play.whole()
            doomed.pause()  # it is asked, and cannot answer before it dies
            loop = asyncio.get_running_loop()
            begun = loop.time()
            questions = (
                asyncio.ensure_future(first.timeout(2).emit_with_ack("hello")),
                asyncio.ensure_future(first.timeout(2).fetch_sockets()),
                asyncio.ensure_future(first.server_side_emit_with_ack("who", timeout=2)),
            )
            await play.answers(near, far)
            doomed.kill()
            late = await asyncio.gather(*questions, return_exceptions=True)
            assert loop.time() - begun < 2 + 5
            told, sockets, names = map(_partial, late)
            assert sorted(told) == ["node 0", "node 1"]
            assert {each.id for each in sockets} == {near.id, far.id}
            assert names == ["node 1"]
            await play.whole(servers=2)
            asking = asyncio.ensure_future(first.timeout(PATIENCE).emit_with_ack("hello"))
            await play.answers(near, far)
            assert sorted(await asking) == ["node 0", "node 1"]
            assert {each.id for each in await first.fetch_sockets()} == {near.id, far.id}
            assert await first.server_side_emit_with_ack("who") == ["node 1"]

    async def test_a_node_that_is_paused_and_goes_on(self, broker: Broker) -> None:
        async with self.play(broker) as play:
            first, second = play.servers
            second.on("who", lambda: "node 1")
            near, far = play.clients
            paused = await play.process("paused")
            await play.whole()
            paused.pause()
            await asyncio.sleep(3)  # longer than the heartbeats of nodes
            for _ in range(2):
                asking = asyncio.ensure_future(first.timeout(1).emit_with_ack("hello"))
                await play.answers(near, far)
                told = _partial((await asyncio.gather(asking, return_exceptions=True))[0])
                assert sorted(told) == ["node 0", "node 1"]
            first.emit("meanwhile")
            paused.go_on()
            await play.until(lambda: play.hears(paused), "it is not deaf")
            await play.whole()
            asking = asyncio.ensure_future(first.timeout(PATIENCE).emit_with_ack("hello"))
            await play.answers(near, far)
            assert sorted(await asking) == ["node 0", "node 1", "paused"]
            asked = asyncio.ensure_future(play.tell(paused, "ask", PATIENCE, "hello"))
            await play.answers(near, far)
            assert await asked == ["node 0", "node 1", "paused"]

    # --- messages ----------------------------------------------------------------------------------

    async def test_what_is_too_large_is_refused_where_it_is_sent(self, broker: Broker) -> None:
        async with self.play(broker, max_message_size=10_000) as play:
            first = play.servers[0]
            with pytest.raises(MessageTooLarge, match=r"at most 10000 bytes .*max_message_size"):
                first.emit("large", "x" * 10_000)
            with pytest.raises(MessageTooLarge, match="max_message_size"):
                await first.timeout(5).emit_with_ack("large", "x" * 10_000)
            with pytest.raises(MessageTooLarge, match="max_message_size"):
                first.server_side_emit("large", "x" * 10_000)
            first.emit("small", "x" * 9_000)
            assert [len(each) for each in await play.stage.heard()] == [1, 1]
            assert health_of(first).lost == 0


def _partial(outcome: Any) -> Any:
    """What came by the time-out; or the answer, where the engine knows that nobody else is there."""
    if isinstance(outcome, AckTimeout):
        return outcome.responses
    assert not isinstance(outcome, BaseException), outcome
    return outcome
