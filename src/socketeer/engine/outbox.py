"""The outgoing queue of a long-polling session: order, bytes held, water marks."""

from __future__ import annotations

import asyncio

from socketeer.options import Backpressure
from socketeer.protocol.frame import Message


class Outbox:
    """Messages in order, waiting for a poll. Empty and idle it holds two references."""

    __slots__ = ("_marks", "_messages", "_waiters", "held")

    def __init__(self, marks: Backpressure) -> None:
        self._marks = marks
        self._messages: list[Message] = []
        self._waiters: list[asyncio.Future[None]] = []
        self.held = 0
        """Bytes queued."""

    def __len__(self) -> int:
        return len(self._messages)

    def append(self, message: Message) -> bool:
        """Queue a message; False says that more is held now than may be."""
        self._messages.append(message)
        self.held += message.size()
        return self.held <= self._marks.max_bytes

    def take(self) -> list[Message]:
        """Everything queued, in order; the outbox is empty afterwards."""
        messages, self._messages = self._messages, []
        self.held = 0
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        return messages

    async def drained(self) -> None:
        """Return at once below the high-water mark; otherwise wait until the queue is taken."""
        if self.held > self._marks.high_water:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
