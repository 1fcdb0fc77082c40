"""The work of a Python client under test; each client brings the part that differs: connecting and emitting.

Commands come by standard input, one per line, as the load generator takes them: `run SECONDS`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

TEXT = "all for one, one for all"


class Work:
    """What is sent, and whether to send more."""

    def __init__(self, batch: int) -> None:
        self.batch = batch  # replies to one request
        self.request = ("echo", TEXT) if batch == 1 else ("flood", batch)
        self.reply = "echo" if batch == 1 else "news"
        self.messages = 0
        self.awaited = 0
        self._runs = False
        self._done = asyncio.Event()

    def again(self, text: object) -> bool:
        """A reply has come; whether its client is to send the next request."""
        if text != TEXT or not self.awaited:
            sys.exit(f"not asked for: {text!r}")
        self.messages += 1
        self.awaited -= 1
        if self._runs and self.messages % self.batch == 0:
            self.awaited += self.batch
            return True
        if not self.awaited:
            self._done.set()
        return False

    async def slice(self, seconds: float, requests: list[Callable[[], Awaitable[object] | None]]) -> str:
        self.messages, self._runs = 0, True
        self.awaited = len(requests) * self.batch
        self._done.clear()
        asyncio.get_running_loop().call_later(seconds, self._stop)
        began = time.perf_counter()
        for request in requests:
            sent = request()
            if sent is not None:
                await sent
        await self._done.wait()
        return json.dumps({"messages": self.messages, "seconds": time.perf_counter() - began})

    def _stop(self) -> None:
        self._runs = False


async def _main(connect: Callable[[str, Work], Awaitable[Callable[[], Awaitable[object] | None]]]) -> None:
    port, connections, in_flight, batch = map(int, sys.argv[1:])
    work = Work(batch)
    senders = [await connect(f"http://127.0.0.1:{port}", work) for _ in range(connections)]
    print(json.dumps({"ready": connections}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(await work.slice(float(line.split()[1]), senders * in_flight), flush=True)


def run(connect: Callable[[str, Work], Awaitable[Callable[[], Awaitable[object] | None]]]) -> None:
    """Work until the input ends. `connect` gives what sends one request."""
    uvloop.run(_main(connect))
