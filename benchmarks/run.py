"""Measure Socketeer beside its peers: CPU time per message, as ratios from one run.

    python benchmarks/run.py                       everything, about six minutes
    python benchmarks/run.py --works echo --rounds 9
    python benchmarks/run.py --works client-echo,client-pipe,client-receive
    python benchmarks/run.py --peers socketeer,baseline --baseline ../other-checkout/src

README.md beside this file says what the figures mean.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from catalogue import WORKS, Peer, Work, install_node_peers, peers
from processes import Contest, Failure, Slice, build_load
from report import as_json, markdown, summarise

WARM_UP = 2.0  # seconds per server and work: Node compiles its hot functions meanwhile


class Progress:
    """One line on the terminal that says what is happening; plain lines where there is no terminal."""

    def __init__(self) -> None:
        self._rewrites = sys.stderr.isatty()

    def say(self, text: str) -> None:
        print(
            f"\r\x1b[K{text}" if self._rewrites else text, end="" if self._rewrites else "\n", file=sys.stderr
        )
        sys.stderr.flush()

    def keep(self, text: str) -> None:
        """A line that stays."""
        self.say(text)
        if self._rewrites:
            print(file=sys.stderr)


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
    parser.add_argument("--works", default=",".join(WORKS), help=f"some of {','.join(WORKS)} (default: all)")
    parser.add_argument("--peers", help=f"some of {names} (default: all that can run here)")
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="the src of another checkout, as a peer")
    parser.add_argument(
        "--cores", metavar="S,L", help="cores of the server and of the load (default: the first two)"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all slices and the tables there")
    options = parser.parse_args()
    if not 0 < options.seconds <= 60:
        parser.error("--seconds must be above 0 and at most 60")
    if not 1 <= options.rounds <= 1000:
        parser.error("--rounds must be 1 to 1000")
    unknown = set(options.works.split(",")) - set(WORKS)
    if unknown:
        parser.error(f"unknown works {', '.join(sorted(unknown))}; there are {', '.join(WORKS)}")
    for file in filter(None, (options.markdown, options.json)):
        if not file.parent.is_dir():  # said now, not after all the measuring
            parser.error(f"there is no directory {file.parent}")
    return options


def choose_peers(wanted: str | None, available: dict[str, Peer], progress: Progress) -> list[Peer]:
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
            progress.keep(f"left out: {name} {reason}")
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


def measure(
    work: Work, chosen: list[Peer], cores: tuple[int, int], options: argparse.Namespace, progress: Progress
) -> tuple[list[Slice], list[str]]:
    """All rounds of one work. A server that fails is dropped from it, and the others go on."""
    slices: list[Slice] = []
    failures: list[str] = []
    with ExitStack() as running:
        contests: list[Contest] = []
        for peer in chosen:
            if work.name not in peer.works:
                continue
            progress.say(f"{work.name}: starting {peer.name}, {work.connections} connections")
            contest = running.enter_context(Contest(peer, work, *cores))
            try:
                contest.start()
                contest.slice(0, WARM_UP)
                contests.append(contest)
            except Failure as failure:
                failures.append(str(failure))
                progress.keep(str(failure))
        for round_ in range(1, options.rounds + 1):
            # Each round begins with another server, so that none always follows the same one.
            shift = round_ % len(contests) if contests else 0
            for contest in contests[shift:] + contests[:shift]:
                progress.say(f"{work.name}: round {round_} of {options.rounds}, {contest.peer.name}")
                try:
                    slices.append(contest.slice(round_, options.seconds))
                except Failure as failure:
                    failures.append(str(failure))
                    progress.keep(str(failure))
                    contests = [other for other in contests if other is not contest]
    return slices, failures


def main() -> int:
    if sys.platform != "linux":
        raise SystemExit("the benchmarks need Linux: epoll, pinned cores, the kernel's CPU clocks")
    options = parse_arguments()
    # An ordinary kill unwinds the stack like Ctrl-C, so that every process started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = Progress()
    available = peers(options.baseline)
    chosen = choose_peers(options.peers, available, progress)
    cores = choose_cores(options.cores)
    progress.say("building the load generator")
    build_load()
    if any(peer.is_node for peer in chosen):
        progress.say("installing the peers from npm")
        install_node_peers()

    works = [WORKS[name] for name in dict.fromkeys(options.works.split(","))]
    per_server = WARM_UP + 1 + options.rounds * options.seconds
    servers = sum(work.name in peer.works for work in works for peer in chosen)
    progress.keep(f"{len(works)} works, {len(chosen)} servers: about {servers * per_server / 60:.1f} minutes")
    slices: list[Slice] = []
    failures: list[str] = []
    try:
        for work in works:
            measured, failed = measure(work, chosen, cores, options, progress)
            slices += measured
            failures += failed
    except KeyboardInterrupt:
        progress.keep("interrupted: every process is ended")
        return 130
    progress.say("")

    rows = summarise(slices, list(available))
    text = markdown(rows, available, options.seconds)
    print(text, end="")
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(as_json(rows, slices, available))
    if not any(row.peer == WORKS[row.work].ours for row in rows):
        print("no ratios: Socketeer was not measured", file=sys.stderr)
    return 1 if failures or not rows else 0


if __name__ == "__main__":
    raise SystemExit(main())
