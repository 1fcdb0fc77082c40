"""Nodes of a hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.local import LocalBus

QUICK = LinkOptions(
    ping_timeout=20.0,
    reconnection_delay=0.01,
    reconnection_delay_max=0.05,
    max_pending_bytes=64 * 1024 * 1024,
)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():  # noqa: ASYNC110 - it depends on another connection
            await asyncio.sleep(0.002)


async def joined(path: str, channel: str = "c") -> tuple[LocalBus, list[bytes]]:
    bus, heard = LocalBus(path, link=QUICK), list[bytes]()
    bus.subscribe(channel, heard.append)
    bus.start()
    await bus.settled()
    return bus, heard
