"""The bus over the real NATS: names of channels, and what arrives."""

from __future__ import annotations

from functools import partial

import nats
import pytest
from nats.aio.client import Client

from socketeer.adapters.nats_bus import NatsBus, subject, token
from socketeer.errors import BrokerUnavailable, MessageTooLarge, OptionError
from tests.adapters.nats_streams import until
from tests.adapters.redis_nodes import prefix
from tests.support import requirements

NAMES = [
    "/",
    "/chat",
    "/a.b",
    "/a b",
    "/*",
    "/>",
    "/é\U0001f600",
    "/a\r\nPUB x 1",
    "/a=2E",
    "/a#b",
    "/\ud800",
    "",
]


def test_each_name_has_a_token_of_its_own() -> None:
    names = [
        *NAMES,
        *("/" + "x" * length for length in (198, 199, 200, 100_000)),
        "/" + "." * 70,
        "/" + "." * 71,
    ]
    tokens = [token(name) for name in names]
    assert len(set(tokens)) == len(names)
    for each in tokens:
        assert subject(f"socket.io.all.{each}") == f"socket.io.all.{each}".encode() or each.startswith("==")
        assert len(each) <= 200
        assert not set(each) & set(". *>\r\n\t")
    assert tokens[:3] == ["/", "/chat", "/a=2Eb"]


@pytest.mark.parametrize(
    "channel", ["a#", "a..b", ".a", "a.", "*", ">", "a b", "é", "==.x", "a\r\nb", "x" * 2000, ""]
)
def test_a_channel_that_is_no_subject_becomes_one(channel: str) -> None:
    found = subject(channel)
    assert found.startswith(b"==.")
    assert found.decode() != channel
    assert len(found) < 250
    assert found == b"==." + token(channel).encode()


async def test_what_is_published_arrives_in_order_on_whatever_channel() -> None:
    here, there = NatsBus(requirements.nats()), NatsBus(requirements.nats())
    start, heard = prefix(), list[tuple[str, bytes]]()
    channels = [f"{start}{name}" for name in NAMES]

    def hear(channel: str, payload: bytes) -> None:
        heard.append((channel, payload))

    for channel in channels:
        there.subscribe(channel, partial(hear, channel))
    for bus in (here, there):
        bus.start()
        await bus.settled()
    sent = [(channels[number % len(channels)], b"%d\r\n" % number) for number in range(1000)]
    outgoing = [here.publish(channel, payload) for channel, payload in sent]
    await outgoing[-1]
    await until(lambda: len(heard) == 1000)
    assert heard == sent
    assert (here.health.published, there.health.received) == (1000, 1000)
    await here.close()
    await there.close()


async def test_what_was_unsubscribed_is_heard_no_more_and_oneself_is_never() -> None:
    here, there = NatsBus(requirements.nats()), NatsBus(requirements.nats())
    channel, other, heard = prefix(), prefix(), list[bytes]()
    here.subscribe(channel, heard.append)
    there.subscribe(channel, heard.append)
    there.subscribe(other, heard.append)
    for bus in (here, there):
        bus.start()
        await bus.settled()
    await here.publish(channel, b"1")
    await here.publish(other, b"2")
    await until(lambda: len(heard) == 2)
    there.unsubscribe(channel, heard.append)
    await there.settled()
    await here.publish(channel, b"3")
    await here.publish(other, b"4")
    await until(lambda: len(heard) == 3)
    assert heard == [b"1", b"2", b"4"]
    with pytest.raises(BrokerUnavailable, match="does not say who"):
        await here.subscribers(channel)
    await here.close()
    await there.close()


def test_a_password_is_in_no_name() -> None:
    bus = NatsBus(["nats://user:secret@example.org:7000", "tls://b"])
    assert bus.health.name == "NATS at example.org:7000, b"


async def test_the_settings_of_a_client_are_taken_and_it_is_left_alone() -> None:
    client = await nats.connect(requirements.nats(), name=prefix())
    bus = NatsBus(client)
    assert bus._settings["name"] == client.options["name"]
    bus.start()
    await bus.settled()
    await bus.close()
    assert client.is_connected
    await client.close()
    with pytest.raises(OptionError, match="server: expected a URL"):
        NatsBus(Client())


async def test_a_message_is_no_larger_than_the_server_allows() -> None:
    bus = NatsBus(requirements.nats(), max_message_size=64 * 1024 * 1024)
    early = bus.publish("x", b"")  # nothing serves yet
    with pytest.raises(BrokerUnavailable):
        await early
    bus.start()
    queued = bus.publish(prefix(), bytes(9_000_000))
    small = bus.publish(prefix(), b"x")
    with pytest.raises(MessageTooLarge):
        await queued
    await small
    with pytest.raises(MessageTooLarge, match="max_message_size"):
        bus.publish(prefix(), bytes(bus.max_message_size + 1))
    await bus.publish(prefix(), bytes(bus.max_message_size))
    assert bus.health.ok
    await bus.close()
