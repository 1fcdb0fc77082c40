"""A command in a pseudo-terminal, with a terminal emulator at its other end: what is seen is what a person sees."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyte

from tests.support.command import DEADLINE
from tests.support.repository import ROOT


class _Emulator(pyte.Screen):
    """A screen that answers what the program asks the terminal, such as where the cursor is."""

    def __init__(self, columns: int, rows: int, answer: Callable[[bytes], None]) -> None:
        super().__init__(columns, rows)
        self._answer = answer
        self.seen: list[str] = []
        """Lines that have scrolled out at the top."""

    def write_process_input(self, data: str) -> None:
        self._answer(data.encode())

    def index(self) -> None:
        if self.cursor.y == self.lines - 1:
            self.seen.append(self.display[0].rstrip())
        super().index()


#: Makes the terminal the one whose Ctrl-C and whose end the system tells of by signals.
_CONTROLLED = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


class PseudoTerminal:
    """A process whose standard streams are a terminal of so many columns and rows.

    With ``signals`` it is the process's controlling terminal: Ctrl-C and closing the window are signals.

    Attributes:
        raw: all bytes that it wrote.
    """

    def __init__(
        self,
        *args: str,
        columns: int = 150,
        rows: int = 24,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        signals: bool = False,
    ) -> None:
        self._master, slave = pty.openpty()
        self._resize(columns, rows)
        settings = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS", "LINES", "CI"}}
        settings |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT / "src"), **(env or {})}
        self._popen = subprocess.Popen(
            [sys.executable, *(("-c", _CONTROLLED) if signals else ()), *args],
            cwd=cwd,
            env=settings,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.raw = b""
        self.screen = _Emulator(columns, rows, self._write)
        self._stream = pyte.ByteStream(self.screen)

    def _write(self, data: bytes) -> None:
        os.write(self._master, data)

    def type(self, text: str) -> None:
        """Press these keys."""
        self._write(text.encode())

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size, as dragging its corner does."""
        self.screen.resize(rows, columns)
        self._resize(columns, rows)
        os.killpg(self._popen.pid, signal.SIGWINCH)

    def _read(self, seconds: float) -> bool:
        """Take what it writes within so many seconds; whether there was something."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # Linux: the other end is closed
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, and before them those that have scrolled away."""
        return [*self.screen.seen, *(line.rstrip() for line in self.screen.display)]

    def wait_for(self, text: str, *, prompt: bool = False) -> str:
        """The last line that holds the text; with ``prompt``, it is the one that the cursor is in."""

        def found() -> str | None:
            if prompt:
                line = self.screen.display[self.screen.cursor.y]
                return line.rstrip() if text in line else None
            return next((line for line in reversed(self.lines) if text in line), None)

        end = time.monotonic() + DEADLINE
        while (line := found()) is None and time.monotonic() < end:
            if not self._read(0.2) and self._popen.poll() is not None and found() is None:
                break
        assert line is not None, f"no line with {text!r}; the screen:\n" + "\n".join(self.lines)
        return line

    def wait(self) -> int:
        """The exit code, all output having been read."""
        end = time.monotonic() + DEADLINE
        while self._popen.poll() is None:
            assert time.monotonic() < end, "still running; the screen:\n" + "\n".join(self.lines)
            self._read(0.1)
        while self._read(0):
            pass
        return self._popen.returncode

    def cell(self, text: str) -> Any:
        """The first character of the text on the screen, with its colours."""
        for y, line in enumerate(self.screen.display):
            if text in line:
                return self.screen.buffer[y][line.index(text)]
        raise AssertionError(f"{text!r} is not on the screen:\n" + "\n".join(self.lines))

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._popen.pid

    def close_window(self) -> None:
        """As the cross in the window's corner does."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """End it whatever it does."""
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait(DEADLINE)
        if self._master >= 0:
            os.close(self._master)


@contextmanager
def in_a_terminal(*args: str, **settings: Any) -> Iterator[PseudoTerminal]:
    """The command `socketeer` in a terminal; it is gone afterwards."""
    terminal = PseudoTerminal("-m", "socketeer.cli", *args, **settings)
    try:
        yield terminal
    finally:
        terminal.close()
