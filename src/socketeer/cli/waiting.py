"""What a command shows while one waits."""

from __future__ import annotations

from rich.console import Console


class Waiting:
    """A spinner while one waits; where nobody looks (a pipe, a log), one line."""

    def __init__(self, console: Console, text: str) -> None:
        self._console = console
        self._text = text
        self._status = console.status(text)

    def __enter__(self) -> None:
        if self._console.is_terminal:
            self._status.start()
        else:
            self._console.print(self._text, soft_wrap=True)

    def __exit__(self, *_: object) -> None:
        self._status.stop()
