"""One worker as its parent sees it: started as a fresh interpreter, ready, ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, Final

from socketeer.errors import UsageError
from socketeer.integrations.worker import VARIABLE

#: Whoever serves this long is not one that ends at once.
SETTLED: Final = 10.0


def _folder() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it has been deleted
        return None


#: Where the program was started: the paths in its command line begin there.
_FOLDER: Final = _folder()


def this_program() -> list[str]:
    """The command line that starts this program once more.

    Raises:
        UsageError: there is no such command line, as in an interactive session.
    """
    file = getattr(sys.modules["__main__"], "__file__", None)
    if not sys.executable or (sys.argv[:1] != ["-c"] and (file is None or not Path(file).exists())):
        raise UsageError(
            "workers: each worker runs the program once more, so expected one that was started from a file or a "
            "module, such as `python server.py`; this is an interactive session, or a program on standard input"
        )
    return [sys.executable, *sys.orig_argv[1:]]


class Stage(Enum):
    """How far a worker has come."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"
    """It has been told to end."""
    ENDED = "ended"


class Process:
    """A worker's process.

    Args:
        number: of the worker, from 1 on.
        command: what runs it.
        places: the sockets of all workers.
        bus: the path of the hub.
        changed: called at each change of its stage.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        places: Sequence[Sequence[socket.socket]],
        bus: str,
        changed: Callable[[], None],
    ) -> None:
        self.number = number
        self.stage = Stage.STARTING
        self._changed = changed
        self._ready_at: float | None = None
        self._loop = asyncio.get_running_loop()
        self.came_up: asyncio.Future[bool] = self._loop.create_future()
        """False: it has ended before it served."""
        self.ended = asyncio.Event()
        self._control, theirs = socket.socketpair()
        try:
            with theirs:
                self._popen = self._start(command, theirs, places, bus)
        except BaseException:
            self._control.close()
            raise
        self._control.setblocking(False)
        self._loop.add_reader(self._control.fileno(), self._read)
        # uvloop keeps SIGCHLD for itself.
        threading.Thread(target=self._watch, name=f"socketeer-worker-{number}", daemon=True).start()

    def _watch(self) -> None:
        self._popen.wait()
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._has_ended)

    def _start(
        self,
        command: Sequence[str],
        control: socket.socket,
        places: Sequence[Sequence[socket.socket]],
        bus: str,
    ) -> subprocess.Popen[bytes]:
        numbers = [[sock.fileno() for sock in place] for place in places]
        told: Mapping[str, Any] = {
            "number": self.number,
            "parent": os.getpid(),
            "control": control.fileno(),
            "places": numbers,
            "bus": bus,
        }
        return subprocess.Popen(  # noqa: S603 - the program itself, once more
            command,
            cwd=_FOLDER,
            env={**os.environ, VARIABLE: json.dumps(told)},
            stdin=subprocess.DEVNULL,  # a terminal is the parent's
            pass_fds=[control.fileno(), *(each for place in numbers for each in place)],
            process_group=0,  # Ctrl-C is for the parent, which tells the workers
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def serves(self) -> bool:
        """Whether it accepts connections."""
        return self.stage is Stage.SERVING

    @property
    def settled(self) -> bool:
        """Whether it has served for a while."""
        return self._ready_at is not None and time.monotonic() - self._ready_at > SETTLED

    @property
    def outcome(self) -> str:
        """How it has ended, in words."""
        code = self._popen.returncode
        if code is None or code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._popen.returncode

    def _read(self) -> None:
        try:
            said = self._control.recv(64)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._loop.remove_reader(self._control.fileno())
        elif self.stage is Stage.STARTING:
            self._ready_at = time.monotonic()
            self.stage = Stage.SERVING
            self.came_up.set_result(True)
            self._changed()

    def tell(self, absent: Sequence[int]) -> None:
        """Let it accept connections of those workers, too."""
        with suppress(OSError):  # it ends just now, or has not read for long
            self._control.send(json.dumps({"absent": absent}).encode() + b"\n")

    def leave(self) -> None:
        """Tell it to end by itself."""
        if self.stage is not Stage.ENDED:
            self.stage = Stage.LEAVING
            self._changed()
            self._popen.terminate()

    def kill(self) -> None:
        """End it, and whatever it has started."""
        if self.stage is not Stage.ENDED:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _has_ended(self) -> None:
        self.stage = Stage.ENDED
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        if not self.came_up.done():
            self.came_up.set_result(False)
        self.ended.set()
        self._changed()
