"""A NATS server of the test's own, which it may end, stop and start again on the same port."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.support import requirements


class NatsServer:
    """A process, at first not started.

    Args:
        folder: an empty one, for its settings and what it keeps.
        settings: lines of its configuration.
        jetstream: whether it has it.
    """

    def __init__(self, folder: Path, settings: str = "", *, jetstream: bool = True) -> None:
        found = shutil.which("nats-server")
        if found is None:
            requirements.missing("nats-server", "install it")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.url = f"nats://127.0.0.1:{self.port}"
        self._command = [found, "-c", str(folder / "nats.conf")]
        self._jetstream = jetstream
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(settings)

    def configure(self, settings: str) -> None:
        """Other settings, from the next start on."""
        lines = [f'listen: "127.0.0.1:{self.port}"', settings]
        if self._jetstream:
            lines.append(f'jetstream {{ store_dir: "{self.folder}/kept" }}')
        (self.folder / "nats.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it; it may take a moment until it listens."""
        self._process = subprocess.Popen(self._command, cwd=self.folder, stderr=subprocess.DEVNULL)

    def shutdown(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def stop(self) -> None:
        """Kill it, if it runs."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """Stop it with SIGSTOP: its connections stay, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
