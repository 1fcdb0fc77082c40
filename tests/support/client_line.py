"""A client in one process, without a network: the test is the server, and what it says comes at once.

What stands in is the engine below the manager: it opens sessions on a carrier that keeps what is sent. Everything
above, and the session itself, is the real one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

from socketeer.client.client import Client
from socketeer.client_options import ConnectOptions
from socketeer.engine.client import EngineClient
from socketeer.engine.client_session import ClientSession
from socketeer.engine.session import Session, SessionHandler
from socketeer.engine.timers import TimerWheel
from socketeer.engine.transports.websocket import websocket_transport
from socketeer.errors import TransportError
from socketeer.protocol.engineio import read_open_packet
from tests.support.clock import FakeClock
from tests.support.inprocess import FakeCarrier, make_request

OPEN = b'0{"sid":"session","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'


class Wires:
    """Opens sessions when the test lets it; `socketeer.engine.client.EngineClient` for a manager."""

    upgraded_before = False

    def __init__(self, wheel: TimerWheel) -> None:
        self.wheel = wheel
        self.refusing: list[str] = []
        """Why the next attempts fail."""
        self.carriers: list[FakeCarrier] = []
        self.sessions: list[ClientSession] = []
        self.closed = False

    async def open(
        self, make_handler: Callable[[Session], SessionHandler], on_closed: Callable[[Session], None]
    ) -> ClientSession:
        if self.refusing:
            raise TransportError(self.refusing.pop(0))
        carrier = FakeCarrier()
        session = ClientSession(
            read_open_packet(OPEN), make_request(), ConnectOptions(), self.wheel, on_closed
        )
        carrier.receiver = session
        self.carriers.append(carrier)
        self.sessions.append(session)
        session.begin(websocket_transport(cast(Any, carrier)), make_handler)
        return session

    async def close(self) -> None:
        self.closed = True


class Line:
    """A client and the server's end of its connections. To be made where a loop runs."""

    def __init__(self, namespace: str = "/", **options: Any) -> None:
        self.clock = FakeClock()
        wheel = TimerWheel(self.clock)
        self.wires = Wires(wheel)
        options = {"reconnection_delay": 0, "randomization_factor": 0, **options}
        self.client = Client(f"http://localhost{namespace}", **options)
        self.client.io._wheel = wheel
        self.reopen()

    def reopen(self) -> None:
        """Let further connections be made here, too: the manager lets go of what made the last one."""
        self.client.io._engines = cast(EngineClient, self.wires)

    @property
    def carrier(self) -> FakeCarrier:
        return self.wires.carriers[-1]

    def say(self, *packets: str | bytes) -> None:
        """The server sends these Engine.IO packets."""
        for packet in packets:
            if isinstance(packet, str):
                self.carrier.receiver.receive_text(packet.encode())
            else:
                self.carrier.receiver.receive_binary(packet)

    def heard(self) -> list[Any]:
        """What the client has sent since the last look."""
        sent, self.carrier.sent = self.carrier.sent, []
        return sent

    def welcome(self, sid: str = "id", **more: str) -> None:
        """The server lets the client into its namespace."""
        nsp = self.client.nsp
        name = "" if nsp == "/" else f"{nsp},"
        self.say(f"40{name}{json.dumps({'sid': sid, **more})}")

    async def connected(self, **more: str) -> Client:
        """The client, in its namespace, and nothing heard of that."""
        self.client.connect()
        await turns()
        self.welcome(**more)
        self.heard()
        return self.client

    def vanish(self, reason: str = "transport close") -> None:
        """The connection breaks."""
        self.carrier.closed = True
        self.carrier.receiver.carrier_lost(reason, "lost")


async def turns(count: int = 5) -> None:
    """Let everything happen that needs no time."""
    for _ in range(count):
        await asyncio.sleep(0)
