"""What an idle WebSocket connection holds, by what holds it, and whether all of it is given back.

    python benchmarks/memory_of_connections.py [--connections 2000] [--cycles 10] [--browser] [--trace]

A server in a process of its own, and clients on bare sockets in this one that join the main namespace and are
silent. RssAnon by /proc is what the system gives the server, after a collection and nothing else; `--trace` adds what Python
allocates, line by line (tracemalloc), and `--cycles` counts the objects each time everybody has left: before a collection,
that is with the collector off, and after one.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import contextlib
import ctypes
import gc
import json
import os
import socket
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import uvloop

NODE = ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]
BROWSER = [
    "Pragma: no-cache",
    "Cache-Control: no-cache",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Origin: http://127.0.0.1:{port}",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9",
    "Cookie: session={number:032x}; theme=dark",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
]


# --- the server -------------------------------------------------------------------------------------------------


async def serve(handlers: str) -> None:
    """Serve, and answer what is asked on standard input, a word a line."""
    from socketeer import Server, Socket

    io = Server()
    if handlers == "namespace":

        @io.event
        def echo(socket: Socket, payload: Any) -> None:
            socket.emit("echo", payload)

    elif handlers == "socket":

        @io.on("connection")
        def connection(socket: Socket) -> None:
            @socket.on("echo")
            def echo(payload: Any) -> None:
                socket.emit("echo", payload)

    running = asyncio.create_task(io.serve(host="127.0.0.1", port=int(os.environ["PORT"])))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while word := (await reader.readline()).decode().strip():
        print(json.dumps(_answer(io, word)), flush=True)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def _answer(io: Any, word: str) -> Any:
    if word == "clients":
        return len(io.sockets.sockets)
    if word == "rss":
        gc.collect()
        return _anonymous()
    if word == "trim":
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        return _anonymous()
    if word == "freeze":  # the collector runs no more by itself
        gc.collect()
        gc.disable()
        return None
    if word == "blocks":  # what Python has given out
        return sys.getallocatedblocks()
    if word == "collect":
        return gc.collect()
    if word == "trace":
        gc.collect()
        tracemalloc.start(1)
        return None
    if word == "traced":
        gc.collect()
        found = tracemalloc.take_snapshot().statistics("lineno")
        return [
            (
                f"{Path(each.traceback[0].filename).as_posix()}:{each.traceback[0].lineno}",
                each.size,
                each.count,
            )
            for each in found[:60]
        ]
    return collections.Counter(type(each).__qualname__ for each in gc.get_objects())


def _anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no RssAnon")


# --- the clients ------------------------------------------------------------------------------------------------


class Stage:
    """A server, and the clients that it has."""

    def __init__(self, handlers: str, lines: list[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._lines = lines
        self._clients: list[socket.socket] = []
        self._server = subprocess.Popen(
            [sys.executable, __file__, "--serve", handlers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PORT": str(self.port)},
            text=True,
        )
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return

    def ask(self, word: str) -> Any:
        """What the server answers."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(word + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def come(self, count: int) -> None:
        """So many clients more, each in the main namespace."""
        for _ in range(count):
            self._clients.append(self._connect(len(self._clients)))

    def _connect(self, number: int) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *(line.format(port=self.port, number=number) for line in self._lines),
        ]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        client.sendall(b"\x81\x82\0\0\0\x0040")
        received = b""
        while b'40{"sid"' not in received:
            received += client.recv(4096)
        return client

    def go(self) -> None:
        """Everybody leaves without a word, which takes its time."""
        for client in self._clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            client.close()
        self._clients.clear()
        while self.ask("clients"):
            pass

    def end(self) -> None:
        """The server ends."""
        self.go()
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()


def per_connection(stage: Stage, connections: int, trace: bool) -> None:
    """Print what a connection holds."""
    stage.come(connections // 5)
    if trace:
        stage.ask("trace")
    before, objects = stage.ask("rss"), stage.ask("objects")
    stage.come(connections)
    after, more = stage.ask("rss"), stage.ask("objects")
    if not trace:
        print(f"RssAnon per connection: {(after - before) / connections:,.0f} bytes")
    each = {name: round((more[name] - objects.get(name, 0)) / connections, 2) for name in more}
    each = {name: count for name, count in each.items() if count >= 0.05}
    print(f"objects that the collector minds, per connection: {sum(each.values()):.1f}")
    print(
        "  "
        + ", ".join(f"{name} {count:g}" for name, count in sorted(each.items(), key=lambda pair: -pair[1]))
    )
    if trace:
        rows = stage.ask("traced")
        print(f"traced per connection: {sum(row[1] for row in rows) / connections:,.0f} bytes")
        for where, size, count in rows:
            if size / connections >= 4:
                print(
                    f"{size / connections:8,.0f} {count / connections:6.1f}  {'/'.join(where.split('/')[-3:])}"
                )


def in_cycles(stage: Stage, connections: int, cycles: int) -> None:
    """Print what is left each time that everybody has left."""
    stage.come(10)
    stage.go()
    stage.ask("freeze")
    first = stage.ask("objects")
    print(f"at first {stage.ask('rss') / 2**20:6.1f} MiB, {sum(first.values()):,} objects")
    for cycle in range(1, cycles + 1):
        stage.come(connections)
        most = stage.ask("rss")
        stage.go()
        uncollected = stage.ask("objects")
        found = stage.ask("collect")
        left = stage.ask("objects")
        held = {name: count - left.get(name, 0) for name, count in uncollected.items()}
        held = {name: count for name, count in held.items() if count > connections // 10}
        print(
            f"cycle {cycle:2}: most {most / 2**20:6.1f} MiB, after {stage.ask('rss') / 2**20:6.1f} MiB; objects "
            f"{sum(uncollected.values()):,} before a collection, {sum(left.values()):,} after one, which found {found:,}; {stage.ask('blocks'):,} blocks"
            + (f"; held until it: {held}" if held else "")
        )
    print(f"after malloc_trim: {stage.ask('trim') / 2**20:.1f} MiB")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--cycles", type=int, default=0, help="how often they come and go")
    parser.add_argument("--browser", action="store_true", help="a browser's headers")
    parser.add_argument(
        "--trace", action="store_true", help="by line of source; RssAnon is without meaning then"
    )
    parser.add_argument("--handlers", choices=("namespace", "socket", "none"), default="namespace")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as io.run
            runner.run(serve(options.serve))
        return
    stage = Stage(options.handlers, BROWSER if options.browser else NODE)
    try:
        if options.cycles:
            in_cycles(stage, options.connections, options.cycles)
        else:
            per_connection(stage, options.connections, options.trace)
    finally:
        stage.end()


if __name__ == "__main__":
    main()
