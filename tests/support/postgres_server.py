"""A PostgreSQL of the test's own, which it may restart, end and pause."""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support import requirements

_PATIENCE = 20.0


class PostgresServer:
    """A cluster of databases on a port that stays the same. What was in them is there after a restart."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._data = _cluster(programs)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self, *settings: str) -> None:
        """A new process, with more settings, each ``name=value``."""
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for each in (
            "listen_addresses=127.0.0.1",
            "fsync=off",
            f"unix_socket_directories={self._data}",
            *settings,
        ):
            command += ["-c", each]
        self.process = subprocess.Popen(
            command, cwd=self._data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **_owner()
        )

    def shutdown(self) -> None:
        """End it in good order: it tells all clients so."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(_PATIENCE)
            self.process = None

    def stop(self) -> None:
        """Kill it, if it runs."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait(_PATIENCE)
            self.process = None

    def pause(self) -> None:
        """It answers nobody any more, and its connections stay."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After :meth:`pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        pid = self.process.pid
        # The first of them first: it makes the others.
        for each in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
            with suppress(ProcessLookupError):
                os.kill(each, number)


def _owner() -> dict[str, Any]:
    """It refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@functools.cache
def _cluster(programs: Path) -> Path:
    """Empty databases, one set for all tests of a run."""
    folder = Path(tempfile.mkdtemp(prefix="socketeer-postgres-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    owner = _owner()
    if owner:
        os.chown(folder, owner["user"], owner["group"])
    command = [
        str(programs / "initdb"),
        "-D",
        str(folder),
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=folder, **owner)
    return folder


def _programs() -> Path | None:
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    # Debian keeps each version's programs in a folder of its own.
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda each: each.parts[4].zfill(4)
    )
    return versions[-1].parent if versions else None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """One that has not been started, and is ended at the end; the test is skipped where there is no PostgreSQL."""
    programs = _programs()
    if programs is None:
        requirements.missing("PostgreSQL's server", "install PostgreSQL 13 or newer")
    server = PostgresServer(programs)
    try:
        yield server
    finally:
        server.stop()
