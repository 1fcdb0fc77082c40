"""What the demo's server sees, line by line in the terminal."""

from __future__ import annotations

import time
from typing import Final

from rich.console import Console
from rich.text import Text

_STYLES: Final = {
    "opened": "dim",
    "upgraded": "cyan",
    "closed": "dim",
    "refused": "red",
    "connected": "green",
    "disconnected": "yellow",
    "chat message": "bold",
    "hears": "bright_black",
    "acknowledged": "bright_black",
}
_COLOURS: Final = (
    "bright_blue",
    "bright_magenta",
    "bright_green",
    "bright_yellow",
    "bright_cyan",
    "bright_red",
)


class Transcript:
    """One line for each thing: when, who, what, and the details."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._colours: dict[str, str] = {}

    def tell(self, who: str, what: str, detail: str) -> None:
        """Write down one thing; what clients sent is shown, never obeyed."""
        line = Text.assemble(
            (time.strftime("%H:%M:%S  "), "dim"),
            (f"{printable(who):<22}", self._colour(who)),
            (f"{what:<14}", _STYLES.get(what, "")),
            printable(detail),
        )
        self._console.print(line, soft_wrap=True)

    def _colour(self, who: str) -> str:
        if len(self._colours) > 1000:
            self._colours.clear()
        return self._colours.setdefault(who, _COLOURS[len(self._colours) % len(_COLOURS)])


def printable(text: str) -> str:
    """The text with every control character escaped: a terminal would act on it."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
