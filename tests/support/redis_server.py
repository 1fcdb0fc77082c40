"""A Redis of the test's own, which it may restart, end and pause."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from tests.support import requirements

_PATIENCE = 10.0


class RedisServer:
    """A ``redis-server`` on a port that stays the same. Nothing is kept over a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *settings: str) -> None:
        """A new process, with more settings as they stand on its command line."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *settings]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)

    def ask(self, *command: str | int) -> object:
        """Give one command, over a connection of its own."""
        with Redis(port=self.port) as client:
            return client.execute_command(*command)

    def shutdown(self) -> None:
        """End it in good order: it closes all connections."""
        self._end(signal.SIGTERM)

    def stop(self) -> None:
        """Kill it, if it runs."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It answers nobody any more, and its connections stay."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After :meth:`pause`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(_PATIENCE)
            self.process = None


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """One that has not been started, and is ended at the end; the test is skipped where there is no Redis."""
    if shutil.which("redis-server") is None:
        requirements.missing("redis-server", "install Redis 7")
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.stop()
