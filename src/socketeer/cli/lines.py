"""Lines on standard input, as they come, where it is no terminal."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Final

_PIECE: Final = 65_536


async def lines() -> AsyncIterator[str]:
    """Each line of standard input, until its end.

    A thread reads, since an event loop cannot watch a plain file. It reads the descriptor: a lock of
    ``sys.stdin`` that a waiting thread holds would not let the process end.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)
    descriptor = sys.stdin.fileno()

    def read() -> None:
        piece = b"-"
        while piece:
            try:
                piece = os.read(descriptor, _PIECE)
            except OSError:
                piece = b""
            try:
                asyncio.run_coroutine_threadsafe(queue.put(piece), loop).result()
            except (RuntimeError, asyncio.CancelledError):
                return  # nobody wants any more

    threading.Thread(target=read, name="standard input", daemon=True).start()
    rest = b""
    while piece := await queue.get():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
