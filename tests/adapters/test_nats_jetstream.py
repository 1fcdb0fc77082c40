"""The bus whose broadcasts are kept: what is made of its options, what is accepted, and what is followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from socketeer.adapters import JetStream, NatsAdapter
from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.nats_jetstream import JetStreamBus
from socketeer.errors import MessageTooLarge, OptionError
from socketeer.options import Recovery
from socketeer.server.server import BaseServer
from tests.adapters.nats_streams import SMALL, remove_streams, until
from tests.adapters.redis_nodes import prefix
from tests.support import requirements
from tests.support.nats_server import NatsServer
from tests.support.proxy import Proxy

QUICK = LinkOptions(reconnection_delay=0.02, reconnection_delay_max=0.1)
PINGING = LinkOptions(reconnection_delay=0.02, reconnection_delay_max=0.1, ping_interval=0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"stream": "a.b"}, "jetstream stream: expected letters"),
        ({"stream": ""}, "jetstream stream: expected letters"),
        ({"domain": "*"}, "jetstream domain: expected letters"),
        ({"max_age": 0}, "jetstream max_age: expected a number above 0"),
        ({"max_bytes": 0}, "jetstream max_bytes: expected a whole number, 1 or more"),
        ({"replicas": 6}, "jetstream replicas: expected a whole number from 1 to 5"),
        ({"storage": "tape"}, "jetstream storage: expected one of file, memory"),
    ],
)
def test_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        NatsAdapter(jetstream=options)


def test_a_misspelt_option() -> None:
    with pytest.raises(TypeError, match="maxage"):
        NatsAdapter(jetstream={"maxage": 5})


async def test_clients_may_not_be_away_for_longer_than_anything_is_kept() -> None:
    adapter = NatsAdapter(jetstream=JetStream(max_age=60))
    with pytest.raises(OptionError, match="max_age: expected at least the 61"):
        BaseServer(adapter=adapter, connection_state_recovery=Recovery(max_disconnection_duration=61))


class Scene:
    """Buses of one prefix, and what has been passed by each."""

    def __init__(self) -> None:
        self.start = prefix()
        self.buses: list[JetStreamBus] = []

    async def bus(
        self, url: str | None = None, link: LinkOptions = QUICK
    ) -> tuple[JetStreamBus, list[bytes]]:
        bus, heard = JetStreamBus(self.start, SMALL, url or requirements.nats(), link=link), list[bytes]()
        self.buses.append(bus)
        bus.follow("x", lambda place, payload: heard.append(payload), lambda: None)
        bus.start()
        await bus.settled()
        return bus, heard


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    for bus in made.buses:
        await bus.close()
    await remove_streams(made.start)


async def test_the_streams_are_as_asked_for(server: NatsServer) -> None:
    server.start()
    options = JetStream(stream="mine", max_age=90, max_bytes=2**21, storage="memory")
    bus = JetStreamBus("a.b", options, server.url, link=QUICK)
    bus.start()
    await until(lambda: bus.health.ok)
    client = await nats.connect(server.url)
    log = (await client.jsm().stream_info("mine-log")).config
    assert (log.subjects, log.max_age, log.max_bytes, log.storage) == (["a.b.log.*"], 90, 2**21, "memory")
    sessions = (await client.jsm().stream_info("mine-sessions")).config
    assert (sessions.subjects, sessions.max_msgs_per_subject) == (["a.b.session.*.*"], 1)
    await client.close()
    await bus.close()


async def test_all_follow_in_the_same_order(scene: Scene) -> None:
    one, heard = await scene.bus()
    two, also = await scene.bus()
    channel = f"{scene.start}.log.x"
    for number in range(200):
        one.publish(channel, b"one %d" % number)
        two.publish(channel, b"two %d" % number)
        if number % 50 == 0:
            await asyncio.sleep(0.001)
    await until(lambda: len(heard) == len(also) == 400)
    assert heard == also
    for name in (b"one", b"two"):
        assert [each for each in heard if each.startswith(name)] == [b"%b %d" % (name, n) for n in range(200)]
    late, nothing = await scene.bus()
    await one.publish(channel, b"!")
    await until(lambda: nothing == [b"!"])
    assert late.health.rejected == 0


async def test_messages_as_large_as_they_may_be(scene: Scene) -> None:
    bus, heard = await scene.bus()
    channel = f"{scene.start}.log.x"
    await bus.publish(channel, bytes(bus.max_message_size))
    with pytest.raises(MessageTooLarge, match="max_message_size"):
        bus.publish(channel, bytes(bus.max_message_size + 1))
    await until(lambda: [len(each) for each in heard] == [bus.max_message_size])


async def test_what_was_missed_is_read_before_what_comes_then(scene: Scene) -> None:
    one, _ = await scene.bus()
    async with Proxy.before(requirements.nats()) as proxy:
        two, heard = await scene.bus(f"nats://127.0.0.1:{proxy.port}")
        channel = f"{scene.start}.log.x"
        await one.publish(channel, b"0")
        await until(lambda: len(heard) == 1)
        await proxy.refuse()
        await until(lambda: not two.health.ok)
        sent = [one.publish(channel, b"%d" % number) for number in range(1, 700)]
        await sent[-1]
        await proxy.allow()
        for number in range(700, 1000):
            one.publish(channel, b"%d" % number)
            await asyncio.sleep(0)
        await until(lambda: len(heard) == 1000)
        assert heard == [b"%d" % number for number in range(1000)]
        await two.close()


async def test_what_never_came_is_noticed(scene: Scene) -> None:
    one, _ = await scene.bus()
    two, heard = await scene.bus(link=PINGING)
    out = f"{scene.start}.out.x"
    assert two._link is not None
    await two._link.say([b"UNSUB %d\r\n" % two._numbers[out]])  # it gets nothing by itself any more
    await one.publish(f"{scene.start}.log.x", b"1")
    await until(lambda: heard == [b"1"])


async def test_what_nobody_stored_is_not_followed(scene: Scene) -> None:
    one, heard = await scene.bus(link=PINGING)
    forger = await nats.connect(requirements.nats())
    out, log = f"{scene.start}.out.x", f"{scene.start}.log.x"
    await forger.publish(out, b"forged")
    await forger.publish(out, b"forged", headers={"Nats-Sequence": "x", "Nats-Last-Sequence": "0"})
    await forger.publish(out, b"forged", headers={"Nats-Sequence": "9" * 18, "Nats-Last-Sequence": "8" * 18})
    await forger.flush()
    await one.publish(log, b"1")
    await until(lambda: heard == [b"1"])
    assert one.health.rejected == 2
    # As if it were the next one: what comes after that is missed until the next ping, and no longer.
    await forger.publish(out, b"forged", headers={"Nats-Sequence": "9" * 18, "Nats-Last-Sequence": "0"})
    await forger.flush()
    await one.publish(log, b"2")
    await until(lambda: heard[-1:] == [b"2"])
    await one.publish(log, b"3")
    await until(lambda: heard[-1:] == [b"3"])
    assert heard.count(b"3") == 1
    await forger.close()


async def test_streams_of_somebody_else(scene: Scene) -> None:
    client = await nats.connect(requirements.nats())
    await client.jsm().add_stream(
        name=f"{scene.start}-log", subjects=[f"{scene.start}.other"], storage="memory"
    )
    bus = JetStreamBus(scene.start, SMALL, requirements.nats(), link=QUICK)
    bus.start()
    await until(lambda: bus.health.reason)
    assert "is for something else: subjects is" in str(bus.health.reason)
    await client.jsm().delete_stream(f"{scene.start}-log")
    await until(lambda: bus.health.ok)
    await bus.close()
    await client.close()


async def test_streams_that_are_deleted_are_made_again(scene: Scene) -> None:
    one, heard = await scene.bus(link=PINGING)
    tag, channel = one.tag, f"{scene.start}.log.x"
    for number in range(5):
        await one.publish(channel, b"%d" % number)
    await until(lambda: len(heard) == 5)
    await remove_streams(scene.start)
    await until(lambda: one.tag != tag)
    await until(lambda: one.health.ok)
    await one.publish(channel, b"!")
    await until(lambda: heard[-1] == b"!")


async def test_no_jetstream(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, jetstream=False)
    server.start()
    bus = JetStreamBus("socket.io", SMALL, server.url, link=QUICK)
    bus.start()
    await until(
        lambda: "JetStream" in (bus.health.reason or "") or "nobody answers" in (bus.health.reason or "")
    )
    await bus.close()
    server.stop()
