"""JetStream for tests: small, in memory, and removed afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import nats
from nats.js.errors import NotFoundError

from socketeer.adapters import JetStream, NatsAdapter
from tests.support import requirements

SMALL = JetStream(storage="memory", max_bytes=64 * 1024 * 1024)


def jetstream(start: str, **options: Any) -> NatsAdapter:
    """An engine with JetStream, on the shared server."""
    return NatsAdapter(requirements.nats(), start, jetstream=SMALL, **options)


async def remove_streams(start: str, url: str | None = None) -> None:
    """Those of one prefix."""
    client = await nats.connect(url or requirements.nats())
    for name in ("log", "sessions"):
        with suppress(NotFoundError):
            await client.jsm().delete_stream(f"{start}-{name}")
    await client.close()


async def until(met: Callable[[], Any]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(30):
        while not met():  # noqa: ASYNC110 - most of it happens in another process
            await asyncio.sleep(0.005)
