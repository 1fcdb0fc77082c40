"""One WebSocket with a client that knows nothing but bytes on one end, and an open carrier on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from socketeer.engine.carriers.base import Carrier
from socketeer.options import Backpressure, Limits
from socketeer.protocol.frame import Message
from tests.support.raw import CLOSE, DEADLINE, TEXT, Frame, Wire, frame

Packet = str | bytes


@dataclass
class Settings:
    """How a carrier is to be opened."""

    max_size: int = 1000
    limits: Limits = field(default_factory=Limits)
    backpressure: Backpressure = field(default_factory=Backpressure)
    receive_buffer: int | None = None
    """A small one makes a client that stops reading felt at once."""


class Audience:
    """Who gets what the WebSocket brings. Implements `Receiver`."""

    def __init__(self) -> None:
        self.heard: list[Packet] = []
        self.lost: list[tuple[str, str]] = []
        self.answer: Callable[[Packet], object] = lambda packet: None
        """What is done with each message, besides keeping it."""
        self._news = asyncio.Event()

    def receive_text(self, data: bytes) -> None:
        assert type(data) is bytes
        self._tell(data.decode())

    def receive_binary(self, data: bytes) -> None:
        assert type(data) is bytes
        self._tell(data)

    def _tell(self, packet: Packet) -> None:
        assert not self.lost, "a message after the end"
        self.heard.append(packet)
        self._news.set()
        self.answer(packet)

    def carrier_lost(self, reason: str, description: str) -> None:
        self.lost.append((reason, description))
        self._news.set()

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.lost]

    async def hears(self, *packets: Packet) -> None:
        """Wait until these and no others have come."""
        await self._wait(lambda: len(self.heard) >= len(packets), f"{len(packets)} messages")
        assert self.heard == list(packets)

    async def loses(self, *reasons: str) -> None:
        """Wait for the end, and see that it is told once."""
        await self._wait(lambda: bool(self.lost), "end")
        await asyncio.sleep(0)
        assert len(self.lost) == 1, self.lost
        assert self.lost[0][0] in reasons, self.lost

    async def _wait(self, ready: Callable[[], bool], what: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while not ready():
                self._news.clear()
                await self._news.wait()


@dataclass
class Line:
    """A client, the carrier that serves it, and who listens above."""

    wire: Wire
    carrier: Carrier
    audience: Audience
    gone: Callable[[], Awaitable[object]]
    """Waits until the server has let go of the connection."""

    async def echo(self, text: str = "alive") -> None:
        """The line works in both directions."""
        before = len(self.audience.heard)
        await self.wire.send(frame(text.encode()))
        await self.audience.hears(*self.audience.heard[:before], text)
        self.carrier.send(Message(text.encode()))
        assert await self.wire.frame() == Frame(TEXT, text.encode())

    async def closes(self, code: int) -> None:
        """The server says goodbye with this code, the client answers, and the connection ends."""
        found = await self.wire.frame()
        assert (found.opcode, found.close_code) == (CLOSE, code), found
        await self.wire.send(frame(found.payload[:2], CLOSE))
        assert await self.wire.rest() == b""


Opener = Callable[[Settings], AbstractAsyncContextManager[Line]]
"""Connects a client to an open carrier."""
