"""A command of ours as a process, its output read as it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.repository import ROOT

DEADLINE = 30.0
"""Seconds to wait for a line, or for the end; a process starts slowly on a busy machine."""


class Command:
    """A Python process started in a folder; `out` and `err` are its lines so far."""

    def __init__(
        self,
        *args: str,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        source = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
        settings = {"PYTHONPATH": source, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "200"}
        self.out: list[str] = []
        self.err: list[str] = []
        self._news = threading.Condition()
        self._popen = subprocess.Popen(
            [sys.executable, *args],
            cwd=cwd,
            env={**os.environ, **settings, **(env or {})},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        pipes = ((self._popen.stdout, self.out), (self._popen.stderr, self.err))
        self._readers = [threading.Thread(target=self._read, args=each, daemon=True) for each in pipes]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._news:
                    lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, text: str) -> str:
        """The first line, of either output, that holds the text."""

        def ready() -> bool:
            return self._line(text) is not None or not any(each.is_alive() for each in self._readers)

        with self._news:
            # The end of the last reader is no news: it is looked for, too.
            until = time.monotonic() + DEADLINE
            while not ready() and (left := until - time.monotonic()) > 0:
                self._news.wait(min(left, 0.5))
        line = self._line(text)
        assert line is not None, f"no line with {text!r}; {self}"
        return line

    def _line(self, text: str) -> str | None:
        return next((line for line in (*self.out, *self.err) if text in line), None)

    def wait(self) -> int:
        """The exit code, all output having been read."""
        code = self._popen.wait(DEADLINE)
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        for reader in self._readers:
            reader.join(DEADLINE)
        return code

    def write(self, line: str) -> None:
        """A line for its standard input, where it was started with ``stdin``."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()

    def interrupt(self) -> None:
        """Send it Ctrl-C, and go on."""
        self._popen.send_signal(signal.SIGINT)

    def stop(self, by: int = signal.SIGINT) -> float:
        """End it, by Ctrl-C; the seconds that it took."""
        began = time.monotonic()
        self._popen.send_signal(by)
        self._popen.wait(DEADLINE)
        took = time.monotonic() - began
        self.wait()
        return took

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """End it whatever it does."""
        if self.running:
            self._popen.kill()
        self.wait()

    def __str__(self) -> str:
        return "\n".join(["it wrote:", *self.out, "and on standard error:", *self.err])


@contextmanager
def command(
    *args: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> Iterator[Command]:
    """A process that is gone afterwards."""
    process = Command(*args, cwd=cwd, env=env, stdin=stdin)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def socketeer(
    *args: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> Iterator[Command]:
    """The command `socketeer` with these arguments, and a descriptor for its standard input."""
    with command("-m", "socketeer.cli", *args, cwd=cwd, env=env, stdin=stdin) as process:
        yield process


def port_of(line: str) -> int:
    """The port of the URL in a line such as `chat:io listens on http://localhost:3000 (Ctrl-C ends it)`."""
    return int(line.partition("//")[2].partition(":")[2].split()[0].strip(":"))
