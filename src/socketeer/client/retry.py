"""At-least-once delivery: events that are sent until the server has acknowledged them, in order, one at a time.

https://socket.io/docs/v4/client-options/#retries. The official client needs ``ackTimeout`` for it;
here an event without a time-out is waited for as long as the connection lives, and sent again over
the next one. An event keeps its id when it is sent again over one connection, so that the late
acknowledgement of an earlier try counts, too.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any, Protocol

from socketeer.client.joining import Waiters
from socketeer.client.outgoing import Outgoing
from socketeer.engine.timers import Timer, TimerWheel
from socketeer.errors import AckTimeout, SocketDisconnected
from socketeer.messaging.acks import Reply, Waiter

log = logging.getLogger("socketeer")


class Sender(Protocol):
    """A socket, as its queue sees it."""

    @property
    def connected(self) -> bool:
        """Whether what is sent leaves now."""
        ...

    @property
    def wheel(self) -> TimerWheel:
        """For time-outs."""
        ...

    @property
    def ack_timeout(self) -> float | None:
        """Seconds to wait for an acknowledgement where an event does not say."""
        ...

    def encode(self, outgoing: Outgoing) -> None:
        """Keep the event as it is now."""
        ...

    def expect(self, outgoing: Outgoing, waiter: Waiter) -> None:
        """Give the event an acknowledgement id, and tell ``waiter`` what comes."""
        ...

    def forget(self, outgoing: Outgoing) -> None:
        """Nobody waits for its acknowledgement any more."""
        ...

    def send_now(self, outgoing: Outgoing) -> None:
        """Send it."""
        ...


class RetryQueue:
    """Events in order, of which the first is under way."""

    def __init__(self, sender: Sender, retries: int) -> None:
        self._sender = sender
        self._retries = retries
        self._items: deque[tuple[Outgoing, Reply | None]] = deque()
        self._tries = 0
        """How often the first has been sent."""
        self._under_way = False
        self._timer = Timer(self._late)
        self._empty: Waiters[None] = Waiters()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, outgoing: Outgoing, reply: Reply | None) -> None:
        """Send an event after those before it; ``reply`` gets its acknowledgement, or why there is none.

        Raises:
            TypeError: an argument cannot be sent.
        """
        self._sender.expect(outgoing, self)  # for the id, which the encoded event holds
        self._sender.forget(outgoing)
        self._sender.encode(outgoing)
        self._items.append((outgoing, reply))
        self._next()

    def resume(self) -> None:
        """There is a connection again."""
        self._next()

    def _next(self) -> None:
        if not self._items or self._under_way or not self._sender.connected:
            return
        outgoing, _ = self._items[0]
        self._under_way = True
        self._tries += 1
        self._sender.expect(outgoing, self)
        timeout = self._sender.ack_timeout if outgoing.flags.timeout is None else outgoing.flags.timeout
        if timeout is not None:
            self._sender.wheel.set(self._timer, timeout)
        self._sender.send_now(outgoing)

    async def emptied(self) -> None:
        """Wait until nothing is left of it."""
        if self._items:
            await self._empty.wait()

    def _take(self) -> Reply | None:
        self._tries = 0
        _, reply = self._items.popleft()
        if not self._items:
            self._empty.resolve(None)
        return reply

    def _rest(self) -> None:
        self._sender.wheel.clear(self._timer)
        self._under_way = False

    def answered(self, args: list[Any]) -> None:
        """The first has been acknowledged."""
        self._rest()
        reply = self._take()
        if reply is not None:
            reply.answered(args)
        self._next()

    def gone(self) -> None:
        """The connection broke before."""
        self._failed(SocketDisconnected("socket has been disconnected"))

    def _late(self) -> None:
        self._sender.forget(self._items[0][0])
        self._failed(AckTimeout())

    def _failed(self, error: Exception) -> None:
        self._rest()
        if self._tries > self._retries:
            tries, name = self._tries, self._items[0][0].args[0]
            reply = self._take()
            if reply is not None:
                reply.fail(error)
            else:
                log.warning("event %.100r is given up after %d tries: %s", name, tries, error)
        self._next()
