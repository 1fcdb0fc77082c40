"""A server in a process of its own, as people run it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Final, Self

from tests.support.repository import ROOT

STARTUP: Final = 20.0
"""Seconds in which a server has to say that it listens."""

_URL = re.compile(r"https?://127\.0\.0\.1:(\d+)")


def free_port() -> int:
    """A port that was free a moment ago, for servers that cannot choose one and tell."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Process:
    """A Python process that serves; everything that it prints is kept."""

    def __init__(self, *arguments: str) -> None:
        paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
        self.output: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # servers have workers: they are one group, and ours alone
        )
        self._ports: queue.Queue[int] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.output.append(line)
                if found := _URL.search(line):
                    self._ports.put(int(found[1]))
        self._ports.put(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def port(self) -> int:
        """The port that it has said it listens on, once it does."""
        try:
            port = self._ports.get(timeout=STARTUP)
        except queue.Empty:
            port = 0
        assert port, f"it does not listen:\n{self.text}"
        deadline = time.monotonic() + STARTUP
        while True:  # some say so a moment before they do
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, f"nothing listens on port {port}:\n{self.text}"
                time.sleep(0.02)
            else:
                return port

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return "".join(self.output)

    async def stop(self, number: signal.Signals, deadline: float = 10) -> float:
        """Send it a signal, and wait until it has ended; how many seconds that took."""
        start = time.monotonic()
        self._process.send_signal(number)
        try:
            await asyncio.to_thread(self._process.wait, deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end by {number.name}:\n{self.text}") from None
        elapsed = time.monotonic() - start
        await asyncio.to_thread(self._reader.join, deadline)
        return elapsed

    @property
    def status(self) -> int | None:
        """How it has ended: 0, or the signal's number below zero."""
        return self._process.returncode
