"""The processes of one measurement, a server and its load on a core each: the load generator, or clients.

One of the two is measured, and has the first core.

Both die with the runner, however it ends: `stop` in the ordinary case and on Ctrl-C, the kernel
(PR_SET_PDEATHSIG) when the runner itself is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from benchmarks.suite.peers import BUILD, HERE, Peer
from benchmarks.suite.works import Work

START_LIMIT = 30.0  # seconds until a server accepts connections
OPEN_LIMIT = 130.0  # seconds until all connections are open: the generator gives up after 120
DRAIN_LIMIT = 15.0  # seconds a slice may overrun: the generator gives up after 10
STOP_LIMIT = 3.0  # seconds between SIGTERM and SIGKILL
QUIET = 0.1  # seconds without work after which a server has nothing left to do
QUIET_LIMIT = 10.0  # seconds until it must have come to that

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failure(Exception):
    """A server or the generator did not do its part; the message says which and why."""


@dataclass(frozen=True)
class Slice:
    """One peer, one work, one stretch of about a second."""

    work: str
    peer: str
    round: int
    cost: float  # per unit: CPU time in microseconds, or bytes
    units: int  # messages, deliveries, connections: what the work counts
    seconds: float
    cpu_seconds: float
    load_cpu_seconds: float
    more: dict[str, float] = field(default_factory=dict)  # what else the generator has told: latencies


def family(pid: int) -> list[int]:
    """A process and the processes that it has started, living ones."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, living and ended, and of its children.

    In nanosecond steps: the kernel keeps a CPU-time clock per process. Its number comes from the process id,
    as clock_getcpuclockid(3) computes it; 2 is CPUCLOCK_SCHED. /proc/PID/stat counts in steps of 10 ms.
    """
    spent = 0.0
    for each in family(pid):
        with suppress(OSError):
            spent += time.clock_gettime((~each << 3) | 2)
    return spent


def memory(pid: int) -> int:
    """Bytes of a process and its children that are in memory and from no file."""
    total = 0
    for each in family(pid):
        for line in Path(f"/proc/{each}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1]) * 1024
    return total


def _spawn(
    command: list[str],
    core: int,
    *,
    stdin: int,
    stdout: int | BinaryIO,
    stderr: int | BinaryIO | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    def set_up() -> None:
        os.sched_setaffinity(0, {core})
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # 1,000 connections and more

    return subprocess.Popen(
        command,
        env=env,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        # A session of its own: Ctrl-C reaches the runner only, which then ends the children in order.
        start_new_session=True,
        preexec_fn=set_up,  # noqa: PLW1509 - unsafe beside threads, and the runner has none
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Contest:
    """One server and its load for one work, connected from `start` until `stop`."""

    def __init__(self, peer: Peer, work: Work, measured_core: int, other_core: int) -> None:
        self.peer = peer
        self.work = work
        cores = measured_core, other_core
        self._server_core, self._load_core = reversed(cores) if work.measures_client else cores
        self._log = BUILD / f"{peer.name}-{work.name}.log"
        self._server: subprocess.Popen[bytes] | None = None
        self._load: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self._load, self._server):
            if process is not None:
                _stop(process)

    def start(self) -> None:
        """Server and load run; no client is connected yet, unless clients are what is measured."""
        port = _free_port()
        of_peer = self.peer.command(port, self.work)
        if self.work.measures_client:
            server, load = [sys.executable, str(HERE / "peers" / "load_server.py"), str(port)], of_peer
        else:
            server, load = of_peer, [str(BUILD / "load"), str(port), self.work.load, *self.work.options]
            if self.peer.raw:
                load.append("raw")
        with self._log.open("wb") as log:
            self._server = _spawn(
                server,
                self._server_core,
                env=self.peer.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            self._wait_until_listening(self._server, port)
            self._load = _spawn(
                load,
                self._load_core,
                env=self.peer.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        if self.work.measures_client:
            self._answer(OPEN_LIMIT)

    def open(self, connections: int) -> None:
        """As many clients are connected, no more and no fewer."""
        self._ask(f"open {connections}", OPEN_LIMIT)

    def slice(self, round_: int, seconds: float) -> Slice:
        """One stretch of the work."""
        measured, other = self._pids()
        if self.work.load == "polling":  # servers hang up on idle connections: they are opened again first
            self.open(self.work.connections)
            self.settle()
        before, before_other = cpu_seconds(measured), cpu_seconds(other)
        answer = self._ask(f"run {seconds}", seconds + DRAIN_LIMIT)
        spent = cpu_seconds(measured) - before
        units = int(answer.pop("messages"))
        return Slice(
            work=self.work.name,
            peer=self.peer.name,
            round=round_,
            cost=spent / units * 1e6 if units else 0.0,
            units=units,
            seconds=answer.pop("seconds"),
            cpu_seconds=spent,
            load_cpu_seconds=cpu_seconds(other) - before_other,
            more=answer,
        )

    def departure(self, round_: int) -> Slice:
        """All clients connect, which is not measured, and leave at once."""
        self.open(self.work.connections)
        measured, other = self._pids()
        self.settle()
        before, before_other, began = cpu_seconds(measured), cpu_seconds(other), time.perf_counter()
        self.open(0)
        seconds = time.perf_counter() - began
        self.settle()
        spent = cpu_seconds(measured) - before
        return Slice(
            work=self.work.name,
            peer=self.peer.name,
            round=round_,
            cost=spent / self.work.connections * 1e6,
            units=self.work.connections,
            seconds=seconds,
            cpu_seconds=spent,
            load_cpu_seconds=cpu_seconds(other) - before_other,
        )

    def memory(self) -> int:
        """Bytes that the server holds when it has put its garbage away."""
        assert self._server is not None
        self.settle()
        self._server.send_signal(signal.SIGUSR2)
        time.sleep(QUIET)
        self.settle()
        return memory(self._server.pid)

    def settle(self) -> None:
        """Wait until the server does nothing any more, or does little but for ever."""
        measured, _ = self._pids()
        deadline = time.monotonic() + QUIET_LIMIT
        spent = cpu_seconds(measured)
        while time.monotonic() < deadline:
            time.sleep(QUIET)
            before, spent = spent, cpu_seconds(measured)
            if spent - before < QUIET / 20:
                return

    def _pids(self) -> tuple[int, int]:
        """Of the process that is measured, and of the other one."""
        assert self._server is not None
        assert self._load is not None
        pids = self._server.pid, self._load.pid
        return (pids[1], pids[0]) if self.work.measures_client else pids

    def _ask(self, command: str, limit: float) -> dict[str, float]:
        assert self._load is not None
        assert self._load.stdin is not None
        try:
            self._load.stdin.write(f"{command}\n".encode())
            self._load.stdin.flush()
        except BrokenPipeError:
            pass  # it has printed why
        return self._answer(limit)

    def _wait_until_listening(self, server: subprocess.Popen[bytes], port: int) -> None:
        deadline = time.monotonic() + START_LIMIT
        while True:
            if server.poll() is not None:
                raise self._failure(f"ended with status {server.returncode} at start")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise self._failure(f"accepted no connection within {START_LIMIT:g} s") from None
                time.sleep(0.02)
            else:
                return

    def _answer(self, limit: float) -> dict[str, float]:
        """The generator's next line. Read without a buffer of Python's, which select could not see."""
        assert self._load is not None
        assert self._load.stdout is not None
        output = self._load.stdout.fileno()
        deadline = time.monotonic() + limit
        while b"\n" not in self._unread:
            readable, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise self._failure(f"the load said nothing for {limit:g} s")
            piece = os.read(output, 4096)
            if not piece:
                raise self._failure("the load ended without a word")
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, float] = json.loads(line)
        if "error" in answer:
            raise self._failure(str(answer["error"]))
        return answer

    def _failure(self, text: str) -> Failure:
        log = self._log.read_text(errors="replace").strip().splitlines()[-8:]
        return Failure("\n    ".join([f"{self.peer.name}, {self.work.name}: {text}", *log]))
