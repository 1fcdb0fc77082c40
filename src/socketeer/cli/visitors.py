"""Two clients that talk in the demo's chat, so that a terminal alone shows what Socketeer does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from socketeer.cli.chat import Tell
from socketeer.cli.screen import milliseconds
from socketeer.client.client import Client
from socketeer.errors import SocketeerError

#: Who says what, the first visitor (0) or the second.
TALK: Final = (
    (0, "Is anybody there?"),
    (1, "I am. Which way did you come?"),
    (0, "By long-polling, and then a WebSocket took over."),
    (1, "So did I. What becomes of this line when the connection breaks?"),
    (0, "It waits, and is sent when there is one again."),
    (1, "One for all!"),
    (0, "And all for one."),
)
#: Seconds between two lines, for those who read along.
PACE: Final = 1.2


class Visitor:
    """One client of the chat; ``tell`` is told of what it hears."""

    def __init__(self, url: str, tell: Tell) -> None:
        self._tell = tell
        self.name = "?"
        # The server of the demo ends with the demo: nobody is to look for it then.
        self.client = Client(url, reconnection=False)
        self.client.on("welcome", self._welcomed)
        self.client.on("chat message", self._heard)

    def _welcomed(self, name: str, people: list[Any]) -> None:  # noqa: ARG002 - what the server sends
        self.name = name

    def _heard(self, message: dict[str, Any]) -> None:
        self._tell(self.name, "hears", f"{message['name']}: {message['text']!r}")

    async def say(self, text: str) -> None:
        """Say something, and tell how long its acknowledgement took."""
        self.client.emit("typing", True)
        await asyncio.sleep(PACE / 2)
        self.client.emit("typing", False)
        began = time.monotonic()
        others = await self.client.emit_with_ack("chat message", text, timeout=10)
        took = milliseconds(time.monotonic() - began)
        self._tell(self.name, "acknowledged", f"{others} other{'' if others == 1 else 's'}, in {took}")


async def talk(url: str, tell: Tell, lines: Sequence[tuple[int, str]] = TALK) -> None:
    """Let two clients say these lines to each other, then stay until the server ends."""
    visitors = (Visitor(url, tell), Visitor(url, tell))
    try:
        for visitor in visitors:
            await visitor.client.connect()
        for who, text in lines:
            await asyncio.sleep(PACE / 2)
            await visitors[who].say(text)
        await asyncio.gather(*(visitor.client.wait() for visitor in visitors))
    except SocketeerError as error:
        tell("the two clients", "ended", str(error))
    finally:
        for visitor in visitors:
            await visitor.client.close()
