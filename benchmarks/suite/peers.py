"""The servers and clients that are measured, and how each is started.

A new peer is a file in `peers/` and one row here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.suite.works import OUR_CLIENT, OURS, Kind, Work

HERE = Path(__file__).resolve().parent.parent
CHECKOUT_SRC = HERE.parent / "src"
NODE_MODULES = HERE / "node_modules"
BUILD = HERE / ".build"

ECHOES = ("echo", "pipe", "binary", "connect")  # what a floor can do


@dataclass(frozen=True)
class Peer:
    """One server, or one client."""

    name: str
    title: str
    script: str  # in peers/
    packages: tuple[str, ...]  # those whose versions the report states
    runtime: str = "python"  # python, node, bun or c
    loads: tuple[str, ...] = ()  # what it can do; empty: everything
    is_client: bool = False
    source: Path | None = None  # put before the installed packages
    variables: tuple[tuple[str, str], ...] = ()  # of its environment
    only: tuple[str, ...] = ()  # the loads that it has handlers for; empty: all

    @property
    def raw(self) -> bool:
        """A bare WebSocket echo: neither Engine.IO nor Socket.IO."""
        return bool(self.loads)

    @property
    def needs_npm(self) -> bool:
        return self.runtime in ("node", "bun")

    def can(self, work: Work) -> bool:
        if self.is_client != work.measures_client:
            return False
        if self.only and (work.kind is not Kind.SLICES or work.load not in self.only):
            return False
        return not self.loads or (work.kind is Kind.SLICES and work.load in self.loads)

    def command(self, port: int, work: Work) -> list[str]:
        script = str(HERE / "peers" / self.script)
        if self.runtime == "c":
            command = [str(BUILD / Path(self.script).stem), str(port)]
        elif self.runtime == "node":
            command = ["node", "--expose-gc", script, str(port)]
        elif self.runtime == "bun":
            command = [str(bun()), script, str(port)]
        else:
            command = [sys.executable, script, str(port)]
        if work.measures_client:
            command += [str(number) for number in (work.connections, work.in_flight, work.replies)]
        elif work.rooms:
            command.append("rooms")
        return command

    def environment(self) -> dict[str, str]:
        environment = {**os.environ, "NODE_ENV": "production", **dict(self.variables)}
        if self.source is not None:
            before = environment.get("PYTHONPATH")
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(self.source), before)))
        return environment

    def versions(self) -> str:
        find = _node_version if self.needs_npm else _python_version
        found = [f"{package} {find(package)}" for package in self.packages]
        if self.runtime == "node":
            found.append(f"Node.js {_answer('node', '--version').lstrip('v')}")
        if self.runtime == "c":
            found.append(_answer(compiler() or "cc", "--version").partition("\n")[0])
        return ", ".join(found)

    def missing(self) -> str | None:
        """Why this peer cannot run here, or None."""
        if self.needs_npm and shutil.which("npm") is None:
            return "needs npm"
        if self.runtime == "node" and shutil.which("node") is None:
            return "needs node"
        if self.runtime != "python":
            return None
        absent = [p for p in self.packages if p != OURS and _python_version(p) == "?"]
        if absent:
            return f"needs {', '.join(absent)}; benchmarks/README.md says how to install"
        if self.source is not None and not (self.source / OURS).is_dir():
            return f"{self.source} holds no package {OURS}"
        return None


def peers(baseline: Path | None = None) -> dict[str, Peer]:
    """All servers and then all clients, ours first. `baseline` is the `src` of another checkout, to compare two states of ours."""
    # The installed package is measured (it may be compiled); the checkout where none is installed.
    installed = importlib.util.find_spec(OURS) is not None
    source = None if installed else CHECKOUT_SRC
    ours = (OURS, "picows", "orjson", "msgspec", "uvloop")
    server = Peer(OURS, "Socketeer", "socketeer_server.py", ours, source=source)
    client = Peer(OUR_CLIENT, "Socketeer", "socketeer_client.py", ours, is_client=True, source=source)
    catalogue = [
        server,
        replace(
            server,
            name="socketeer-picows",
            title="Socketeer without the native lane",
            variables=(("SOCKETEER_CARRIER", "picows"),),
        ),
        replace(
            server,
            name="socketeer-async",
            title="Socketeer, `async def`",
            script="socketeer_async_server.py",
            only=("echo", "pipe"),
        ),
        Peer("node", "Node.js", "node_socketio.js", ("socket.io", "ws"), "node"),
        Peer("bun", "Bun", "bun_socketio.js", ("bun", "socket.io", "@socket.io/bun-engine"), "bun"),
        Peer(
            "python-socketio",
            "python-socketio",
            "python_socketio.py",
            ("python-socketio", "python-engineio", "uvicorn", "uvloop", "httptools", "websockets"),
        ),
        Peer("picows", "floor: picows", "floor_picows.py", ("picows", "uvloop"), loads=ECHOES),
        Peer("epoll", "floor: C on epoll", "floor_epoll.c", (), "c", loads=ECHOES),
        client,
        Peer(
            "node-client",
            "Node.js, socket.io-client",
            "node_client.js",
            ("socket.io-client", "ws"),
            "node",
            is_client=True,
        ),
        Peer(
            "python-socketio-client",
            "python-socketio's AsyncClient",
            "python_socketio_client.py",
            ("python-socketio", "python-engineio", "aiohttp", "uvloop"),
            is_client=True,
        ),
    ]
    if baseline is not None:
        before = baseline.resolve()
        catalogue += [
            replace(server, name="baseline", title="Socketeer, baseline", source=before),
            replace(client, name="baseline-client", title="Socketeer, baseline", source=before),
        ]
    return {peer.name: peer for peer in catalogue}


def bun() -> Path:
    """The program itself: npm's package `bun` only chooses it, by a script that is not run here."""
    return next(iter(sorted((NODE_MODULES / "@oven").glob("*/bin/bun"))), NODE_MODULES / "bun")


def compiler() -> str | None:
    return os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)


def _answer(*command: str) -> str:
    outcome = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    return outcome.stdout.strip()


def _python_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "checkout" if package == OURS else "?"


def _node_version(package: str) -> str:
    try:
        return str(json.loads((NODE_MODULES / package / "package.json").read_text())["version"])
    except OSError:
        return "?"


def install_npm_peers() -> None:
    """`npm ci`, when what is installed is not what the lock file says."""
    done = NODE_MODULES / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    outcome = subprocess.run(
        ["npm", "ci"], check=False, cwd=HERE, capture_output=True, text=True, timeout=600
    )
    if outcome.returncode:
        raise SystemExit(f"npm ci failed in benchmarks/:\n{outcome.stderr.strip()}")


def build() -> None:
    """The load generator and the floor in C, where their sources are newer."""
    sources = sorted((HERE / "load").glob("*.c"))
    _compile(BUILD / "load", sources, [*sources, HERE / "load" / "load.h"])
    floor = HERE / "peers" / "floor_epoll.c"
    _compile(BUILD / floor.stem, [floor], [floor])


def _compile(target: Path, sources: list[Path], watched: list[Path]) -> None:
    if target.exists() and target.stat().st_mtime >= max(each.stat().st_mtime for each in watched):
        return
    found = compiler()
    if found is None:
        raise SystemExit("the load generator needs a C compiler: cc, gcc or clang")
    BUILD.mkdir(exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}")
    command = [found, "-O2", "-std=c11", "-Wall", "-o", str(unfinished), *map(str, sources)]
    outcome = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if outcome.returncode:
        raise SystemExit(f"{target.name} does not compile:\n{outcome.stderr.strip()}")
    unfinished.replace(target)
