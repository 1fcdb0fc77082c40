"""`socketeer run --workers` as a person sees it, in a terminal."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.command import DEADLINE, port_of, socketeer
from tests.support.peers import WebSocket
from tests.support.pseudo_terminal import in_a_terminal
from tests.support.raw import Wire
from tests.support.workers import SERVER, alive, ask, children, write

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there are no workers under Windows"),
    pytest.mark.timeout(120),
]


@pytest.fixture(autouse=True)
async def wires() -> AsyncIterator[None]:
    """Connections that a test has left open end with it."""
    yield
    await Wire.close_all()


COMMAND = ("run", "chat:io", "--port", "0", "--workers", "2")


def gone(pids: set[int]) -> bool:
    end = time.monotonic() + DEADLINE
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(map(alive, pids))


async def test_one_ctrl_c_ends_everything(tmp_path: Path) -> None:
    write(tmp_path, SERVER)
    with in_a_terminal(*COMMAND, cwd=tmp_path, signals=True) as terminal:
        port = port_of(await asyncio.to_thread(terminal.wait_for, "listens on"))
        workers = children(terminal.pid)
        assert len(workers) == 2
        peer = await WebSocket.open(port)
        await peer.connect()
        assert (await ask(peer, "who"))[0] in workers
        terminal.type("\x03")
        assert await asyncio.to_thread(terminal.wait) == 0
        assert gone(workers)
        shown = "\n".join(terminal.lines)
        assert "Traceback" not in shown
        assert "ERROR" not in shown
        assert f"gone {peer.ids['/']} server shutting down" in shown


async def test_ctrl_c_before_anybody_serves(tmp_path: Path) -> None:
    write(tmp_path, "print('loading', flush=True); import time; time.sleep(100)")
    with in_a_terminal(*COMMAND, cwd=tmp_path, signals=True) as terminal:
        await asyncio.to_thread(terminal.wait_for, "loading")
        workers = children(terminal.pid)
        terminal.type("\x03")
        assert await asyncio.to_thread(terminal.wait) == 0
        assert gone(workers)
        assert [
            line for line in terminal.lines if line not in {"", "loading", "^Cloading", "loading^C", "^C"}
        ] == []


async def test_a_window_that_is_closed_ends_everything(tmp_path: Path) -> None:
    """It sends SIGHUP too, which otherwise renews the workers."""
    write(tmp_path, SERVER)
    with in_a_terminal(*COMMAND, cwd=tmp_path, signals=True) as terminal:
        await asyncio.to_thread(terminal.wait_for, "listens on")
        parent = terminal.pid
        processes = {parent, *children(parent)}
        terminal.close_window()
        assert await asyncio.to_thread(gone, processes)


def test_what_fails_in_a_worker_is_told_once(tmp_path: Path) -> None:
    write(tmp_path, "import nothing_of_this_name")
    with socketeer("run", "chat:io", "--port", "0", "--workers", "3", cwd=tmp_path) as process:
        assert process.wait() == 1
    text = str(process)
    assert text.count("cannot be imported: ModuleNotFoundError") == 1
    assert "no worker came up: worker 1 ended with exit code 1 before it served" in text
    assert text.count("Traceback") == 1  # the module's own


def test_a_taken_port_is_told_before_anything_is_started(tmp_path: Path) -> None:
    import socket

    write(tmp_path, "print('imported')")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with socketeer("run", "chat:io", "--port", str(port), "--workers", "2", cwd=tmp_path) as process:
            assert process.wait() == 1
    assert f"port {port} of 127.0.0.1 is taken" in str(process)
    assert "imported" not in process.out


def test_two_parents_do_not_share_a_port(tmp_path: Path) -> None:
    """Each of its workers' sockets would let the other have the port too."""
    write(tmp_path, SERVER)
    with socketeer("run", "chat:io", "--port", "0", "--workers", "2", cwd=tmp_path) as first:
        port = port_of(first.wait_for("listens on"))
        for extra in (("--workers", "2"), ()):
            with socketeer("run", "chat:io", "--port", str(port), *extra, cwd=tmp_path) as process:
                assert process.wait() == 1
            assert "is taken" in str(process)
        first.stop()


def test_log_lines_say_the_worker(tmp_path: Path) -> None:
    write(tmp_path, SERVER + "\n    import logging; logging.getLogger('mine').warning('by the way')\n")
    with socketeer("run", "chat:io", "--port", "0", "--workers", "2", cwd=tmp_path) as process:
        process.wait_for("listens on")
        process.stop()
    found = [line for line in process.err if "by the way" in line]
    assert sorted(re.findall(r"\[(worker \d)\] mine: by the way", "\n".join(found))) == [
        "worker 1",
        "worker 2",
    ]


@pytest.mark.parametrize("workers", ["0", "-1", "many"])
def test_what_is_no_number_of_workers(workers: str, tmp_path: Path) -> None:
    with socketeer("run", "chat:io", "--workers", workers, cwd=tmp_path) as process:
        assert process.wait() == 2
    assert "--workers" in str(process)
