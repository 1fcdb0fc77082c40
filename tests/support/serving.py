"""Our own server in the test's own loop, on a port that was free."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from socketeer import Server


@contextlib.asynccontextmanager
async def serving(io: Server, **options: Any) -> AsyncIterator[int]:
    """Serve `io` and give the port; on leaving, cancel `serve` and see that it ends."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(io.serve(host="127.0.0.1", port=0, ready=url.set_result, **options))
    task.add_done_callback(lambda _: url.cancel())  # where it could not start, awaiting the task says why
    try:
        async with asyncio.timeout(10):
            await asyncio.wait([url])
        if url.cancelled():
            await task
        yield int(url.result().rpartition(":")[2])
    finally:
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([task])
