"""What a conversation shows: in colour for a person, in plain lines for a script.

Everything that comes from a server goes through :mod:`socketeer.cli.values` first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from socketeer.cli.values import as_json, escaped, name, shown, whole

#: Characters of an event's values that are shown in its line.
LIMIT: Final = 400
#: How many values that were cut are kept to be shown whole.
KEPT: Final = 20


def milliseconds(seconds: float) -> str:
    """A latency."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


class Screen:
    """Lines for a person: when, what, and values in colour, cut where they are long."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._kept: deque[tuple[int, Sequence[Any]]] = deque(maxlen=KEPT)
        self._cuts = 0

    def event(self, nsp: str, event: str, args: Sequence[Any], *, asks: bool) -> None:
        """An event has come; ``asks`` says that the server waits for an acknowledgement."""
        line = Text.assemble(
            ("← ", "bold green"), (_place(nsp), "dim"), (name(event)[:LIMIT], "bold green"), " "
        )
        self._values(line, args)
        if asks:
            line.append("  (the server waits for an acknowledgement)", "dim")
        self._line(line)

    def answer(self, nsp: str, event: str, values: Sequence[Any], seconds: float) -> None:
        """An acknowledgement has come."""
        line = Text.assemble(("✓ ", "bold cyan"), (_place(nsp), "dim"), (name(event), "cyan"), " ")
        self._values(line, values)
        line.append(f"  {milliseconds(seconds)}", "dim")
        self._line(line)

    def _values(self, line: Text, values: Sequence[Any]) -> None:
        text, all_of_it = shown(values, LIMIT)
        line.append_text(text)
        if not all_of_it:
            self._cuts += 1
            self._kept.append((self._cuts, values))
            line.append(f" … /show {self._cuts} shows all of it", "dim italic")

    def note(self, text: str, style: str = "") -> None:
        """Something has happened to the connection."""
        self._line(Text.assemble(("· ", "dim"), (text, style)))

    def hint(self, text: str) -> None:
        """Something that may not have been meant."""
        self._line(Text.assemble(("note: ", "yellow"), text))

    def error(self, text: str, advice: str = "") -> None:
        """Something that could not be done."""
        self._line(Text.assemble(("error: ", "bold red"), text))
        if advice:
            self._line(Text(f"  {advice}"))

    def show(self, number: int | None) -> None:
        """A value that was cut, whole; the last one, or that of a number."""
        for kept, values in reversed(self._kept):
            if number in {kept, None}:
                self._console.print(whole(values), soft_wrap=True)
                return
        self.error(f"there is no such value; the last {KEPT} that were cut are kept")

    def text(self, text: str) -> None:
        """Some lines of ours."""
        self._console.print(Text(text), soft_wrap=True)

    def _line(self, line: Text) -> None:
        self._console.print(Text.assemble((time.strftime("%H:%M:%S "), "dim"), line), soft_wrap=True)


class PlainScreen(Screen):
    """Lines for a script: what the server says on standard output, everything else on standard error.

    An event is ``< NAME VALUES...``, an acknowledgement ``= NAME VALUES...``, with the namespace behind
    the mark where it is not the main one. Each value is JSON, whole, as ``socketeer emit`` prints it.
    """

    def __init__(self, console: Console, notes: Console) -> None:
        super().__init__(notes)
        self._out = console

    def event(self, nsp: str, event: str, args: Sequence[Any], *, asks: bool) -> None:  # noqa: ARG002
        self._plain("<", nsp, event, args)

    def answer(self, nsp: str, event: str, values: Sequence[Any], seconds: float) -> None:  # noqa: ARG002
        self._plain("=", nsp, event, values)

    def _plain(self, mark: str, nsp: str, event: str, values: Sequence[Any]) -> None:
        words = [mark, *filter(None, [_place(nsp).rstrip()]), name(event), *map(as_json, values)]
        self._out.print(Text(" ".join(words)), soft_wrap=True)

    def _line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


def _place(nsp: str) -> str:
    return "" if nsp == "/" else f"{escaped(nsp)} "
