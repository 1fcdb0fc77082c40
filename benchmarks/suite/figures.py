"""From slices to figures: medians, ratios, goals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.suite.processes import Slice
from benchmarks.suite.works import WORKS, Kind, Work


@dataclass(frozen=True)
class Row:
    """One peer's figures in one work."""

    work: str
    peer: str
    cost: float  # per unit, the median over the rounds: CPU time in microseconds, or bytes
    best: float
    worst: float
    per_second: float  # units, by the clock on the wall, and so with whatever else the machine did
    rounds: int
    ratio: float | None = (
        None  # this one / ours, median over the rounds; None where there is nothing to divide
    )
    ratio_low: float | None = None
    ratio_high: float | None = None
    goal: float | None = None  # the ratio that is to be reached
    more: dict[str, float] = field(default_factory=dict)  # medians of what else is known

    @property
    def met(self) -> bool:
        return self.goal is not None and self.ratio is not None and self.ratio >= self.goal


def summarise(slices: Sequence[Slice], order: Sequence[str]) -> list[Row]:
    """The rows of each work in turn, its peers in the given order."""
    cost = {(s.work, s.peer, s.round): s.cost for s in slices}
    grouped: dict[tuple[str, str], list[Slice]] = {}
    for s in slices:
        grouped.setdefault((s.work, s.peer), []).append(s)
    rows = []
    for (name, peer), group in grouped.items():
        work = WORKS[name]
        ratios = [
            s.cost / cost[name, work.ours, s.round]
            for s in group
            if peer != work.ours and cost.get((name, work.ours, s.round), 0) > 0
        ]
        rows.append(_row(work, peer, group, ratios))
    works = list(WORKS)
    return sorted(rows, key=lambda row: (works.index(row.work), order.index(row.peer)))


def _row(work: Work, peer: str, group: Sequence[Slice], ratios: list[float]) -> Row:
    costs = [s.cost for s in group]
    return Row(
        work=work.name,
        peer=peer,
        # Memory after many cycles is not the same thing measured often: its last value counts.
        cost=costs[-1] if work.kind is Kind.CYCLES else median(costs),
        best=min(costs),
        worst=max(costs),
        per_second=median(s.units / s.seconds if s.seconds else 0.0 for s in group),
        rounds=len(group),
        ratio=median(ratios) if ratios else None,
        ratio_low=min(ratios) if ratios else None,
        ratio_high=max(ratios) if ratios else None,
        goal=work.goals.get(peer),
        more={
            key: median(s.more[key] for s in group)
            for key in group[0].more
            if all(key in s.more for s in group)
        },
    )


def by_family(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each table of the report."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(WORKS[row.work].family, []).append(row)
    return found


def cell_of(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """Each row by its work and its peer."""
    return {(row.work, row.peer): row for row in rows}


def growth(cells: dict[tuple[str, str], Row], work: Work, peer: str) -> float | None:
    """The cost in relation to the first work of the same group."""
    first = next(each for each in WORKS.values() if each.group == work.group)
    here, there = cells.get((work.name, peer)), cells.get((first.name, peer))
    if not work.group or here is None or there is None or not there.cost:
        return None
    return here.cost / there.cost
