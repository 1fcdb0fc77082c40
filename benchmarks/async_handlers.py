"""What an ``async def`` handler that never waits costs beside a ``def`` handler that does the same.

    python benchmarks/async_handlers.py [--rounds 21] [--messages 20000] [--loop uvloop|asyncio]

In one process, without a network: real servers, sessions and sockets, above a WebSocket that takes what is sent
and forgets it. Counted is the CPU time of this process for each event, from its bytes to the handler's end, in slices that
take turns; the ratio is the median of the rounds'. `empty` handlers do nothing, so that the ratio shows the worst there is;
`echo` handlers emit what has come. For the whole way through a network: `run.py --peers socketeer,socketeer-async`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop

from socketeer import Server, Socket
from socketeer.testing.inprocess import WireClient


def make_client() -> WireClient:
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("empty def")
        def empty_def(text: Any) -> None: ...

        @socket.on("empty async def")
        async def empty_async(text: Any) -> None: ...

        @socket.on("echo def")
        def echo_def(text: Any) -> None:
            socket.emit("echo", text)

        @socket.on("echo async def")
        async def echo_async(text: Any) -> None:
            socket.emit("echo", text)

        @socket.on("ack def")
        def ack_def(text: Any) -> Any:
            return text

        @socket.on("ack async def")
        async def ack_async(text: Any) -> Any:
            return text

    client = WireClient(io)
    client.connect()
    client.carrier.send = lambda message: message.framed or message.frames()  # type: ignore[method-assign]
    return client


async def measure(receive: Callable[[bytes], None], data: bytes, messages: int) -> float:
    """CPU microseconds for each of these messages, which come as from a network: with no task around them."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[float] = loop.create_future()

    def in_callback() -> None:
        before = time.process_time()
        for _ in range(messages):
            receive(data)
        found.set_result((time.process_time() - before) / messages * 1e6)

    loop.call_soon(in_callback)
    return await found


async def run(rounds: int, messages: int) -> None:
    receive = make_client().session.receive_text
    print("| handler | def, µs | async def, µs | async def / def |")
    print("|---|---:|---:|---:|")
    for work, ack in (("empty", ""), ("echo", ""), ("ack", "7")):
        packets = {kind: f'42{ack}["{work} {kind}","hello there"]'.encode() for kind in ("def", "async def")}
        found: dict[str, list[float]] = {kind: [] for kind in packets}
        for _ in range(rounds):
            for kind, data in packets.items():
                found[kind].append(await measure(receive, data, messages))
        ratios = sorted(b / a for a, b in zip(found["def"], found["async def"], strict=True))
        plain, coroutine = (statistics.median(each) for each in found.values())
        print(
            f"| {work} | {plain:.2f} | {coroutine:.2f} "
            f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--messages", type=int, default=20_000, help="in each slice")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    options = parser.parse_args()
    factory = uvloop.new_event_loop if options.loop == "uvloop" else None
    print(f"Python {sys.version.split()[0]}, {options.loop}")
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(run(options.rounds, options.messages))


if __name__ == "__main__":
    main()
