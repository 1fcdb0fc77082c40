"""What is measured: the works, the servers and clients, and how each is started.

A new peer is a file in `peers/` and one row here; a new work is a row here, and for servers one in `load.c`.
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

HERE = Path(__file__).resolve().parent
CHECKOUT_SRC = HERE.parent / "src"
NODE_MODULES = HERE / "node_modules"

OURS = "socketeer"
OUR_CLIENT = "socketeer-client"


@dataclass(frozen=True)
class Work:
    name: str
    title: str
    connections: int
    in_flight: int = 0  # of clients: requests under way on each connection; the generator knows its own
    replies: int = 1  # to one request

    @property
    def measures_client(self) -> bool:
        return self.in_flight > 0

    @property
    def ours(self) -> str:
        """The peer that the others are compared with."""
        return OUR_CLIENT if self.measures_client else OURS


WORKS = {
    work.name: work
    for work in (
        Work("echo", "echo: 100 connections, 1 message in flight on each", 100),
        Work("pipe", "pipe: 100 connections, 16 messages in flight on each", 100),
        Work("bcast", "bcast: one emit to 1,000 connections, per delivery", 1000),
        Work("client-echo", "client-echo: 100 connections, 1 message in flight on each", 100, 1),
        Work("client-pipe", "client-pipe: 1 connection, 16 messages in flight", 1, 16),
        Work("client-receive", "client-receive: 1 connection, events as they come, per event", 1, 1, 1000),
    )
}
SERVER_WORKS = tuple(name for name, work in WORKS.items() if not work.measures_client)
CLIENT_WORKS = tuple(name for name, work in WORKS.items() if work.measures_client)


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    script: str  # in peers/
    packages: tuple[str, ...]  # those whose versions the report states
    works: tuple[str, ...] = SERVER_WORKS
    raw: bool = False  # a bare WebSocket echo: neither Engine.IO nor Socket.IO
    source: Path | None = None  # put before the installed packages
    variables: tuple[tuple[str, str], ...] = ()  # of its environment

    @property
    def is_node(self) -> bool:
        return self.script.endswith(".js")

    def command(self, port: int, work: Work) -> list[str]:
        interpreter = "node" if self.is_node else sys.executable
        command = [interpreter, str(HERE / "peers" / self.script), str(port)]
        if work.measures_client:
            command += [str(number) for number in (work.connections, work.in_flight, work.replies)]
        return command

    def environment(self) -> dict[str, str]:
        environment = {**os.environ, "NODE_ENV": "production", **dict(self.variables)}
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
    """All servers and then all clients, ours first. `baseline` is the `src` of another checkout, to compare two states of ours."""
    # The installed package is measured (it may be compiled); the checkout where none is installed.
    installed = importlib.util.find_spec(OURS) is not None
    source = None if installed else CHECKOUT_SRC
    ours = (OURS, "picows", "orjson", "uvloop")
    catalogue = [
        Peer(OURS, "Socketeer", "socketeer_server.py", ours, source=source),
        Peer(
            "socketeer-picows",
            "Socketeer without the native lane",
            "socketeer_server.py",
            ours,
            source=source,
            variables=(("SOCKETEER_CARRIER", "picows"),),
        ),
        Peer(
            "socketeer-async",
            "Socketeer with `async def` handlers",
            "socketeer_async_server.py",
            ours,
            source=source,
        ),
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
    client = Peer(OUR_CLIENT, "Socketeer", "socketeer_client.py", ours, CLIENT_WORKS, source=source)
    catalogue += [
        client,
        Peer(
            "node-client",
            "Node.js, socket.io-client with ws",
            "node_client.js",
            ("socket.io-client", "ws"),
            CLIENT_WORKS,
        ),
        Peer(
            "python-socketio-client",
            "python-socketio's AsyncClient",
            "python_socketio_client.py",
            ("python-socketio", "python-engineio", "aiohttp", "uvloop"),
            CLIENT_WORKS,
        ),
    ]
    if baseline is not None:
        before = baseline.resolve()
        server = replace(catalogue[0], name="baseline", title="Socketeer, baseline", source=before)
        catalogue.insert(1, server)
        client = replace(client, name="baseline-client", title="Socketeer, baseline", source=before)
        catalogue.insert(-2, client)
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
