"""Whether the server has read what was sent, and how long the way there and back is."""

from __future__ import annotations

import asyncio
import time

from socketeer.engine.carriers.picows_client import PicowsClientCarrier
from socketeer.engine.client_session import ClientSession
from socketeer.engine.session import State
from socketeer.engine.transports.polling_client import PollingClient
from socketeer.engine.transports.websocket import WebSocketTransport


async def round_trip(session: ClientSession) -> float | None:
    """Wait until the server has read what was sent so far; the seconds that a WebSocket's ping took to come back.

    Engine.IO's own pings come from the server, so this one is the WebSocket's. Over long-polling the
    answer to the last POST says as much, which is no measure of the network: None. A server may leave
    a ping unanswered, so give it a time-out.
    """
    if session.upgrading is not None:
        await _upgrade_settled(session)
    transport = session.transport
    if isinstance(transport, PollingClient):
        await transport.posted()
    elif isinstance(transport, WebSocketTransport) and isinstance(transport.carrier, PicowsClientCarrier):
        began = time.monotonic()
        await transport.carrier.round_trip()
        if session.state is State.OPEN:
            return time.monotonic() - began
    return None


async def _upgrade_settled(session: ClientSession) -> None:
    """Wait until the WebSocket has taken over, or will not."""
    settled = asyncio.Event()
    for event in ("upgrade", "upgrade_error", "close"):
        session.on(event, lambda *_: settled.set())
    await settled.wait()
