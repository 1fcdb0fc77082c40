"""A bus in one process: what is published arrives in the next turn of the loop, as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial

from socketeer.adapters.bus import Receive, check_size
from socketeer.adapters.health import Health
from socketeer.server.published import published


class Exchange:
    """What the buses of all nodes hang on."""

    def __init__(self) -> None:
        self.receivers: dict[str, list[tuple[LoopBus, Receive]]] = {}


class LoopBus:
    max_message_size = 1_000_000

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.health = Health("the test's bus")

    def start(self) -> None:
        self.health.up()

    def publish(self, channel: str, payload: bytes) -> Awaitable[None]:
        check_size(self, payload)
        loop = asyncio.get_running_loop()
        self.health.published += 1
        loop.call_soon(partial(self._deliver, channel, payload))
        return published(None)

    def _deliver(self, channel: str, payload: bytes) -> None:
        for _, receive in list(self.exchange.receivers.get(channel, ())):
            receive(payload)

    def subscribe(self, channel: str, receive: Receive) -> None:
        self.exchange.receivers.setdefault(channel, []).append((self, receive))

    def unsubscribe(self, channel: str, receive: Receive) -> None:
        self.exchange.receivers[channel].remove((self, receive))

    async def settled(self) -> None:
        pass

    async def subscribers(self, channel: str) -> int:
        return len({id(bus) for bus, _ in self.exchange.receivers.get(channel, ())})

    async def close(self) -> None:
        self.health.idle()
