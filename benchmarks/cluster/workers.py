"""What workers cost and what they bring: CPU time per message and messages per second with 0, 1 and 2 of them.

    python benchmarks/cluster/workers.py [--rounds N] [--seconds S] [--works echo,pipe,bcast]

It needs Linux, a C compiler and two cores that are idle. The load is the generator of the other benchmarks, at the
lowest priority: it works with what the server leaves. CPU time is that of the parent and all its workers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BENCHMARKS = HERE.parent
BUILD = BENCHMARKS / ".build"
CONNECTIONS = {"echo": 100, "pipe": 100, "bcast": 1000}
WORKERS = (0, 1, 2)


def build() -> Path:
    """The load generator."""
    sources = sorted(BENCHMARKS.glob("load/*.c"))
    compiler = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        raise SystemExit("the load generator needs a C compiler: cc, gcc or clang")
    BUILD.mkdir(exist_ok=True)
    target = BUILD / "load-workers"
    subprocess.run([compiler, "-O2", "-std=c11", "-o", str(target), *map(str, sources)], check=True)
    return target


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process; the clock's number as clock_getcpuclockid(3) computes it."""
    return time.clock_gettime((~pid << 3) | 2)


def family(pid: int) -> list[int]:
    """A process and those that it has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [pid, *(int(each) for each in text.split())]


class Contest:
    """A server with so many workers, and its load for one work."""

    def __init__(self, load: Path, work: str, workers: int) -> None:
        source = os.pathsep.join(filter(None, (str(BENCHMARKS.parent / "src"), os.environ.get("PYTHONPATH"))))
        self.server = subprocess.Popen(
            [sys.executable, str(HERE / "workers_server.py"), str(workers)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": source},
        )
        assert self.server.stdout is not None
        url = self.server.stdout.readline().decode().strip()
        if not url:
            raise SystemExit("the server did not start")
        self.load = subprocess.Popen(
            ["nice", "-n", "19", str(load), url.rpartition(":")[2], work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask(f"open {CONNECTIONS[work]}")
        self.pids = family(self.server.pid)

    def slice(self, seconds: float) -> tuple[float, float, float]:
        """Microseconds of CPU time per message; the parent's share of them; messages per second."""
        before = [cpu_seconds(pid) for pid in self.pids]
        answer = self._ask(f"run {seconds}")
        spent = [cpu_seconds(pid) - was for pid, was in zip(self.pids, before, strict=True)]
        messages = answer["messages"]
        parent = spent[0] if len(self.pids) > 1 else 0.0
        return sum(spent) / messages * 1e6, parent / messages * 1e6, messages / answer["seconds"]

    def _ask(self, command: str) -> dict[str, Any]:
        assert self.load.stdin is not None
        assert self.load.stdout is not None
        self.load.stdin.write(f"{command}\n")
        self.load.stdin.flush()
        answer: dict[str, Any] = json.loads(self.load.stdout.readline() or '{"error": "the load ended"}')
        if "error" in answer:
            raise SystemExit(answer["error"])
        return answer

    def stop(self) -> None:
        self.load.terminate()
        self.server.send_signal(signal.SIGTERM)
        self.load.wait()
        self.server.wait()


def measure(
    load: Path, work: str, rounds: int, seconds: float
) -> dict[int, list[tuple[float, float, float]]]:
    """The slices of one work; all servers are there from the start and take turns."""
    contests = {workers: Contest(load, work, workers) for workers in WORKERS}
    found: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    try:
        for number in range(rounds + 1):
            for workers, contest in contests.items():
                one = contest.slice(seconds)
                if number:  # the first warms up
                    found[workers].append(one)
    finally:
        for contest in contests.values():
            contest.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--works", default=",".join(CONNECTIONS))
    options = parser.parse_args()
    load = build()
    _row(
        "work", "workers", "CPU µs per message", "against none", "the parent's", "messages/s", "against none"
    )
    _row("---", *["---:"] * 6)
    for work in options.works.split(","):
        found = measure(load, work, options.rounds, options.seconds)
        for workers in WORKERS:
            cost, parent, speed = (statistics.median(each) for each in zip(*found[workers], strict=True))
            pairs = list(zip(found[workers], found[0], strict=True))
            dearer, faster = (
                statistics.median(mine[which] / alone[which] for mine, alone in pairs) for which in (0, 2)
            )
            shown = (f"{cost:.1f}", f"{dearer:.2f}", f"{parent:.2f}", f"{speed:,.0f}", f"{faster:.2f}")
            _row(f"`{work}`", str(workers or "none"), *shown)


def _row(*cells: str) -> None:
    print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
