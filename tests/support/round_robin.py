"""A reverse proxy without stickiness: each HTTP request and each WebSocket goes to the server that a rule says."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

#: The number of a server, from the number of the request, how many servers there are, and the request's ``sid``.
Rule = Callable[[int, int, str | None], int]


def in_turns(number: int, servers: int, sid: str | None) -> int:
    """The next server, whatever it is: what nginx does by default."""
    return number % servers


def elsewhere(number: int, servers: int, sid: str | None) -> int:
    """Sessions begin at the first server, and all that follows lands on the others."""
    return 0 if sid is None else 1 + number % (servers - 1)


@dataclass(frozen=True)
class Refusal:
    """An answer that is a refusal."""

    when: float
    """Milliseconds since 1970."""
    request: str
    sid: str
    status: int
    body: bytes


class RoundRobin:
    """The proxy. `ports` may be changed while it runs."""

    def __init__(self, ports: Sequence[int], rule: Rule = in_turns) -> None:
        self.ports = list(ports)
        self.rule = rule
        self.waiting: Counter[int] = Counter()
        """How many requests and WebSockets each port has at the moment."""
        self.refused: list[Refusal] = []
        """Requests of a session that have been answered with another status than 200 or 101."""
        self._posts: list[tuple[str, bytearray]] = []
        self._numbers = count()

    @property
    def left(self) -> set[str]:
        """The sessions whose clients have posted a close packet."""
        return {sid for sid, posted in self._posts if _ends(posted)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, request by request."""
        ahead: bytes | None = b""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while ahead is not None:
                head = ahead + await reader.readuntil(b"\r\n\r\n")
                ahead = await self._pass(head, reader, writer)

    async def _pass(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """One request; what has been read of the next one, or None where there is none to come."""
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        sid = parse_qs(urlsplit(first.split(" ")[1]).query).get("sid", [None])[0]
        port = self.ports[self.rule(next(self._numbers), len(self.ports), sid)]
        if "upgrade" not in headers.get("connection", "").lower():
            lines = [each for each in lines if not each.lower().startswith("connection:")]
            lines.append("Connection: close")
        there, back = await asyncio.open_connection("127.0.0.1", port)
        tasks: list[asyncio.Future[Any]] = []
        posted = bytearray()
        if sid is not None:
            self._posts.append((sid, posted))
        self.waiting[port] += 1
        try:
            head = "\r\n".join([first, *lines, "", ""]).encode("latin-1")
            answer = asyncio.ensure_future(self._answer(there, first, sid))
            ahead = asyncio.ensure_future(_ahead(reader, back, head, headers, posted))
            tasks += answer, ahead
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and not ahead.result():
                return None  # the client does not wait for it
            writer.write(await answer)
            await writer.drain()
            if answer.result().startswith(b"HTTP/1.1 101"):
                await _both_ways(_pump(reader, back, ahead), _pump(there, writer))
                return None
            return await ahead or None
        finally:
            self.waiting[port] -= 1
            back.close()  # before anything that may be cancelled
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(OSError):
                await back.wait_closed()

    async def _answer(self, there: asyncio.StreamReader, first: str, sid: str | None) -> bytes:
        head = await there.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        body = b"" if status == 101 else await there.read()
        if sid is not None and status not in (101, 200):
            self.refused.append(Refusal(time.time() * 1000, first, sid, status, body[:100]))
        if status == 101:
            return head
        return _without_close(head) + body


def _ends(posted: bytearray) -> bool:
    """Whether a payload of Engine.IO 4 or 3 has a close packet in it."""
    return b"1" in posted.split(b"\x1e") or posted.endswith(b"1:1")


def _without_close(head: bytes) -> bytes:
    lines = [x for x in head.split(b"\r\n") if x.lower() != b"connection: close"]
    return b"\r\n".join(lines)


async def _ahead(
    reader: asyncio.StreamReader,
    back: asyncio.StreamWriter,
    head: bytes,
    headers: dict[str, str],
    posted: bytearray,
) -> bytes:
    """Pass a request on; then the first byte of what comes next, empty where the client has gone.

    The beginning of its body is noted in ``posted``.

    The head goes with the first of the body: a server that refuses the one and closes would reset the connection
    when the other comes, and its answer would be lost.
    """

    async def on(data: bytes) -> None:
        with contextlib.suppress(OSError):  # the server may have answered, and gone, before it has read all
            back.write(data)
            await back.drain()

    left = int(headers.get("content-length", "0"))
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while left:
            data = await reader.read(min(left, 65_536))
            if not data:
                return b""
            left -= len(data)
            posted += data[: 100 - len(posted)]
            await on(head + data)
            head = b""
        await on(head)
        while "chunked" in headers.get("transfer-encoding", ""):
            size = await reader.readuntil(b"\r\n")
            await on(size + await reader.readexactly(int(size, 16) + 2))
            if int(size, 16) == 0:
                break
        return await reader.read(1)
    return b""


async def _both_ways(*ways: Coroutine[Any, Any, None]) -> None:
    pumps = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(pumps, timeout=1.0)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, ahead: asyncio.Future[bytes] | None = None
) -> None:
    with contextlib.suppress(OSError):
        data = await ahead if ahead is not None else await source.read(65_536)
        while data:
            sink.write(data)
            await sink.drain()
            data = await source.read(65_536)
        sink.write_eof()


@contextlib.asynccontextmanager
async def round_robin(ports: Sequence[int], rule: Rule = in_turns) -> AsyncIterator[tuple[RoundRobin, int]]:
    """The proxy in this loop, and its port."""
    proxy = RoundRobin(ports, rule)
    tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
    writers: set[asyncio.StreamWriter] = set()
    over = False

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        if over:
            writer.close()
            return
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        tasks[task] = writer
        task.add_done_callback(ended)

    def ended(task: asyncio.Task[None]) -> None:
        tasks.pop(task).close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield proxy, server.sockets[0].getsockname()[1]
    finally:
        over = True
        # Not by close() at once: asyncio would forget a connection that is just being accepted, and leave it open.
        for sock in server.sockets:
            asyncio.get_running_loop().remove_reader(sock)
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(5):  # those that were just being accepted, in some turns of the loop
            await asyncio.sleep(0)
        server.close()
        for writer in writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.contextmanager
def round_robin_thread(ports: Sequence[int], rule: Rule = in_turns) -> Iterator[tuple[RoundRobin, int]]:
    """The same in a loop and a thread of its own, for tests that block."""
    started = threading.Event()
    made: list[tuple[RoundRobin, int]] = []
    ending: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        async with round_robin(ports, rule) as running:
            made.append(running)
            end = asyncio.Event()
            ending.append((asyncio.get_running_loop(), end))
            started.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield made[0]
    finally:
        loop, end = ending[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
