"""What it costs that a request lands on a node which does not own its session: CPU time and latency, beside a direct one.

    python -m benchmarks.forwarding [--url redis://127.0.0.1:6379] [--rounds 5]
    python -m benchmarks.forwarding --local

Two servers in processes of their own, over Redis, or over a hub as workers have it. One client at a time: over long-polling a POST with an event and the
GET that fetches the answer, over WebSocket an event and its acknowledgement, each by the owner and by the other
node, in turns. CPU time is that of both servers, by the kernel's accounting; that of Redis or of the hub is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from socketeer.adapters.local_hub import Hub

TURNS = 400
"""Exchanges in one slice."""

SERVER = """
import sys
from socketeer import Server
from socketeer.adapters.local import LocalAdapter
from socketeer.adapters.redis import RedisAdapter
kind, where, key = sys.argv[1:]
io = Server(adapter={"local": LocalAdapter, "redis": RedisAdapter}[kind](where, key), ping_interval=600)
@io.on("connection")
def connection(socket):
    @socket.on("echo")
    def echo(value):
        return value
io.run(port=0, ready=lambda url: print(url, flush=True), timeout_keep_alive=600)
"""


def cpu(pids: list[int]) -> float:
    """Seconds of CPU time that these processes have used."""
    ticks = 0
    for pid in pids:
        with Path(f"/proc/{pid}/stat").open() as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Http:
    """A connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Http:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, query: str, body: bytes = b"") -> bytes:
        self.writer.write(
            f"{method} /socket.io/?EIO=4&{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
        return await self.reader.readexactly(int(length))


async def session(port: int) -> str:
    http = await Http.open(port)
    sid: str = json.loads((await http.ask("GET", "transport=polling"))[1:])["sid"]
    await http.ask("POST", f"transport=polling&sid={sid}", b"40")
    await http.ask("GET", f"transport=polling&sid={sid}")
    http.writer.close()
    return sid


async def polling(owner: int, landing: int) -> Callable[[], Awaitable[None]]:
    sid = await session(owner)
    http = await Http.open(landing)
    query = f"transport=polling&sid={sid}"

    async def turn() -> None:
        await http.ask("POST", query, b'421["echo","some text of a chat"]')
        answer = await http.ask("GET", query)
        if not answer.startswith(b"431"):
            await http.ask("POST", query, b"3")  # a ping came first
            await http.ask("GET", query)

    return turn


async def websocket(owner: int, landing: int) -> Callable[[], Awaitable[None]]:
    sid = await session(owner)
    reader, writer = await asyncio.open_connection("127.0.0.1", landing)
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    writer.write(
        f"GET /socket.io/?EIO=4&transport=websocket&sid={sid} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")

    def say(data: bytes) -> None:
        writer.write(bytes((0x81, 0x80 | len(data), 0, 0, 0, 0)) + data)

    async def hear() -> bytes:
        head = await reader.readexactly(2)
        return await reader.readexactly(head[1])

    say(b"2probe")
    await hear()
    say(b"5")

    async def turn() -> None:
        say(b'421["echo","some text of a chat"]')
        while (await hear())[:2] != b"43":
            say(b"3")

    return turn


async def measure(ports: list[int], pids: list[int], rounds: int) -> None:
    ways = {
        "polling, direct": await polling(ports[0], ports[0]),
        "polling, forwarded": await polling(ports[0], ports[1]),
        "websocket, direct": await websocket(ports[0], ports[0]),
        "websocket, forwarded": await websocket(ports[0], ports[1]),
    }
    cost: dict[str, list[float]] = {name: [] for name in ways}
    latency: dict[str, list[float]] = {name: [] for name in ways}
    for turn in ways.values():
        for _ in range(50):
            await turn()
    for _ in range(rounds):
        for name, turn in ways.items():
            before = cpu(pids)
            for _ in range(TURNS):
                begun = time.perf_counter()
                await turn()
                latency[name].append(time.perf_counter() - begun)
            cost[name].append((cpu(pids) - before) / TURNS)
    print("exchange               CPU of the servers   latency, median   99 %")
    for name in ways:
        times = sorted(latency[name])
        print(
            f"{name:22} {statistics.median(cost[name]) * 1e6:10.0f} us   {statistics.median(times) * 1e3:14.2f} ms"
            f"   {times[len(times) * 99 // 100] * 1e3:6.2f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="redis://127.0.0.1:6379")
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    asyncio.run(run(options))


async def run(options: argparse.Namespace) -> None:
    hub = Hub()
    where = ["local", await hub.start()] if options.local else ["redis", options.url]
    command = [sys.executable, "-c", SERVER, *where, f"bench-{secrets.token_hex(8)}"]
    servers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]  # noqa: ASYNC220
    try:
        urls = [await asyncio.to_thread(each.stdout.readline) for each in servers if each.stdout]
        ports = [int(url.rpartition(":")[2]) for url in urls]
        await measure(ports, [each.pid for each in servers], options.rounds)
    finally:
        for server in servers:
            server.kill()
            server.wait()
        await hub.close()


if __name__ == "__main__":
    main()
