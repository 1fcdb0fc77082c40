"""What an event costs each node as nodes grow from 2 to 16: all in this process, over a real Redis.

python benchmarks/cluster/growth.py
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import uvloop
from cluster import Process, cpu_seconds, start_redis

from socketeer.adapters import RedisAdapter, ShardedRedisAdapter
from socketeer.server.server import BaseServer
from socketeer.testing.inprocess import WireClient

COUNTS = (2, 4, 8, 16)
LIMIT = 60.0


@dataclass(frozen=True)
class Figure:
    mode: str
    nodes: int
    us: float  # CPU of this process for each event and node; all have one client that gets it
    redis_us: float


async def measure(mode: str, count: int, events: int, rounds: int, redis: Process) -> Figure:
    url, key = f"redis://127.0.0.1:{redis.port}", f"growth-{secrets.token_hex(4)}"
    make = RedisAdapter if mode == "classic" else ShardedRedisAdapter
    servers = [BaseServer(adapter=make(url, key)) for _ in range(count)]
    clients = []
    for io in servers:
        io.start()
        clients.append(WireClient(io))
        clients[-1].connect().join("room")
    for io in servers:
        await io.adapter.ready()  # type: ignore[attr-defined]
    costs, of_redis = [], []
    for _ in range(rounds):
        before, before_redis = time.process_time(), cpu_seconds(redis.pid)
        for number in range(events):
            servers[0].to("room").emit("news", number, "x" * 100)
            if number % 20 == 19:
                await asyncio.sleep(0)
        async with asyncio.timeout(LIMIT):
            while any(len(client.carrier.sent) < events for client in clients):  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        costs.append((time.process_time() - before) / events / count)
        of_redis.append((cpu_seconds(redis.pid) - before_redis) / events / count)
        for client in clients:
            client.heard()
    for io in servers:
        await io.close()
    return Figure(mode, count, median(costs) * 1e6, median(of_redis) * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--events", type=int, default=2000, help="in a round (default: 2000)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    redis = start_redis(cores[min(1, len(cores) - 1)])
    figures = []
    try:
        for mode in ("classic", "sharded"):
            for count in COUNTS:
                figures.append(uvloop.run(measure(mode, count, options.events, options.rounds, redis)))  # noqa: PERF401
    finally:
        redis.stop()
    print(
        "| nodes | classic, CPU µs for each event and node | Redis | sharded | Redis |\n|---:|---:|---:|---:|---:|"
    )
    for count in COUNTS:
        classic, sharded = (each for each in figures if each.nodes == count)
        print(
            f"| {count} | {classic.us:.1f} | {classic.redis_us:.1f} | {sharded.us:.1f} | {sharded.redis_us:.1f} |"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in figures], indent=1))


if __name__ == "__main__":
    main()
