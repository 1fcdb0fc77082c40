"""What a cluster asks of a wire, held by the one on channels."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from socketeer.adapters.bus import Bus
from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.messages import Kind, Message, ServerSideEmit
from socketeer.adapters.wire import Wire
from socketeer.errors import MessageTooLarge
from tests.adapters.bus import Exchange, LoopBus
from tests.engine.fakes import settle

MakeWire = Callable[[], Wire]


def _on_channels(exchange: Exchange) -> Wire:
    bus: Bus = LoopBus(exchange)
    wire: Wire = ChannelWire(bus, "/", "socket.io")  # the type checker holds it to the protocol
    assert wire.bus is bus
    return wire


@pytest.fixture(params=[_on_channels])
def make(request: pytest.FixtureRequest) -> MakeWire:
    exchange = Exchange()
    make_wire: Callable[[Exchange], Wire] = request.param
    return lambda: make_wire(exchange)


def emit(*args: object) -> Message:
    return Message(Kind.SERVER_SIDE_EMIT, "/", "a", ServerSideEmit(packet=list(args)))


async def test_what_is_sent_is_heard_in_order(make: MakeWire) -> None:
    a, b = make(), make()
    heard: list[Message] = []
    a.open("a", lambda message: pytest.fail(f"heard itself: {message}"))
    b.open("b", heard.append)
    for number in range(20):
        await a.send(emit("n", number))
        await a.answer("b", emit("n", number))
    await settle()
    assert heard == [emit("n", number) for number in range(20) for _ in range(2)]
    assert await a.server_count() == 2


async def test_a_message_is_encoded_at_once(make: MakeWire) -> None:
    a, b = make(), make()
    heard: list[Message] = []
    b.open("b", heard.append)
    value = {"n": 1}
    a.send(emit("news", value))
    value["n"] = 2
    await settle()
    assert heard == [emit("news", {"n": 1})]


async def test_what_cannot_be_sent_is_said_at_once(make: MakeWire) -> None:
    wire = make()
    with pytest.raises(TypeError, match="cannot send"):
        wire.send(emit("news", object()))
    too_large = emit("news", "x" * wire.bus.max_message_size)
    with pytest.raises(MessageTooLarge):
        wire.send(too_large)
    with pytest.raises(MessageTooLarge):
        wire.answer("b", too_large)


async def test_after_its_end_nothing_is_heard(make: MakeWire) -> None:
    a, b = make(), make()
    heard: list[Message] = []
    b.open("b", heard.append)
    b.close()
    a.send(emit("news"))
    await settle()
    assert heard == []
