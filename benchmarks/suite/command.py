"""The command: measure Socketeer beside its peers: CPU time per message, as ratios from one run.

    python benchmarks/run.py                       everything; the report goes to benchmarks/results/ too
    python benchmarks/run.py --works table         the table only
    python benchmarks/run.py --works echo,pipe --rounds 15
    python benchmarks/run.py --peers socketeer,node
    python benchmarks/run.py --quick               does it work? seconds, and figures that mean nothing
    python benchmarks/run.py --peers socketeer,baseline --baseline ../other-checkout/src

benchmarks/README.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.suite.figures import Row, summarise
from benchmarks.suite.machine import machine
from benchmarks.suite.measure import Measurements, Settings
from benchmarks.suite.peers import HERE, Peer, build, install_npm_peers, peers
from benchmarks.suite.picture import svg
from benchmarks.suite.report import as_json, markdown
from benchmarks.suite.works import FAMILIES, WORKS, Work, choose, groups, smoke

RESULTS = HERE / "results"
WARM_UP = 2.0


def parse_arguments() -> argparse.Namespace:
    description, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(peers(Path()))
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a slice, up to 60 (default: 1)")
    parser.add_argument(
        "--rounds", type=int, default=7, help="slices of each server in each work (default: 7)"
    )
    parser.add_argument(
        "--works",
        default=",".join(FAMILIES),
        help=f"some of {','.join(FAMILIES)}, or of the works in them: {','.join(WORKS)} (default: all)",
    )
    parser.add_argument("--peers", help=f"some of {names} (default: all that can run here)")
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="the src of another checkout, as a peer")
    parser.add_argument(
        "--cores", metavar="S,L", help="cores of the server and of the load (default: the first two)"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test: few connections, one short round")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="write the report there: Markdown, picture, every slice (default for a full run: benchmarks/results)",
    )
    options = parser.parse_args()
    if not 0 < options.seconds <= 60:
        parser.error("--seconds must be above 0 and at most 60")
    if not 1 <= options.rounds <= 1000:
        parser.error("--rounds must be 1 to 1000")
    options.full = not options.quick and options.peers is None and options.works == ",".join(FAMILIES)
    if options.results is None and options.full:
        options.results = RESULTS
    try:
        options.works = choose(options.works)
    except ValueError as error:
        parser.error(str(error))
    if options.quick:
        options.works = smoke(options.works)
        options.seconds, options.rounds = 0.1, 1
    return options


def choose_peers(wanted: str | None, available: dict[str, Peer], say: Callable[[str], None]) -> list[Peer]:
    names = list(available) if wanted is None else list(dict.fromkeys(wanted.split(",")))
    unknown = [name for name in names if name not in available]
    if {"baseline", "baseline-client"} & set(unknown):
        raise SystemExit("a baseline needs --baseline DIR")
    if unknown:
        raise SystemExit(f"unknown peers {', '.join(unknown)}; there are {', '.join(available)}")
    chosen = []
    for name in names:
        reason = available[name].missing()
        if reason is None:
            chosen.append(available[name])
        elif wanted is None:
            say(f"left out: {name} {reason}")
        else:
            raise SystemExit(f"{name} {reason}")
    return chosen


def choose_cores(wanted: str | None) -> tuple[int, int]:
    allowed = sorted(os.sched_getaffinity(0))
    if wanted is None:
        if len(allowed) == 1:
            print("only one core: the server and the load share it, so expect noise", file=sys.stderr)
        return allowed[0], allowed[min(1, len(allowed) - 1)]
    try:
        server, load = (int(core) for core in wanted.split(","))
    except ValueError:
        raise SystemExit("--cores takes two numbers, as in 0,1") from None
    if not {server, load} <= set(allowed):
        raise SystemExit(f"this process may use the cores {', '.join(map(str, allowed))}")
    return server, load


def measure(works: list[Work], chosen: Callable[[Work], list[Peer]], settings: Settings) -> Measurements:
    """Everything, with a bar that says how far it is. Without a terminal, each work is a line."""
    total = sum(settings.estimate(work) for work in works for _ in chosen(work))
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=total)

        said = ""

        def step(text: str, seconds: float) -> None:
            nonlocal said
            if seconds < 0:
                console.print(text, markup=False, highlight=False)
            elif text:
                bar.update(task, description=text)
                work = text.partition(":")[0]
                if not console.is_terminal and work != said:
                    said = work
                    print(work, file=sys.stderr)
            else:
                bar.advance(task, seconds)

        measurements = Measurements(settings, step)
        try:
            for group in groups(works):
                measurements.group(group, chosen)
        except KeyboardInterrupt:
            measurements.interrupted = True
            console.print("interrupted: every process is ended, and what was measured follows")
    return measurements


def write(
    directory: Path, text: str, rows: list[Row], measured: Measurements, available: dict[str, Peer]
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    picture = svg(rows, available)
    (directory / "report.md").write_text(f"# Results\n\n![the table as a picture](table.svg)\n\n{text}")
    (directory / "table.svg").write_text(picture)
    (directory / "slices.json").write_text(as_json(rows, measured.slices, available, machine()))


def main() -> int:
    if sys.platform != "linux":
        raise SystemExit("the benchmarks need Linux: epoll, pinned cores, the kernel's CPU clocks")
    options = parse_arguments()
    # An ordinary kill unwinds the stack like Ctrl-C, so that every process started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    available = peers(options.baseline)
    candidates = choose_peers(options.peers, available, lambda text: print(text, file=sys.stderr))
    build()
    if any(peer.needs_npm for peer in candidates):
        install_npm_peers()

    def chosen(work: Work) -> list[Peer]:
        wanted = options.peers is not None or not work.peers
        return [peer for peer in candidates if peer.can(work) and (wanted or peer.name in work.peers)]

    warm_up = 0.0 if options.quick else WARM_UP
    settings = Settings(options.seconds, options.rounds, warm_up, choose_cores(options.cores))
    measured = measure(options.works, chosen, settings)
    rows = summarise(measured.slices, list(available))
    text = markdown(rows, available, options.seconds, machine())
    print(text, end="")
    if options.results and not (measured.interrupted and options.results == RESULTS):
        write(options.results, text, rows, measured, available)
    if not any(row.peer == WORKS[row.work].ours for row in rows):
        print("no ratios: Socketeer was not measured", file=sys.stderr)
    return 1 if measured.failures or measured.interrupted or not rows else 0
