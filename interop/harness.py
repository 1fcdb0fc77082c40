"""Servers and the official client as processes, kept for many scenarios."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from filelock import FileLock

HERE = Path(__file__).parent
DEADLINE = 30.0
"""Seconds for anything that a process is asked to do; a scenario has a shorter deadline of its own inside."""


@dataclass(frozen=True)
class Case:
    """One scenario in one transport mode."""

    name: str
    mode: str
    profile: str
    """The options that its server must have."""
    fresh: bool
    """Whether it spends its server."""

    def __str__(self) -> str:
        return f"{self.name}-{self.mode}"

    @property
    def subject(self) -> str:
        """The file that the scenario stands in."""
        return self.name.partition(".")[0]


@cache
def cases(node: str) -> tuple[Case, ...]:
    """All scenarios in each of their modes, those with the same server next to each other."""
    done = subprocess.run(
        [node, "run.mjs", "--list"], cwd=HERE, capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    found = [
        Case(row["name"], mode, row["profile"], row["fresh"])
        for row in json.loads(done.stdout)
        for mode in row["modes"]
    ]
    return tuple(sorted(found, key=lambda case: (case.fresh, case.profile)))


def install(npm: str) -> None:
    """The packages of the lock file, if they are not there already.

    Raises:
        subprocess.CalledProcessError: npm could not fetch them.
    """
    wanted = (HERE / "package-lock.json").read_bytes()
    stamp = HERE / "node_modules" / ".installed-lock.json"
    # Tests may run in several processes.
    with FileLock(Path(gettempdir()) / f"socketeer-interop-{sha256(bytes(HERE)).hexdigest()[:16]}.lock"):
        if not (stamp.exists() and stamp.read_bytes() == wanted):
            subprocess.run([npm, "ci"], cwd=HERE, capture_output=True, text=True, timeout=300, check=True)
            stamp.write_bytes(wanted)


@cache
def environment() -> dict[str, str]:
    """That of the processes. Many have the same modules: where Python keeps no bytecode, each would compile them all."""
    found = dict(os.environ)
    if found.pop("PYTHONDONTWRITEBYTECODE", None):
        found["PYTHONPYCACHEPREFIX"] = str(HERE / "node_modules" / ".bytecode")
    return found


class Process:
    """A process that speaks JSON, one document to a line; its stderr is kept to be shown when something fails."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._popen = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def write(self, line: str) -> None:
        """One line for its stdin."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    def read(self, deadline: float = DEADLINE) -> dict[str, Any]:
        """The next document.

        Raises:
            AssertionError: the process has ended, or says nothing.
        """
        try:
            document = self._lines.get(timeout=deadline)
        except queue.Empty:
            raise AssertionError(f"no word within {deadline} s; stderr:\n{self.complaints()}") from None
        if document is None:
            raise AssertionError(f"the process has ended; stderr:\n{self.complaints()}")
        return document

    def find(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next document that fits; the others are passed over."""
        end = time.monotonic() + DEADLINE
        while True:
            document = self.read(max(0.0, end - time.monotonic()))
            if fits(document):
                return document

    def forget(self) -> None:
        """Drop what it has said up to now."""
        while not self._lines.empty():
            if self._lines.get() is None:
                self._lines.put(None)
                return

    def complaints(self) -> str:
        """The end of its stderr."""
        # By a descriptor of our own: seeking would move the writer's position too.
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), 4_000, max(0, size - 4_000)).decode(errors="replace")

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def pid(self) -> int:
        return self._popen.pid

    def pause(self) -> None:
        """It does nothing any more, and its connections stay."""
        self._popen.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After :meth:`pause`."""
        self._popen.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """It has no time for a farewell."""
        self._popen.kill()

    def ended(self, within: float) -> int:
        """Wait until it ends by itself; its exit status."""
        try:
            return self._popen.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within} s; stderr:\n{self.complaints()}") from None

    def stop(self) -> None:
        self._popen.kill()
        self._popen.wait(DEADLINE)
        self._reader.join(DEADLINE)
        for stream in (self._popen.stdin, self._popen.stdout, self._stderr):
            if stream is not None:
                stream.close()


class Servers:
    """One server process for each profile, started when a scenario first asks for it."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        self._command = tuple(command)
        self._cwd = cwd
        self._running: dict[str, tuple[Process, str]] = {}

    def start(self, profile: str) -> tuple[Process, str]:
        """A new process, and its URL."""
        process = Process([*self._command, profile], self._cwd)
        try:
            return process, process.find(lambda document: "url" in document)["url"]
        except AssertionError:
            process.stop()
            raise

    def get(self, profile: str) -> tuple[Process, str]:
        """The process that serves this profile, and its URL."""
        known = self._running.get(profile)
        if known is None or not known[0].running:
            if known is not None:
                known[0].stop()
            self._running[profile] = self.start(profile)
        process, url = self._running[profile]
        process.forget()
        return process, url

    def stop(self) -> None:
        for process, _ in self._running.values():
            process.stop()


def official_servers(node: str) -> Servers:
    return Servers([node, "server.mjs"], HERE / "reference")


def our_servers() -> Servers:
    return Servers([sys.executable, "-m", "interop.server_app"], HERE.parent)


class Client:
    """The official client: one Node.js process that runs scenario after scenario."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._process: Process | None = None

    def run(self, case: Case, server: Process, url: str, several: bool = False) -> dict[str, Any]:
        """Run one scenario against the server, or against several behind one URL.

        Raises:
            AssertionError: it does not hold.
        """
        if self._process is None:
            self._process = Process([self._node, "run.mjs", "--serve"], HERE)
        try:
            self._process.write(f"{case.name} {url} {case.mode}" + " several" * several)
            report = self._process.read()
        except (AssertionError, OSError):
            self.stop()
            raise
        if not report["ok"]:
            # What a failed scenario leaves behind must not trouble the next one.
            self.stop()
            raise AssertionError(
                f"{case}: {report['error']}\n"
                f"To see it again: node run.mjs {case.name} URL {case.mode}, the server's profile is {case.profile}\n"
                f"The server's stderr:\n{server.complaints()}"
            )
        return report

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


def check(case: Case, client: Client, servers: Servers) -> None:
    """Hold a server to a scenario."""
    if not case.fresh:
        client.run(case, *servers.get(case.profile))
        return
    server, url = servers.start(case.profile)
    try:
        client.run(case, server, url)
        for namespace in ("/", "/chat"):
            ended = server.find(lambda entry: entry.get("kind") == "disconnect")
            assert (ended["nsp"], ended["reason"]) == (namespace, "server shutting down")
        if case.name.endswith("interrupted"):
            assert server.ended(within=2.0) == 0
    finally:
        server.stop()
