"""The connecting side's upgrade: a polling session brought onto a WebSocket.

https://socket.io/docs/v4/engine-io-protocol/#upgrade
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from socketeer.engine.carriers.base import Carrier, Receiver
from socketeer.engine.client_session import ClientSession
from socketeer.engine.session import State
from socketeer.engine.transports.polling_client import PollingClient
from socketeer.engine.transports.websocket import websocket_transport
from socketeer.errors import TransportError
from socketeer.protocol.engineio import PROBE_PONG
from socketeer.protocol.frame import Message

log = logging.getLogger("socketeer")

_PROBE_PING: Final = Message(b"2probe")
_UPGRADE: Final = Message(b"5")

#: Seconds that the WebSocket and the answer to its probe may take; the session is on polling meanwhile.
UPGRADE_TIMEOUT: Final = 30.0


class Connector(Protocol):
    """Who opens the WebSocket: the engine's client."""

    upgraded_before: bool

    @property
    def base64(self) -> bool:
        """Whether binary goes as text over WebSocket."""
        ...

    async def connect_websocket(self, base: str, sid: str | None, receiver: Receiver) -> tuple[Carrier, str]:
        """A WebSocket for the session with this id, and its address."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task of a session."""
        ...


class FirstPacket:
    """Receives a WebSocket's first packet, and keeps what comes right behind it for :meth:`hand_over`.

    With ``alone`` nothing may come behind it, as behind the answer to a probe: that counts as its loss.
    """

    __slots__ = ("_alone", "_arrived", "_loss", "_packets", "lost")

    def __init__(self, alone: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self._alone = alone
        self._packets: list[tuple[bool, bytes]] = []
        self._arrived: asyncio.Future[None] = loop.create_future()
        self._loss = ("transport close", "connection lost")
        self.lost: asyncio.Future[None] = loop.create_future()
        """Done when the WebSocket has gone, or must go."""

    def receive_text(self, data: bytes) -> None:
        self._receive(True, data)

    def receive_binary(self, data: bytes) -> None:
        self._receive(False, data)

    def _receive(self, text: bool, data: bytes) -> None:
        if self._alone and self._packets:
            self.carrier_lost("transport error", "the server sent more than the answer to the probe")
            return
        self._packets.append((text, data))
        if not self._arrived.done():
            self._arrived.set_result(None)

    def carrier_lost(self, reason: str, description: str) -> None:
        if not self.lost.done():
            self._loss = reason, description
            self.lost.set_result(None)
        if not self._arrived.done():
            self._arrived.set_result(None)

    async def wait(self) -> bytes:
        """The first packet.

        Raises:
            TransportError: it is no text, or the WebSocket ended before it.
        """
        await self._arrived
        if not self._packets:
            raise self.loss()
        text, data = self._packets.pop(0) if not self._alone else self._packets[0]
        if not text:
            raise TransportError(f"websocket: expected a text packet first, got {len(data)} bytes of binary")
        return data

    def loss(self) -> TransportError:
        """Why the WebSocket is of no use."""
        reason, description = self._loss
        return TransportError(f"websocket: {reason}: {description}")

    def hand_over(self, session: Receiver) -> None:
        """Deliver what has come behind the first packet."""
        for text, data in self._packets:
            (session.receive_text if text else session.receive_binary)(data)
        if self.lost.done():
            session.carrier_lost(*self._loss)


class Upgrade:
    """Brings a polling session onto a WebSocket; until that is done the session stays on polling.

    We send ``2probe`` and get ``3probe``; we let the requests that run come to their end and begin no
    others; then we send ``5``, and everything goes over the WebSocket from there on. What breaks before
    ``5`` costs the session nothing: it polls on.
    """

    __slots__ = ("_base", "_carrier", "_client", "_polling", "_session", "_task")

    def __init__(self, client: Connector, session: ClientSession, polling: PollingClient, base: str) -> None:
        self._client = client
        self._session = session
        self._polling = polling
        self._base = base
        self._carrier: Carrier | None = None
        self._task = client.spawn(self._run(), "socketeer upgrade")

    def cancel(self) -> None:
        """Give up at once: the session has ended, or is closed before the probe's answer."""
        self._task.cancel()

    async def _run(self) -> None:
        probe = FirstPacket(alone=True)
        try:
            carrier = await self._answered(probe)
            if not await self._polling_rests(probe):
                raise probe.loss()
        except TransportError as error:
            self._give_up(error)
        except asyncio.CancelledError:
            if self._carrier is not None:
                self._carrier.abort()
            raise
        else:
            self._complete(carrier)

    async def _answered(self, probe: FirstPacket) -> Carrier:
        """A WebSocket on which the server has answered the probe."""
        try:
            async with asyncio.timeout(UPGRADE_TIMEOUT):
                carrier, _ = await self._client.connect_websocket(self._base, self._session.id, probe)
                self._carrier = carrier
                carrier.send(_PROBE_PING)
                answer = await probe.wait()
        except TimeoutError:
            raise TransportError(f"websocket: no answer to the probe within {UPGRADE_TIMEOUT} s") from None
        if answer != PROBE_PONG.text:
            raise TransportError(f"websocket: expected '3probe' as answer to the probe, got {answer[:50]!r}")
        return carrier

    async def _polling_rests(self, probe: FirstPacket) -> bool:
        """Wait until no request runs; False if the WebSocket was lost over it."""
        running = self._polling.pause()
        while running and not probe.lost.done():
            await asyncio.wait((*running, probe.lost), return_when=asyncio.FIRST_COMPLETED)
            running = {each for each in running if not each.done()}
        return not probe.lost.done()

    def _complete(self, carrier: Carrier) -> None:
        session = self._session
        if session.state is State.CLOSED:
            carrier.close()
            return
        carrier.receiver = session
        carrier.send(_UPGRADE)
        self._client.upgraded_before = True
        session.move_to(websocket_transport(carrier, self._client.base64), self._polling.retire())

    def _give_up(self, error: TransportError) -> None:
        log.debug("staying on long-polling: %.300r", str(error))
        if self._carrier is not None:
            self._carrier.abort()
        self._client.upgraded_before = False
        self._session.upgrading = None
        self._session.upgrade_failed(error)
        self._polling.resume()
