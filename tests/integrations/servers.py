"""Web servers in processes of their own, as people run them, with the application of `served` behind each."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.support.command import DEADLINE, Command, command

APP: Final = "tests.integrations.served:app"
OURS: Final = "socketeer.integrations.uvicorn:WebSocketProtocol"

SERVERS: Final[dict[str, list[str]]] = {
    "uvicorn with our class": ["-m", "uvicorn", APP, "--port", "0", "--ws", OURS],
    "uvicorn with our class on asyncio": [
        "-m",
        "uvicorn",
        APP,
        "--port",
        "0",
        "--ws",
        OURS,
        "--loop",
        "asyncio",
    ],
    "uvicorn with its own class": ["-m", "uvicorn", APP, "--port", "0"],
    "hypercorn": ["-m", "hypercorn", APP, "--bind", "127.0.0.1:0"],
    "granian": ["-m", "granian", "--interface", "asgi", "--workers", "1", APP, "--port"],
    "io.run": ["-m", "tests.integrations.served"],
    "asyncio.run(io.serve)": ["-m", "tests.integrations.served", "serve"],
}


@contextmanager
def listening(name: str, app: str = APP) -> Iterator[tuple[Command, int]]:
    """One of the servers and its port, once it listens; gone afterwards, and its workers with it."""
    arguments = [app if each == APP else each for each in SERVERS[name]]
    if arguments[-1] == "--port":  # it cannot choose one and tell
        arguments = [*arguments, str(_free_port())]
    with command(*arguments) as process:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.wait_for("http://127.0.0.1:"))
        assert found is not None
        port = int(found[1])
        _wait_until_it_listens(port)
        try:
            yield process, port
        finally:
            if process.running:
                process.stop(signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _wait_until_it_listens(port: int) -> None:
    """Some say so a moment before they do."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
            time.sleep(0.02)
        else:
            return
