"""The plain wire: which channels, and what is heard on them."""

from __future__ import annotations

import asyncio

import pytest

from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.codec import encode
from socketeer.adapters.messages import Kind, Message
from tests.adapters.bus import Exchange, LoopBus


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize("nsp", ["/", "/chat"])
async def test_channels_and_who_hears(nsp: str) -> None:
    exchange = Exchange()
    heard: list[tuple[str, Kind, str]] = []
    wires = [ChannelWire(LoopBus(exchange), nsp, "socket.io") for _ in range(3)]
    for number, wire in enumerate(wires):
        wire.open(f"n{number}", lambda message, n=number: heard.append((f"n{n}", message.kind, message.uid)))  # type: ignore[misc]
    assert set(exchange.receivers) == {f"socket.io#{nsp}#", *(f"socket.io#{nsp}#n{n}#" for n in range(3))}
    assert await wires[0].server_count() == 3
    wires[0].send(Message(Kind.HEARTBEAT, nsp, "n0"))
    wires[2].answer("n1", Message(Kind.HEARTBEAT, nsp, "n2"))
    await turns()
    assert heard == [("n1", Kind.HEARTBEAT, "n0"), ("n2", Kind.HEARTBEAT, "n0"), ("n1", Kind.HEARTBEAT, "n2")]
    for wire in wires:
        wire.close()
    assert not any(exchange.receivers.values())


async def test_of_another_namespace_and_of_nobody() -> None:
    bus = LoopBus(Exchange())
    wire = ChannelWire(bus, "/", "socket.io")
    heard: list[Message] = []
    wire.open("me", heard.append)
    for message in (Message(Kind.HEARTBEAT, "/other", "x"), Message(Kind.HEARTBEAT, "/", "me")):
        bus.publish("socket.io#/#", encode(message.plain()))
    bus.publish("socket.io#/#", b'{"type":1}')
    await turns()
    assert heard == []
    assert bus.health.rejected == 1
