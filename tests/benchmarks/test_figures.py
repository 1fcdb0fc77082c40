"""From slices to ratios, tables and the picture."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks.suite.figures import Row, summarise
from benchmarks.suite.peers import Peer
from benchmarks.suite.picture import svg
from benchmarks.suite.processes import Slice
from benchmarks.suite.report import growing, heartbeats, latency, table

PEERS = {
    name: Peer(name, title, "", ())
    for name, title in (("socketeer", "Socketeer"), ("node", "Node.js"), ("bun", "<Bun>"))
}


def piece(work: str, peer: str, round_: int, cost: float, units: int = 1000, **more: float) -> Slice:
    return Slice(work, peer, round_, cost, units, 1.0, 0.1, 0.1, more)


def rows(*slices: Slice) -> list[Row]:
    return summarise(slices, list(PEERS))


def test_ratios_are_of_the_same_round() -> None:
    # The machine was half as quick in the second round, for both.
    ours, theirs = rows(
        *(piece("echo", "node", 1, 30.0), piece("echo", "node", 2, 60.0)),
        *(piece("echo", "socketeer", 1, 10.0), piece("echo", "socketeer", 2, 20.0)),
    )
    assert (ours.peer, ours.ratio) == ("socketeer", None)
    assert (theirs.ratio, theirs.ratio_low, theirs.ratio_high) == (3.0, 3.0, 3.0)
    assert theirs.cost == 45.0


def test_without_ours_there_is_nothing_to_divide() -> None:
    (row,) = rows(piece("echo", "node", 1, 30.0))
    assert row.ratio is None
    assert not row.met


def test_a_goal_that_is_reached_is_bold() -> None:
    found = rows(
        *(piece("echo", "socketeer", 1, 10.0), piece("echo", "node", 1, 31.0), piece("echo", "bun", 1, 12.0))
    )
    line = next(line for line in table(found, PEERS) if line.startswith("| echo"))
    assert "10.0 µs" in line
    assert "**3.10** (3.10 to 3.10), goal 3" in line
    assert "| 1.20 (1.20 to 1.20), goal 1.3 |" in line


def test_a_load_that_was_too_much_has_no_latency() -> None:
    known = {"p50_us": 100.0, "p99_us": 2000.0, "p999_us": 3000.0}
    text = "\n".join(
        latency(
            rows(
                piece("latency-1000", "socketeer", 1, 10.0, 1000, late=0.0, **known),
                piece("latency-1000", "node", 1, 10.0, 500, late=400.0, **known),
            ),
            PEERS,
        )
    )
    assert "0.10 / 2.00 / 3.00" in text
    assert "not kept up with (500/s)" in text


def test_growth_is_in_relation_to_the_smallest() -> None:
    text = "\n".join(
        growing(
            rows(
                piece("receivers-10", "socketeer", 1, 4.0),
                piece("receivers-10000", "socketeer", 1, 5.0),
                piece("cycles", "socketeer", 1, 2.0**20, first_bytes=2.0**20, most_bytes=2.0**21),
            ),
            PEERS,
        )
    )
    assert "4.0 µs (1.00)" in text
    assert "5.0 µs (1.25)" in text
    assert "1.0 MiB before" in text


def test_heartbeats_are_a_share_of_a_core() -> None:
    # 10,000 connections every 25 seconds are 400 heartbeats a second, of 20 microseconds each.
    text = "\n".join(heartbeats(rows(piece("heartbeats", "socketeer", 1, 20.0)), PEERS))
    assert "**0.80 %**" in text


def test_the_picture_is_svg_and_escapes_names() -> None:
    found = rows(
        *(piece("echo", "socketeer", 1, 10.0), piece("echo", "node", 1, 31.0), piece("echo", "bun", 1, 12.0))
    )
    picture = ET.fromstring(svg(found, PEERS))
    shown = "".join(picture.itertext())
    assert "<Bun>: 1.20" in shown
    assert "Node.js, goal: 3" in shown


def test_a_picture_of_nothing_is_one_too() -> None:
    assert ET.fromstring(svg([], PEERS)).tag.endswith("svg")
