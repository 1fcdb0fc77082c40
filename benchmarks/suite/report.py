"""From slices to figures: medians, ratios, and where they were measured; as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from catalogue import WORKS, Peer
from processes import Slice


@dataclass(frozen=True)
class Row:
    """One server's figures in one work."""

    work: str
    peer: str
    best_us: float  # CPU time of the process measured per message, the cheapest slice
    median_us: float
    messages_per_second: float  # medians from here on
    p50_us: float | None
    p99_us: float | None
    rounds: int
    ratio: float | None  # ours / this one, median over the rounds; None where there is nothing to divide
    ratio_low: float | None
    ratio_high: float | None


def summarise(slices: Sequence[Slice], order: Sequence[str]) -> list[Row]:
    """The rows of each work in turn, its servers in the given order."""
    cost = {(s.work, s.peer, s.round): s.us_per_message for s in slices}
    groups: dict[tuple[str, str], list[Slice]] = {}
    for s in slices:
        groups.setdefault((s.work, s.peer), []).append(s)
    rows = []
    for (work, peer), group in groups.items():
        ours = WORKS[work].ours
        ratios = [
            cost[work, ours, s.round] / s.us_per_message
            for s in group
            if peer != ours and (work, ours, s.round) in cost
        ]
        rows.append(
            Row(
                work=work,
                peer=peer,
                best_us=min(s.us_per_message for s in group),
                median_us=median(s.us_per_message for s in group),
                messages_per_second=median(s.messages / s.seconds for s in group),
                p50_us=_median(s.p50_us for s in group),
                p99_us=_median(s.p99_us for s in group),
                rounds=len(group),
                ratio=median(ratios) if ratios else None,
                ratio_low=min(ratios) if ratios else None,
                ratio_high=max(ratios) if ratios else None,
            )
        )
    works = list(WORKS)
    return sorted(rows, key=lambda row: (works.index(row.work), order.index(row.peer)))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def machine() -> dict[str, str]:
    facts = {
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    if shutil.which("node"):
        answer = subprocess.run(
            ["node", "--version"], check=False, capture_output=True, text=True, timeout=20
        )
        facts["node"] = answer.stdout.strip()
    return facts


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":  # x86; other architectures do not say
            return value.strip()
    return platform.machine()


def markdown(rows: Iterable[Row], peers: dict[str, Peer], seconds: float) -> str:
    rows = list(rows)
    lines = []
    for work in dict.fromkeys(row.work for row in rows):
        mine = [row for row in rows if row.work == work]
        lines += [
            f"**{WORKS[work].title}**",
            "",
            f"| {'client' if WORKS[work].measures_client else 'server'} | CPU µs, best | median | messages/s | latency p50, ms | p99, ms | socketeer / this one |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {peers[r.peer].title} | {r.best_us:.1f} | {r.median_us:.1f} | {r.messages_per_second:,.0f} "
            f"| {_ms(r.p50_us)} | {_ms(r.p99_us)} | {_ratio(r)} |"
            for r in mine
        ]
        lines.append("")
    rounds = max((row.rounds for row in rows), default=0)
    where = machine()
    lines += [
        "CPU µs: user and system time per message, of the server or of the client. The ratio is the median over the",
        f"{rounds} rounds (lowest to highest), slices of {seconds:g} s interleaved; below 1, Socketeer is cheaper.",
        "",
        f"Machine: {where['cpu']}, {where['cores']} cores, {where['kernel']}, {where['python']}"
        + (f", Node.js {where['node']}." if "node" in where else "."),
        "",
    ]
    used = dict.fromkeys(row.peer for row in rows)
    lines += [f"- {peers[name].title}: {peers[name].versions()}" for name in used]
    return "\n".join(lines) + "\n"


def _ms(microseconds: float | None) -> str:
    return "" if microseconds is None else f"{microseconds / 1e3:.2f}"


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return ""
    return f"{row.ratio:.2f} ({row.ratio_low:.2f} to {row.ratio_high:.2f})"


def as_json(rows: Iterable[Row], slices: Iterable[Slice], peers: dict[str, Peer]) -> str:
    slices = list(slices)
    used = dict.fromkeys(s.peer for s in slices)
    content = {
        "machine": machine(),
        "versions": {name: peers[name].versions() for name in used},
        "table": [asdict(row) for row in rows],
        "slices": [{**asdict(s), "us_per_message": s.us_per_message} for s in slices],
    }
    return json.dumps(content, indent=1) + "\n"
