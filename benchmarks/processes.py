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
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

from catalogue import HERE, Peer, Work

BUILD = HERE / ".build"
START_LIMIT = 20.0  # seconds until a server accepts connections
OPEN_LIMIT = 70.0  # seconds until all connections are open: the generator gives up after 60
DRAIN_LIMIT = 15.0  # seconds a slice may overrun: the generator gives up after 10
STOP_LIMIT = 3.0  # seconds between SIGTERM and SIGKILL

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
    messages: int
    seconds: float
    cpu_seconds: float
    load_cpu_seconds: float
    p50_us: float | None  # None where the clients are measured
    p90_us: float | None
    p99_us: float | None

    @property
    def us_per_message(self) -> float:
        return self.cpu_seconds / self.messages * 1e6


def build_load() -> None:
    source, target = HERE / "load.c", BUILD / "load"
    if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
        return
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        raise SystemExit("the load generator needs a C compiler: cc, gcc or clang")
    BUILD.mkdir(exist_ok=True)
    command = [compiler, "-O2", "-std=c11", "-Wall", "-o", str(target), str(source)]
    outcome = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if outcome.returncode:
        raise SystemExit(f"the load generator does not compile:\n{outcome.stderr.strip()}")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, living and ended, in nanosecond steps.

    The kernel keeps a CPU-time clock per process. Its number comes from the process id, as
    clock_getcpuclockid(3) computes it; 2 is CPUCLOCK_SCHED. /proc/PID/stat counts in steps of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def _spawn(
    command: list[str],
    core: int,
    *,
    stdin: int,
    stdout: int | BinaryIO,
    stderr: int | None = None,
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
        self._log = BUILD / f"{peer.name}.log"
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
        port = _free_port()
        of_peer = self.peer.command(port, self.work)
        if self.work.measures_client:
            server, load = [sys.executable, str(HERE / "peers" / "load_server.py"), str(port)], of_peer
        else:
            server, load = (
                of_peer,
                [str(BUILD / "load"), str(port), self.work.name, str(self.work.connections)],
            )
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
        self._answer(OPEN_LIMIT)

    def slice(self, round_: int, seconds: float) -> Slice:
        assert self._server is not None
        assert self._load is not None
        assert self._load.stdin is not None
        measured, other = self._server, self._load
        if self.work.measures_client:
            measured, other = other, measured
        before, before_other = cpu_seconds(measured.pid), cpu_seconds(other.pid)
        try:
            self._load.stdin.write(f"run {seconds}\n".encode())
            self._load.stdin.flush()
        except BrokenPipeError:
            pass  # it has printed why
        answer = self._answer(seconds + DRAIN_LIMIT)
        spent = cpu_seconds(measured.pid) - before
        return Slice(
            work=self.work.name,
            peer=self.peer.name,
            round=round_,
            messages=int(answer["messages"]),
            seconds=answer["seconds"],
            cpu_seconds=spent,
            load_cpu_seconds=cpu_seconds(other.pid) - before_other,
            p50_us=answer.get("p50_us"),
            p90_us=answer.get("p90_us"),
            p99_us=answer.get("p99_us"),
        )

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
