"""From a client of one node to a client of another: latency, and the CPU time of both nodes, beside Node.js.

    python benchmarks/cluster/run.py
    python benchmarks/cluster/run.py --rate 2000 --rounds 15 --json FILE

README.md beside this file says what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median

from cluster import HERE, Contest, Failure, Slice, start_redis

KINDS = {"socketeer": "Socketeer", "node": "Node.js, @socket.io/redis-adapter"}
MODES = ("classic", "sharded")
WARM_UP = 3.0


def install() -> None:
    """`npm ci`, when what is installed is not what the lock file says."""
    folder = HERE.parent
    done, lock = folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"
    if not (done.exists() and done.stat().st_mtime >= lock.stat().st_mtime):
        subprocess.run(["npm", "ci"], cwd=folder, check=True, capture_output=True, timeout=300)


def measure(kinds: list[str], options: argparse.Namespace) -> list[Slice]:
    cores = sorted(os.sched_getaffinity(0))
    nodes, rest = cores[0], cores[min(1, len(cores) - 1)]
    os.sched_setaffinity(0, {rest})
    slices = []
    with ExitStack() as running:
        redis = start_redis(rest)
        running.callback(redis.stop)
        contests = [
            running.enter_context(Contest(kind, mode, redis, nodes)) for mode in MODES for kind in kinds
        ]
        for contest in contests:
            contest.start()
            contest.slice(0, options.rate, WARM_UP)
        for round_ in range(1, options.rounds + 1):
            # Each round begins with another one, so that none always follows the same.
            shift = round_ % len(contests)
            for contest in contests[shift:] + contests[:shift]:
                for each in contests:
                    each.tend()
                slices.append(contest.slice(round_, options.rate, options.seconds))
            print(f"round {round_} of {options.rounds}", file=sys.stderr)
    return slices


def table(slices: list[Slice], rate: float) -> str:
    lines = [
        f"| {rate:g} messages/s | CPU µs of both nodes | ratio | p50, ms | ratio | p99, ms | ratio | Redis, CPU µs |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ours = {(s.mode, s.round): s for s in slices if s.kind == "socketeer"}
    for mode in MODES:
        for kind, title in KINDS.items():
            mine = [s for s in slices if (s.kind, s.mode) == (kind, mode)]
            if not mine:
                continue
            cells = [f"{title}, {mode}"]
            for name, scale in (("us_per_delivery", 1.0), ("p50_us", 1e3), ("p99_us", 1e3)):
                cells.append(f"{median(getattr(s, name) for s in mine) / scale:.{1 if scale == 1 else 2}f}")
                ratios = [getattr(ours[mode, s.round], name) / getattr(s, name) for s in mine]
                same = kind == "socketeer"
                cells.append("" if same else f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
            cells.append(f"{median(s.redis_seconds / s.deliveries for s in mine) * 1e6:.1f}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def versions() -> str:
    packages = HERE.parent / "node_modules"
    names = ("socket.io", "@socket.io/redis-adapter", "redis")
    found = [
        f"{name} {json.loads((packages / name / 'package.json').read_text())['version']}"
        for name in names
        if (packages / name).is_dir()
    ]
    return ", ".join(
        [f"{platform.system()} {platform.release()}", f"Python {platform.python_version()}", *found]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rate", type=float, default=1000, help="messages a second (default: 1000)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a slice, up to 4 (default: 2)")
    parser.add_argument("--rounds", type=int, default=9, help="slices of each (default: 9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all slices there")
    options = parser.parse_args()
    if not 0 < options.seconds <= 4:  # longer, and clients that wait for their turn miss their pings
        parser.error("--seconds must be above 0 and at most 4")
    kinds = list(KINDS)
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("left out: Node.js, which is not installed", file=sys.stderr)
        kinds.remove("node")
    else:
        install()
    try:
        slices = measure(kinds, options)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    print(table(slices, options.rate))
    print(
        f"\nA ratio is Socketeer's figure divided by this one's in the same round; {options.rounds} rounds. {versions()}"
    )
    if options.json:
        options.json.write_text(json.dumps([asdict(s) for s in slices], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
