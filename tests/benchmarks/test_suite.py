"""The benchmarks run from end to end, in small, on our own server: every work, every kind of measurement."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import run
from xml.etree import ElementTree as ET

import pytest

from benchmarks.suite.works import WORKS, choose, smoke
from tests.support import requirements
from tests.support.repository import ROOT

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the load generator is on epoll"),
    pytest.mark.timeout(300),
]


def test_every_work_in_small(tmp_path: Path) -> None:
    requirements.gcc()
    peers = "socketeer,socketeer-client,epoll"  # the floor in C needs nothing but the compiler either
    command = [sys.executable, "benchmarks/run.py", "--quick", "--peers", peers, "--results", str(tmp_path)]
    outcome = run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert outcome.returncode == 0, outcome.stderr

    report = (tmp_path / "report.md").read_text()
    assert "What a unit of each work costs the server" in report
    assert "Heartbeats" in report
    assert "socketeer " in report, "it tells no versions"
    found = json.loads((tmp_path / "slices.json").read_text())
    measured = {row["work"] for row in found["table"] if row["peer"].startswith("socketeer")}
    assert measured == {work.name for work in smoke(list(WORKS.values()))}
    for row in found["table"]:
        # In so short a time no heartbeat is due.
        assert row["cost"] > 0 or row["work"] == "heartbeats", row
    picture = ET.fromstring((tmp_path / "table.svg").read_text())
    assert picture.tag.endswith("svg")


def test_a_server_that_answers_wrongly_is_an_error(tmp_path: Path) -> None:
    requirements.gcc()
    # The floor is no Socket.IO server; asked by name for what it cannot do, it is left out and nothing is measured.
    command = [sys.executable, "benchmarks/run.py", "--quick", "--works", "bcast", "--peers", "epoll"]
    outcome = run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert outcome.returncode == 1
    assert "no ratios" in outcome.stderr


@pytest.mark.parametrize("name", ["table", "growth", "rooms", "echo"])
def test_works_are_chosen_by_name_group_and_family(name: str) -> None:
    assert choose(name)
    assert all(name in (work.name, work.group, work.family) for work in choose(name))


def test_an_unknown_work_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown work ecco"):
        choose("echo,ecco")
