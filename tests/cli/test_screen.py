"""What a conversation shows."""

from __future__ import annotations

import io
import re

from rich.console import Console

from socketeer.cli.screen import KEPT, LIMIT, PlainScreen, Screen, milliseconds

EVIL = "evil\x1b[2J\u202e\n"


def test_a_person_sees_when_what_and_how_long() -> None:
    written = io.StringIO()
    screen = Screen(Console(file=written, width=40))
    screen.event("/", "a b", [1, "x"], asks=True)
    screen.answer("/chat", "ask", [None], 0.0123)
    screen.note("connected")
    screen.error("it is wrong", "Do it otherwise.")
    lines = written.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines[:4])
    assert [line[9:] for line in lines[:4]] == [
        '← "a b" 1 "x"  (the server waits for an acknowledgement)',
        "✓ /chat ask null  12.3 ms",
        "· connected",
        "error: it is wrong",
    ]
    assert (
        lines[4].strip() == "Do it otherwise."[:9] + "Do it otherwise."[9:] or "Do it otherwise." in lines[4]
    )


def test_nothing_reaches_the_terminal_raw() -> None:
    written, notes = io.StringIO(), io.StringIO()
    for screen in (
        Screen(Console(file=written, force_terminal=True)),
        PlainScreen(Console(file=written, color_system=None), Console(file=notes)),
    ):
        screen.event(f"/{EVIL}", EVIL, [EVIL, {EVIL: EVIL}], asks=False)
        screen.answer("/", EVIL, [EVIL * 100], 1.5)
        screen.show(None)
    for each in (written, notes):
        told = each.getvalue()
        assert "\x1b[2J" not in told
        assert "\u202e" not in told
        assert all(line.isprintable() for line in re.sub(r"\x1b\[[\d;]*m", "", told).splitlines())


def test_the_last_values_that_were_cut_are_kept() -> None:
    written = io.StringIO()
    screen = Screen(Console(file=written, width=80))
    for number in range(KEPT + 1):
        screen.event("/", "long", [f"{number} " + "x" * LIMIT], asks=False)
    assert f"/show {KEPT + 1} shows all of it" in written.getvalue()

    def shown(number: int | None) -> str:
        written.truncate(0)
        written.seek(0)
        screen.show(number)
        return written.getvalue()

    assert "no such value" in shown(1)
    assert shown(2).startswith('"1 xxx')
    assert shown(None).startswith(f'"{KEPT} xxx')


def test_a_script_gets_whole_lines_on_two_streams() -> None:
    out, notes = io.StringIO(), io.StringIO()
    screen = PlainScreen(Console(file=out, width=40), Console(file=notes, width=40))
    screen.event("/", "long", ["x" * 1000, b"\x01"], asks=False)
    screen.answer("/chat", "ask", [], 0.1)
    screen.hint("careful")
    assert out.getvalue() == '< long "' + "x" * 1000 + '" {"base64":"AQ=="}\n= /chat ask\n'
    assert notes.getvalue() == "note: careful\n"


def test_latencies() -> None:
    assert (milliseconds(0.00123), milliseconds(2.345)) == ("1.2 ms", "2.35 s")
