"""`socketeer run` as a process, with clients connected."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.command import Command, port_of, socketeer
from tests.support.peers import Polling, WebSocket
from tests.support.raw import ConnectionEnded, Wire, fetch


@pytest.fixture(autouse=True)
async def wires() -> AsyncIterator[None]:
    """Connections that a test has left open end with it."""
    yield
    await Wire.close_all()


SERVER = """
    from socketeer import Server

    io = Server()

    @io.on("connection")
    def connection(socket):
        print("here", socket.id, flush=True)
        socket.on("echo", lambda *args: args)
        socket.on("disconnect", lambda reason: print("gone", socket.id, reason, flush=True))
"""
BESIDE = """
    from contextlib import asynccontextmanager
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(app):
        print("started", flush=True)
        yield
        print("stopped", flush=True)

    api = FastAPI(lifespan=lifespan)

    @api.get("/hello")
    async def hello():
        return "world"
"""
MOUNTED = SERVER + BESIDE + '    api.mount("/live", io.asgi())\n'
COMBINED = SERVER + BESIDE + "    app = io.asgi(api)\n"


def write(folder: Path, source: str) -> None:
    (folder / "chat.py").write_text(dedent(source), encoding="utf-8")


def listening(process: Command) -> int:
    return port_of(process.wait_for("listens on"))


async def stop(process: Command, by: int = signal.SIGINT) -> float:
    """End the process, what clients wait for going on meanwhile; the seconds that it took."""
    return await asyncio.to_thread(process.stop, by)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
@pytest.mark.parametrize(("source", "name"), [(SERVER, "io"), (COMBINED, "app")])
async def test_ctrl_c_ends_it_within_a_second_with_clients_connected(
    source: str, name: str, tmp_path: Path
) -> None:
    write(tmp_path, source)
    with socketeer("run", f"chat:{name}", "--port", "0", cwd=tmp_path) as process:
        port = listening(process)
        polling = await Polling.open(port)
        websocket = await WebSocket.open(port)
        ids = [await polling.connect(), await websocket.connect()]
        assert await websocket.echo("still", 1) == ["still", 1]
        waiting = await polling.begin()  # a poll that nothing answers
        for each in ids:
            process.wait_for(f"here {each}")

        assert await stop(process) < 5
        assert process.wait() == 0
        for each in ids:
            assert f"gone {each} server shutting down" in process.out, process
        await websocket.closed()
        waiting.close()
        assert not [line for line in process.err if "Traceback" in line or "ERROR" in line], process
        if name == "app":
            assert process.out[0] == "started"
            assert process.out[-1] == "stopped"


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
async def test_a_server_that_is_mounted_somewhere_inside_is_closed_too(tmp_path: Path) -> None:
    write(tmp_path, MOUNTED)
    with socketeer("run", "chat:api", "--port", "0", cwd=tmp_path) as process:
        port = listening(process)
        opened = await fetch(port, "GET", "/live/socket.io/?EIO=4&transport=polling")
        assert opened.status == 200
        sid = opened.text.partition('"sid":"')[2][:20]
        path = f"/live/socket.io/?EIO=4&transport=polling&sid={sid}"
        assert (await fetch(port, "POST", path, body=b"40")).status == 200
        assert (await fetch(port, "GET", path)).text.startswith("40{")
        waiting = asyncio.create_task(fetch(port, "GET", path))
        websocket, _ = await WebSocket.shake(port, "/live/socket.io/?EIO=4&transport=websocket")
        assert (await fetch(port, "GET", "/hello")).text == '"world"'
        here = process.wait_for("here ").split()[1]

        assert await stop(process) < 5
        assert process.wait() == 0
        assert f"gone {here} server shutting down" in process.out
        assert process.out[-1] == "stopped"
        with contextlib.suppress(ConnectionEnded):
            await waiting
        websocket.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
async def test_sigterm_closes_as_ctrl_c_does(tmp_path: Path) -> None:
    write(tmp_path, SERVER)
    with socketeer("run", "chat:io", "--port", "0", cwd=tmp_path) as process:
        websocket = await WebSocket.open(listening(process))
        sid = await websocket.connect()
        assert await stop(process, signal.SIGTERM) < 5
        assert f"gone {sid} server shutting down" in process.out
        await websocket.closed()


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    write(tmp_path, SERVER)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with socketeer("run", "chat:io", "--port", str(port), cwd=tmp_path) as process:
            assert process.wait() == 1
    assert process.out == []
    assert process.err == [
        f"error: port {port} of 127.0.0.1 is taken: another program listens there",
        f"End that program, or give another port: --port {port + 1}.",
    ]


async def test_an_application_that_does_not_start_ends_with_1(tmp_path: Path) -> None:
    write(tmp_path, BESIDE.replace('print("started", flush=True)', 'raise OSError("no database")'))
    with socketeer("run", "chat:api", "--port", "0", cwd=tmp_path) as process:
        assert process.wait() == 1
    assert any("no database" in line for line in process.err)
    assert process.err[-2:] == ["error: chat:api ended before it listened", "What was logged above says why."]


async def test_what_is_no_server_ends_with_1(tmp_path: Path) -> None:
    write(tmp_path, SERVER)
    with socketeer("run", "chat:connection", cwd=tmp_path) as process:
        assert process.wait() == 1
    assert process.err == [
        "error: chat:connection is the function connection(socket); expected a socketeer.Server or an ASGI application",
        "Did you mean chat:io?",
    ]


async def test_the_access_log_is_there_when_asked_for(tmp_path: Path) -> None:
    write(tmp_path, SERVER)
    for options, count in (((), 0), (("--access-log",), 1), (("--access-log", "--log-level", "error"), 1)):
        with socketeer("run", "chat:io", "--port", "0", *options, cwd=tmp_path) as process:
            await fetch(listening(process), "GET", "/some/where")
            await stop(process)
        assert sum("/some/where" in line for line in process.err) == count, process


async def test_the_log_level(tmp_path: Path) -> None:
    write(tmp_path, SERVER + '    import logging\n    logging.getLogger("mine").info("by the way")\n')
    for level, shown in (("info", True), ("warning", False)):
        with socketeer("run", "chat:io", "--port", "0", "--log-level", level, cwd=tmp_path) as process:
            listening(process)
            await stop(process)
        assert any("by the way" in line for line in process.err) is shown
