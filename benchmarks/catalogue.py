"""What is measured: the works, the servers, and how each server is started.

A new peer is a file in `peers/` and one row here; a new work is a row here and one in `load.c`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT_SRC = HERE.parent / "src"
NODE_MODULES = HERE / "node_modules"

OURS = "socketeer"


@dataclass(frozen=True)
class Work:
    name: str
    title: str
    connections: int


WORKS = {
    work.name: work
    for work in (
        Work("echo", "echo: 100 connections, 1 message in flight on each", 100),
        Work("pipe", "pipe: 100 connections, 16 messages in flight on each", 100),
        Work("bcast", "bcast: one emit to 1,000 connections, per delivery", 1000),
    )
}


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    script: str  # in peers/
    packages: tuple[str, ...]  # those whose versions the report states
    works: tuple[str, ...] = tuple(WORKS)
    raw: bool = False  # a bare WebSocket echo: neither Engine.IO nor Socket.IO
    source: Path | None = None  # put before the installed packages

    @property
    def is_node(self) -> bool:
        return self.script.endswith(".js")

    def command(self, port: int) -> list[str]:
        interpreter = "node" if self.is_node else sys.executable
        return [interpreter, str(HERE / "peers" / self.script), str(port)]

    def environment(self) -> dict[str, str]:
        environment = {**os.environ, "NODE_ENV": "production"}
        if self.source is not None:
            before = environment.get("PYTHONPATH")
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(self.source), before)))
        return environment

    def versions(self) -> str:
        find = _node_version if self.is_node else _python_version
        return ", ".join(f"{package} {find(package)}" for package in self.packages)

    def missing(self) -> str | None:
        """Why this peer cannot run here, or None."""
        if self.is_node:
            if shutil.which("node") is None or shutil.which("npm") is None:
                return "needs node and npm"
            return None
        absent = [p for p in self.packages if p != OURS and _python_version(p) == "?"]
        if absent:
            return f"needs {', '.join(absent)}; benchmarks/README.md says how to install"
        if self.source is not None and not (self.source / OURS).is_dir():
            return f"{self.source} holds no package {OURS}"
        return None


def peers(baseline: Path | None = None) -> dict[str, Peer]:
    """All servers, ours first. `baseline` is the `src` of another checkout, to compare two states of ours."""
    # The installed package is measured (it may be compiled); the checkout where none is installed.
    installed = importlib.util.find_spec(OURS) is not None
    source = None if installed else CHECKOUT_SRC
    ours = (OURS, "picows", "orjson", "uvloop")
    catalogue = [
        Peer(OURS, "Socketeer", "socketeer_server.py", ours, source=source),
        Peer("node", "Node.js, socket.io with ws", "node_socketio.js", ("socket.io", "ws")),
        Peer(
            "python-socketio",
            "python-socketio on uvicorn",
            "python_socketio.py",
            ("python-socketio", "python-engineio", "uvicorn", "uvloop", "httptools", "websockets"),
        ),
        Peer(
            "picows",
            "floor: bare picows echo, no Socket.IO",
            "picows_echo.py",
            ("picows", "uvloop"),
            works=("echo", "pipe"),
            raw=True,
        ),
    ]
    if baseline is not None:
        catalogue.insert(
            1, Peer("baseline", "Socketeer, baseline", "socketeer_server.py", ours, source=baseline.resolve())
        )
    return {peer.name: peer for peer in catalogue}


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


def install_node_peers() -> None:
    """`npm ci`, when what is installed is not what the lock file says."""
    done = NODE_MODULES / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    outcome = subprocess.run(
        ["npm", "ci"], check=False, cwd=HERE, capture_output=True, text=True, timeout=300
    )
    if outcome.returncode:
        raise SystemExit(f"npm ci failed in benchmarks/:\n{outcome.stderr.strip()}")
