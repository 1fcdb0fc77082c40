"""What stands in for the parts of a session that has ended: it answers, and does nothing."""

from __future__ import annotations

from socketeer.engine.ended import NO_HANDLER, EndedTransport, ended_transport
from socketeer.engine.session import SessionHandler, Transport
from socketeer.protocol.frame import Message

#: A type checker reads these lines.
_TRANSPORT: type[Transport] = EndedTransport
_HANDLER: SessionHandler = NO_HANDLER


async def test_the_transport() -> None:
    transport = ended_transport("websocket")
    assert transport is ended_transport("websocket")
    assert transport.name == "websocket"
    transport.send(Message(b"4nobody"))
    assert not transport.writable()
    assert transport.held() == 0
    await transport.drained()
    told = []
    transport.finish(lambda: told.append("ended"))
    transport.close()
    assert told == ["ended"]


def test_the_handler() -> None:
    NO_HANDLER.on_text(b"4")
    NO_HANDLER.on_binary(b"")
    NO_HANDLER.on_upgrade()
    NO_HANDLER.on_close("forced close", None)
