"""The transcript in the terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from socketeer.cli.terminal import Transcript, printable


def test_a_line_says_when_who_and_what() -> None:
    written = io.StringIO()
    transcript = Transcript(Console(file=written, width=40))
    transcript.tell("Athos", "connected", "socket.id ojIckSD2jqNzOqIrAGzL")
    transcript.tell("ojIckSD2jqNzOqIrAGzL", "upgraded", "to websocket")
    first, second = written.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  Athos +connected +socket.id ojIckSD2jqNzOqIrAGzL", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  ojIckSD2jqNzOqIrAGzL  upgraded +to websocket", second)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("[red]d'Artagnan[/red]", "[red]d'Artagnan[/red]"),
        ("\x1b[2J\r\n\t\x00", r"\x1b[2J\r\n\t\x00"),
        ("\u202egnihton", r"\u202egnihton"),
        ("Tréville 🗡 中", "Tréville 🗡 中"),
    ],
)
def test_what_clients_send_is_shown_and_never_obeyed(text: str, shown: str) -> None:
    assert printable(text) == shown
    written = io.StringIO()
    Transcript(Console(file=written, force_terminal=True, no_color=True, width=80)).tell(text, "joined", text)
    assert written.getvalue().count(shown) == 2


def test_colours_stay_with_people_and_memory_stays_small() -> None:
    written = io.StringIO()
    transcript = Transcript(Console(file=written, force_terminal=True, width=80))
    transcript.tell("Athos", "x", "")
    transcript.tell("Porthos", "x", "")
    transcript.tell("Athos", "x", "")
    first, second, third = (line.partition("Athos")[0][-6:] for line in written.getvalue().splitlines())
    assert first == third != second
    for number in range(3000):
        transcript.tell(str(number), "x", "")
    assert len(transcript._colours) <= 1001
