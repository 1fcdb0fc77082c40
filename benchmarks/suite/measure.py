"""Rounds of measurements: servers take turns, so that a machine that becomes slower does so for all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.suite.peers import Peer
from benchmarks.suite.processes import Contest, Failure, Slice
from benchmarks.suite.works import Kind, Work


@dataclass(frozen=True)
class Settings:
    """How long, how often, and where."""

    seconds: float
    rounds: int
    warm_up: float  # seconds per server and work: Node.js compiles its hot functions meanwhile
    cores: tuple[int, int]  # of what is measured, and of the other

    def rounds_of(self, work: Work) -> int:
        if work.kind is Kind.CYCLES:
            return min(self.rounds * 2, work.rounds or self.rounds)
        return min(self.rounds, work.rounds or self.rounds)

    def seconds_of(self, work: Work) -> float:
        return work.seconds or self.seconds

    def estimate(self, work: Work) -> float:
        """About how many seconds one peer takes."""
        opening = 0.5 + work.connections / 2000
        if work.kind in (Kind.SLICES, Kind.CLIENT):
            return opening + self.warm_up + self.rounds_of(work) * self.seconds_of(work)
        return opening * self.rounds_of(work) + 1


class Measurements:
    """What has been measured, and what has failed."""

    def __init__(self, settings: Settings, step: Callable[[str, float], None]) -> None:
        self._settings = settings
        self._step = step  # is told what comes next, and how many seconds of the estimate are over
        self.slices: list[Slice] = []
        self.failures: list[str] = []
        self.interrupted = False

    def group(self, works: list[Work], chosen: Callable[[Work], list[Peer]]) -> None:
        """All rounds of works that are measured in turn with each other. What fails is dropped, the others go on."""
        with ExitStack() as running:
            contests = []
            for work in works:
                for peer in chosen(work):
                    if work.kind in (Kind.MEMORY, Kind.CYCLES):
                        self._alone(work, peer)
                    elif contest := self._start(running, work, peer):
                        contests.append(contest)
            self._take_turns(contests)

    def _start(self, running: ExitStack, work: Work, peer: Peer) -> Contest | None:
        self._step(f"{work.name}: starting {peer.name}, {work.connections:,} connections", 0)
        contest = running.enter_context(Contest(peer, work, *self._settings.cores))
        try:
            contest.start()
            if work.kind is Kind.SLICES:
                contest.open(work.connections)
            if work.kind is Kind.DEPARTURES:
                contest.departure(0)
            elif work.seconds is None and self._settings.warm_up:
                contest.slice(0, self._settings.warm_up)
        except Failure as failure:
            self._fail(failure)
            return None
        self._step("", self._settings.warm_up + 0.5 + work.connections / 2000)
        return contest

    def _take_turns(self, contests: list[Contest]) -> None:
        most = max((self._settings.rounds_of(contest.work) for contest in contests), default=0)
        for round_ in range(1, most + 1):
            # Each round begins with another server, so that none always follows the same one.
            shift = round_ % len(contests) if contests else 0
            for contest in contests[shift:] + contests[:shift]:
                work = contest.work
                if round_ > self._settings.rounds_of(work):
                    continue
                self._step(f"{work.name}: round {round_}, {contest.peer.name}", 0)
                seconds = self._settings.seconds_of(work)
                try:
                    if work.kind is Kind.DEPARTURES:
                        self.slices.append(contest.departure(round_))
                        seconds = 0.5 + work.connections / 2000
                    else:
                        self.slices.append(contest.slice(round_, seconds))
                except Failure as failure:
                    self._fail(failure)
                    contests = [other for other in contests if other is not contest]
                self._step("", seconds)

    def _alone(self, work: Work, peer: Peer) -> None:
        """Memory: a process of its own for each round, or many rounds in one process."""
        measure = self._memory if work.kind is Kind.MEMORY else self._cycles
        self._step(f"{work.name}: {peer.name}", 0)
        try:
            measure(work, peer)
        except Failure as failure:
            self._fail(failure)
        self._step("", self._settings.estimate(work))

    def _memory(self, work: Work, peer: Peer) -> None:
        few, many = work.connections // 5, work.connections
        for round_ in range(1, self._settings.rounds_of(work) + 1):
            with Contest(peer, work, *self._settings.cores) as contest:
                contest.start()
                contest.open(few)
                before = contest.memory()
                contest.open(many)
                after = contest.memory()
            self._keep_bytes(
                work, peer, round_, (after - before) / (many - few), many - few, {"bytes": float(after)}
            )

    def _cycles(self, work: Work, peer: Peer) -> None:
        with Contest(peer, work, *self._settings.cores) as contest:
            contest.start()
            contest.open(1)
            first = contest.memory()
            for round_ in range(1, self._settings.rounds_of(work) + 1):
                contest.open(work.connections)
                most = contest.memory()
                contest.open(1)
                left = contest.memory()
                more = {"most_bytes": float(most), "first_bytes": float(first)}
                self._keep_bytes(work, peer, round_, left, work.connections, more)

    def _keep_bytes(
        self, work: Work, peer: Peer, round_: int, cost: float, units: int, more: dict[str, float]
    ) -> None:
        self.slices.append(Slice(work.name, peer.name, round_, cost, units, 0.0, 0.0, 0.0, more))

    def _fail(self, failure: Failure) -> None:
        self.failures.append(str(failure))
        self._step(str(failure), -1)
