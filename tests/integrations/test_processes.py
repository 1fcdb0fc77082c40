"""A worker's process as its parent sees it."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest

from socketeer.errors import UsageError
from socketeer.integrations.processes import Process, Stage, this_program
from tests.support.workers import alive, children, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no workers under Windows")

SERVES = """
import os, json, signal, socket, sys
told = json.loads(os.environ["SOCKETEER_WORKER"])
control = socket.socket(fileno=told["control"])
control.sendall(b"ready\\n")
heard = control.recv(100)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
control.sendall(heard)
print(flush=True)
signal.pause()
"""


async def start(code: str, changes: list[Stage]) -> Process:
    process = Process(3, [sys.executable, "-c", code], [[]], "/bus", lambda: changes.append(process.stage))
    return process


async def test_ready_told_and_ended() -> None:
    changes: list[Stage] = []
    process = await start(SERVES, changes)
    async with asyncio.timeout(30):
        assert await process.came_up
        assert process.serves
        assert not process.settled
        process.tell([1, 2])
        while process.exit_code is None:
            process.leave()  # until it listens to that
            await asyncio.sleep(0.05)
        await process.ended.wait()
    assert process.outcome in {"ended with exit code 7", "was ended by SIGTERM"}
    assert list(dict.fromkeys(changes)) == [Stage.SERVING, Stage.LEAVING, Stage.ENDED]
    process.leave()
    process.kill()
    process.tell([1])


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("pass", "ended with exit code 0"),
        ("import os; os._exit(3)", "ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
        (
            f"import os; os.kill(os.getpid(), {signal.SIGRTMIN + 3})",
            f"was ended by signal {signal.SIGRTMIN + 3}",
        ),
    ],
)
async def test_one_that_ends_before_it_serves(code: str, outcome: str) -> None:
    changes: list[Stage] = []
    process = await start(code, changes)
    async with asyncio.timeout(30):
        assert not await process.came_up
        await process.ended.wait()
    assert process.outcome == outcome
    assert changes == [Stage.ENDED]


async def test_one_that_is_killed_takes_along_what_it_has_started() -> None:
    changes: list[Stage] = []
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])"
    process = await start(f"{child}\n{SERVES}", changes)
    async with asyncio.timeout(30):
        assert await process.came_up
        (grandchild,) = children(process.pid)
        process.kill()
        await process.ended.wait()
    await until(lambda: not alive(grandchild), "it ends, too")


async def test_one_that_cannot_be_started() -> None:
    changes: list[Stage] = []
    with pytest.raises(FileNotFoundError):
        Process(1, ["/no/such/program"], [[]], "/bus", lambda: changes.append(Stage.ENDED))
    assert changes == []


def test_what_starts_this_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "server.py", "--port", "5"])
    monkeypatch.setattr(sys, "argv", ["server.py", "--port", "5"])
    with pytest.raises(UsageError, match="interactive session"):
        this_program()
    main.__file__ = str(tmp_path / "server.py")
    with pytest.raises(UsageError, match="interactive session"):
        this_program()
    (tmp_path / "server.py").touch()
    assert this_program() == [sys.executable, "-X", "dev", "server.py", "--port", "5"]
    del main.__file__
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert this_program()[0] == sys.executable
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(UsageError):
        this_program()
