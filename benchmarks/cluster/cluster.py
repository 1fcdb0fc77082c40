"""A Redis, two nodes on it and a client of each, as processes and sockets of one measurement."""

from __future__ import annotations

import ctypes
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).resolve().parent
START_LIMIT = 20.0  # seconds until a process accepts connections
ANSWER_LIMIT = 10.0  # seconds that a message may take
TEXT = "x" * 100

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failure(Exception):
    """A node or Redis did not do its part."""


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, by the kernel's own clock (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A process on one core that listens on a port, and dies with this one."""

    def __init__(self, command: list[str], port: int, core: int) -> None:
        def set_up() -> None:
            os.sched_setaffinity(0, {core})
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

        self.command, self.port = command, port
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._popen = subprocess.Popen(
            command,
            env={**os.environ, "NODE_ENV": "production"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=set_up,  # noqa: PLW1509 - unsafe beside threads, and the runner has none
        )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait(self) -> None:
        """Until it accepts connections."""
        end = time.monotonic() + START_LIMIT
        while True:
            if self._popen.poll() is not None:
                raise Failure(f"{self.command[:2]} ended: {self.complaints()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if time.monotonic() > end:
                    raise Failure(f"{self.command[:2]} accepts no connection: {self.complaints()}") from None
                time.sleep(0.02)
            else:
                return

    def complaints(self) -> str:
        return os.pread(self._log.fileno(), 2000, 0).decode(errors="replace").strip()

    def stop(self) -> None:
        self._popen.terminate()
        try:
            self._popen.wait(3)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._log.close()


def start_redis(core: int) -> Process:
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is needed: install Redis 7")
    port = free_port()
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tempfile.gettempdir()]
    redis = Process(["redis-server", *settings], port, core)
    redis.wait()
    return redis


class Talker:
    """One client over WebSocket: frames written and read by hand, so that the nodes' peers are the same."""

    def __init__(self, port: int, query: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""
        head = (
            f"GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        while b"\r\n\r\n" not in self._held:
            self._held += self._receive()
        status, _, self._held = self._held.partition(b"\r\n\r\n")
        if b" 101 " not in status.partition(b"\r\n")[0]:
            raise Failure(f"the handshake is answered {status[:100]!r}")
        self._until(b"0{")
        self.say(b"40")
        self._until(b"40{")

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def say(self, text: bytes) -> None:
        """Send a text frame; its mask is zero, so that it may stay as it is."""
        size = len(text)
        head = b"\x81" + (bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big"))
        self._socket.sendall(head + bytes(4) + text)

    def heard(self) -> list[bytes]:
        """What has come; pings are answered. Waits if nothing has."""
        self._held += self._receive()
        return self._texts()

    def _texts(self) -> list[bytes]:
        texts, data, at = [], self._held, 0
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                if len(data) < at + 4:
                    break
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            if len(data) < start + size:
                break
            text = data[start : start + size]
            at = start + size
            if text == b"2":
                self.say(b"3")
            else:
                texts.append(text)
        self._held = data[at:]
        return texts

    def _receive(self) -> bytes:
        data = self._socket.recv(262_144)
        if not data:
            raise Failure("a node has closed the connection")
        return data

    def _until(self, start: bytes) -> None:
        texts = self._texts()
        while not any(text.startswith(start) for text in texts):
            texts = self.heard()


@dataclass(frozen=True)
class Slice:
    """One kind of node in one mode, for a second or so."""

    kind: str
    mode: str
    round: int
    deliveries: int
    seconds: float
    cpu_seconds: float  # of both nodes
    redis_seconds: float
    p50_us: float
    p99_us: float

    @property
    def us_per_delivery(self) -> float:
        return self.cpu_seconds / self.deliveries * 1e6


class Contest:
    """Two nodes of one kind and mode: a client says something at the one, a client gets it at the other."""

    def __init__(self, kind: str, mode: str, redis: Process, core: int) -> None:
        self.kind, self.mode, self._redis = kind, mode, redis
        key = f"bench-{secrets.token_hex(4)}"
        interpreter, script = (sys.executable, "node.py") if kind == "socketeer" else ("node", "node.js")
        url = f"redis://127.0.0.1:{redis.port}"
        self._nodes = []
        self._talkers: list[Talker] = []
        for _ in range(2):
            port = free_port()
            command = [interpreter, str(HERE / script), str(port), url, key, mode]
            self._nodes.append(Process(command, port, core))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for talker in self._talkers:
            talker.close()
        for node in self._nodes:
            node.stop()

    def start(self) -> None:
        for node in self._nodes:
            node.wait()
        speaker, listener = Talker(self._nodes[0].port), Talker(self._nodes[1].port, "&listen=1")
        self._talkers = [speaker, listener]
        end = time.monotonic() + ANSWER_LIMIT
        while True:  # until the nodes hear each other
            speaker.say(f'42["say",-1,"{TEXT}"]'.encode())
            if select.select([listener], [], [], 0.1)[0] and listener.heard():
                break
            if time.monotonic() > end:
                raise Failure(f"{self.kind}, {self.mode}: nothing arrives; {self._nodes[0].complaints()}")
        while select.select([listener], [], [], 0.5)[0]:
            listener.heard()

    def tend(self) -> None:
        """Answer pings while others are measured."""
        while readable := select.select(self._talkers, [], [], 0)[0]:
            for talker in readable:
                talker.heard()

    def slice(self, round_: int, rate: float, seconds: float) -> Slice:
        """So many messages a second for so long; it ends when all have arrived."""
        speaker, listener = self._talkers
        count = int(rate * seconds)
        pids = [node.pid for node in self._nodes]
        before, redis_before = sum(map(cpu_seconds, pids)), cpu_seconds(self._redis.pid)
        sent_at: list[float] = []
        latencies: list[float] = []
        begun = time.perf_counter()
        while len(latencies) < count:
            now = time.perf_counter()
            due = begun + len(sent_at) / rate
            if len(sent_at) < count and now >= due:
                sent_at.append(now)
                speaker.say(f'42["say",{len(sent_at) - 1},"{TEXT}"]'.encode())
                continue
            patience = due - now if len(sent_at) < count else ANSWER_LIMIT
            readable, _, _ = select.select(self._talkers, [], [], patience)
            if speaker in readable:
                speaker.heard()
            if listener in readable:
                arrived = time.perf_counter()
                for text in listener.heard():
                    number = self._number(text, len(latencies))
                    latencies.append(arrived - sent_at[number])
            if not readable and patience == ANSWER_LIMIT:
                raise Failure(f"{self.kind}, {self.mode}: {count - len(latencies)} messages did not arrive")
        took = time.perf_counter() - begun
        latencies.sort()
        return Slice(
            self.kind, self.mode, round_, count, took,
            sum(map(cpu_seconds, pids)) - before, cpu_seconds(self._redis.pid) - redis_before,
            latencies[count // 2] * 1e6, latencies[count * 99 // 100] * 1e6,
        )  # fmt: skip

    def _number(self, text: bytes, expected: int) -> int:
        if text != b'42["news",%d,"%b"]' % (expected, TEXT.encode()):
            raise Failure(f"{self.kind}, {self.mode}: expected message {expected}, got {text[:60]!r}")
        return expected
