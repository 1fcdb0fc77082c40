"""The report: tables in Markdown, and everything as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from benchmarks.suite.figures import Row, by_family, cell_of, growth
from benchmarks.suite.machine import describe
from benchmarks.suite.peers import Peer
from benchmarks.suite.processes import Slice
from benchmarks.suite.works import (
    FAMILIES,
    HEARTBEAT_GOAL,
    MEMORY_GOAL,
    OURS,
    PING_INTERVAL,
    WORKS,
    Kind,
    Work,
)

Cells = dict[tuple[str, str], Row]


def markdown(rows: Sequence[Row], peers: dict[str, Peer], seconds: float, facts: dict[str, str]) -> str:
    """The whole report."""
    sections: dict[str, Callable[[list[Row], dict[str, Peer]], list[str]]] = {
        "table": table,
        "latency": latency,
        "growth": growing,
        "idle": heartbeats,
        "crowd": crowd,
        "client": details,
    }
    lines = []
    families = by_family(rows)
    for family, title in FAMILIES.items():
        if found := families.get(family):
            lines += [f"## {title}", "", *sections[family](found, peers), ""]
    rounds = max((row.rounds for row in rows if WORKS[row.work].kind is not Kind.CYCLES), default=0)
    lines += [
        "## Where and how",
        "",
        f"CPU time of the server by the kernel's accounting, all threads; up to {rounds} rounds, slices of {seconds:g} s",
        "interleaved, one core for the server and one for the load. Ratios are medians of the rounds' ratios, with the lowest",
        "and the highest.",
        "",
        f"Machine: {describe(facts)}",
        "",
        *(f"- {peers[name].title}: {peers[name].versions()}" for name in _peers_of(rows, peers)),
    ]
    return "\n".join(lines) + "\n"


def _peers_of(rows: Iterable[Row], peers: dict[str, Peer]) -> list[str]:
    used = {row.peer for row in rows}
    return [name for name in peers if name in used]


def _works_of(rows: Iterable[Row]) -> list[Work]:
    return [WORKS[name] for name in dict.fromkeys(row.work for row in rows)]


def _grid(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in body]


def table(rows: list[Row], peers: dict[str, Peer]) -> list[str]:
    """Every work against every peer, and the goals."""
    cells, names = cell_of(rows), _peers_of(rows, peers)
    others = [name for name in names if name != OURS]
    head = ["work", peers[OURS].title if OURS in names else "", *(peers[name].title for name in others)]
    body = []
    for work in _works_of(rows):
        ours = cells.get((work.name, OURS))
        mine = "" if ours is None else quantity(ours)
        if ours is not None and work.kind is Kind.MEMORY:
            mine += f", goal {MEMORY_GOAL / 1024:g}"
        body.append([work.title, mine, *(ratio(cells.get((work.name, name))) for name in others)])
    return [
        "What the others cost in relation to Socketeer: more than 1, Socketeer is cheaper; bold, the goal is reached.",
        "",
        *_grid(head, body),
        "",
        "### The figures behind it",
        "",
        *details(rows, peers),
    ]


def details(rows: list[Row], peers: dict[str, Peer]) -> list[str]:
    """Each peer's own figures, work by work."""
    lines: list[str] = []
    for work in _works_of(rows):
        mine = [row for row in rows if row.work == work.name]
        lines += [
            f"**{work.name}: {work.title}**",
            "",
            *_grid(
                ["", "median", "best", "units/s", "latency p50, ms", "p99, ms", "this one / Socketeer"],
                (
                    [
                        peers[row.peer].title,
                        quantity(row),
                        quantity(row, row.best),
                        f"{row.per_second:,.0f}" if row.per_second else "",
                        ms(row.more.get("p50_us")),
                        ms(row.more.get("p99_us")),
                        ratio(row, goal=False),
                    ]
                    for row in mine
                ),
            ),
            "",
        ]
    return lines[:-1]


def latency(rows: list[Row], peers: dict[str, Peer]) -> list[str]:
    """Percentiles at each load."""
    cells, names = cell_of(rows), _peers_of(rows, peers)
    body = [
        [work.title, *(_percentiles(cells.get((work.name, name))) for name in names)]
        for work in _works_of(rows)
    ]
    return [
        (
            "Echoes over 100 connections, sent when they are due, whatever has come back; latency counts from then. Milliseconds: "
            "p50 / p99 / p99.9."
        ),
        "",
        *_grid(["load", *(peers[name].title for name in names)], body),
    ]


def _percentiles(row: Row | None) -> str:
    if row is None:
        return ""
    if row.more.get("late") or row.per_second < 0.95 * int(row.work.partition("-")[2]):
        return f"not kept up with ({row.per_second:,.0f}/s)"
    return " / ".join(ms(row.more[key]) for key in ("p50_us", "p99_us", "p999_us"))


def growing(rows: list[Row], peers: dict[str, Peer]) -> list[str]:
    """Cost by size."""
    cells, names = cell_of(rows), _peers_of(rows, peers)
    body = [[work.title, *(_grown(cells, work, name) for name in names)] for work in _works_of(rows)]
    return [
        "In brackets: in relation to the first row of the same kind.",
        "",
        *_grid(["", *(peers[name].title for name in names)], body),
    ]


def _grown(cells: Cells, work: Work, peer: str) -> str:
    row = cells.get((work.name, peer))
    if row is None:
        return ""
    if work.kind is Kind.CYCLES:
        mib = 1024 * 1024
        return (
            f"{row.more['first_bytes'] / mib:.1f} MiB before, {row.best / mib:.1f} to {row.worst / mib:.1f} after, "
            f"{row.cost / mib:.1f} at last; {row.more['most_bytes'] / mib:.1f} with all"
        )
    factor = growth(cells, work, peer)
    return quantity(row) + ("" if factor is None else f" ({factor:.2f})")


def heartbeats(rows: list[Row], peers: dict[str, Peer]) -> list[str]:
    """The share of a core that idle connections take."""
    body = []
    for row in rows:
        connections = WORKS[row.work].connections
        share = row.cost / 1e6 * connections / PING_INTERVAL * 100
        shown = f"{share:.2f} %"
        if row.peer == OURS and share < HEARTBEAT_GOAL:
            shown = f"**{shown}**"
        body.append([peers[row.peer].title, shown, quantity(row), f"{row.per_second:,.0f}"])
    return [
        f"All clients idle for one ping interval ({PING_INTERVAL:g} s). Goal: less than {HEARTBEAT_GOAL:g} % of a core.",
        "",
        *_grid(["", "of a core", "per heartbeat", "heartbeats/s"], body),
    ]


def crowd(rows: list[Row], peers: dict[str, Peer]) -> list[str]:
    """Latency of the few while the many are told."""
    keys = ("during_p50_us", "during_p99_us", "during_max_us", "p50_us", "p99_us", "emit_us")
    body = [[peers[row.peer].title, *(ms(row.more.get(key)) for key in keys), quantity(row)] for row in rows]
    return [
        (
            f"{WORKS['crowd'].title}: milliseconds from when an echo was due. The emit lasts from its request until the last "
            "receiver has it."
        ),
        "",
        *_grid(
            [
                "",
                "during: p50",
                "p99",
                "longest",
                "otherwise: p50",
                "p99",
                "the emit lasts",
                "CPU per delivery",
            ],
            body,
        ),
    ]


def quantity(row: Row, value: float | None = None) -> str:
    """A cost with its unit."""
    value = row.cost if value is None else value
    if WORKS[row.work].unit == "bytes":
        return f"{value / 1024:.1f} KiB"
    return f"{value:,.0f} µs" if value >= 100 else f"{value:.1f} µs"


def ms(microseconds: float | None) -> str:
    """As milliseconds."""
    return "" if microseconds is None else f"{microseconds / 1e3:.2f}"


def ratio(row: Row | None, *, goal: bool = True) -> str:
    """A ratio with its spread, and its goal."""
    if row is None or row.ratio is None or row.ratio_low is None or row.ratio_high is None:
        return ""
    digits = 1 if row.ratio >= 10 else 2
    shown = f"{row.ratio:.{digits}f}"
    if goal and row.met:
        shown = f"**{shown}**"
    shown += f" ({row.ratio_low:.{digits}f} to {row.ratio_high:.{digits}f})"
    return shown + (f", goal {row.goal:g}" if goal and row.goal is not None else "")


def as_json(
    rows: Iterable[Row], slices: Iterable[Slice], peers: dict[str, Peer], facts: dict[str, str]
) -> str:
    """Everything: one slice a line."""
    rows = list(rows)
    content = {
        "machine": facts,
        "versions": {name: peers[name].versions() for name in _peers_of(rows, peers)},
        "table": [asdict(row) for row in rows],
    }
    text = json.dumps(content, indent=1).removesuffix("\n}")
    listed = ",\n".join(f"  {json.dumps(asdict(s))}" for s in slices)
    return f'{text},\n "slices": [\n{listed}\n ]\n}}\n'
