"""The seam of formats: what is behind it may be any of them."""

from __future__ import annotations

import pytest

from socketeer.adapters.channels import ChannelWire
from socketeer.adapters.messages import Kind, Message, ServerSideEmit
from socketeer.adapters.wire import Wire
from tests.adapters.bus import Exchange, LoopBus


async def test_a_message_is_encoded_at_once_or_refused() -> None:
    bus = LoopBus(Exchange())
    wire: Wire = ChannelWire(bus, "/", "socket.io")
    wire.open("me", lambda message: None)
    with pytest.raises(TypeError, match="cannot send"):
        wire.send(Message(Kind.SERVER_SIDE_EMIT, "/", "me", ServerSideEmit(packet=["a", object()])))
    assert bus.health.published == 0
    await wire.send(Message(Kind.SERVER_SIDE_EMIT, "/", "me", ServerSideEmit(packet=["a", b""])))
    assert bus.health.published == 1
    assert wire.bus is bus
    wire.close()
