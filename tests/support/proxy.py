"""A TCP proxy that cuts, stalls and refuses connections when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Stands between a client and the server at ``url``."""

    def __init__(self, url: str) -> None:
        self.host, self.target = "127.0.0.1", urlsplit(url).port
        self.port = 0
        self.cut_before: bytes | None = None
        """Once these bytes come from the server, what precedes them is passed on, and everything is cut."""
        self.changed: Callable[[bytes], bytes] | None = None
        """What becomes of the server's words."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.times: list[float] = []
        """When there have been connections, by the loop's clock."""

    @property
    def accepted(self) -> int:
        """How many connections there have been."""
        return len(self.times)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, url: str) -> AsyncIterator[Self]:
        proxy = cls(url)
        await proxy.allow()
        try:
            yield proxy
        finally:
            await proxy.refuse()

    async def allow(self) -> None:
        """Take connections, at the same port as before."""
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Take no more connections, and cut those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        self._flowing.set()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """Reset all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Pass nothing on any more, and say nothing about it: half-open connections."""
        self._flowing.clear()

    def flow(self) -> None:
        """Go on."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.times.append(asyncio.get_running_loop().time())
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(self.host, self.target)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(back)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(reader, back, back=False))
            group.create_task(self._pump(there, writer, back=True))
        for each in (writer, back):
            self._writers.discard(each)
            with contextlib.suppress(OSError):
                await each.wait_closed()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, back: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await self._flowing.wait()
                if self.changed is not None and back:
                    data = self.changed(data)
                if self.cut_before is not None and self.cut_before in data:
                    sink.write(data.partition(self.cut_before)[0])
                    await sink.drain()
                    self.cut_before = None
                    break
                sink.write(data)
                await sink.drain()
        sink.close()
