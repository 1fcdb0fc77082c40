"""The benchmarks run from end to end, in small, on our own server: every work, every kind of measurement."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen, run
from xml.etree import ElementTree as ET

import pytest

from benchmarks.suite.works import WORKS, choose, smoke
from tests.support import requirements
from tests.support.repository import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the load generator is on epoll")


def bench(*arguments: str) -> CompletedProcess[str]:
    requirements.gcc()
    command = [sys.executable, "benchmarks/run.py", "--quick", *arguments]
    return run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)


@pytest.mark.parametrize("name", [work.name for work in smoke(list(WORKS.values()))])
def test_a_work_in_small(name: str, tmp_path: Path) -> None:
    outcome = bench("--works", name, "--peers", "socketeer,socketeer-client", "--results", str(tmp_path))
    assert outcome.returncode == 0, outcome.stderr
    found = json.loads((tmp_path / "slices.json").read_text())
    (row,) = found["table"]
    assert row["work"] == name
    assert row["cost"] > 0 or name == "heartbeats", "in so short a time no heartbeat is due, but this was"


def test_the_report_is_a_table_a_picture_and_every_slice(tmp_path: Path) -> None:
    # The floor in C needs nothing but the compiler either.
    outcome = bench("--works", "echo", "--peers", "socketeer,epoll", "--results", str(tmp_path))
    assert outcome.returncode == 0, outcome.stderr
    report = (tmp_path / "report.md").read_text()
    assert outcome.stdout in report
    assert "floor: C on epoll" in report
    assert "picows " in report, "it tells no versions"
    assert [s["peer"] for s in json.loads((tmp_path / "slices.json").read_text())["slices"]]
    assert "floor: C on epoll: " in "".join(ET.fromstring((tmp_path / "table.svg").read_text()).itertext())


def test_a_run_without_ours_says_so() -> None:
    outcome = bench("--works", "bcast", "--peers", "epoll")  # a floor cannot broadcast
    assert outcome.returncode == 1
    assert "no ratios" in outcome.stderr


def test_an_interrupted_run_reports_what_it_has_and_leaves_no_process() -> None:
    requirements.gcc()
    options = ["--works", "echo,pipe", "--peers", "socketeer", "--seconds", "0.1", "--rounds", "300"]
    command = [sys.executable, "benchmarks/run.py", *options]
    with Popen(command, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "echo\n"
        started = children(running.pid)
        while len(started) < 2:  # a server and its load; the run goes on for half a minute
            started = children(running.pid)
        running.terminate()
        output, errors = running.communicate(timeout=50)
    assert running.returncode == 1
    assert "interrupted" in errors
    assert "## Where and how" in output
    # Whoever inherits them takes notice of their end a little later.
    until = time.monotonic() + 10
    while left := [pid for pid in started if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < until, left
        time.sleep(0.05)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize("name", ["table", "growth", "rooms", "echo"])
def test_works_are_chosen_by_name_group_and_family(name: str) -> None:
    assert choose(name)
    assert all(name in (work.name, work.group, work.family) for work in choose(name))


def test_an_unknown_work_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown work ecco"):
        choose("echo,ecco")
