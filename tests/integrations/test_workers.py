"""Workers as real processes: what they share, how they are replaced, renewed and ended."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from socketeer import Client
from socketeer.errors import OptionError
from socketeer.integrations.workers import Plan
from tests.support.certificates import Certificates
from tests.support.command import command
from tests.support.raw import ConnectionEnded, fetch
from tests.support.workers import PROGRAM, SERVER, House, alive, ask, hear, house, until, write

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there are no workers under Windows"),
    pytest.mark.timeout(120),
]

BOTH = pytest.mark.parametrize("source", [SERVER, PROGRAM], ids=["socketeer run", "io.run"])


async def stop(house: House, number: int = signal.SIGINT) -> float:
    return await asyncio.to_thread(house.process.stop, number)


@BOTH
async def test_all_workers_serve_and_reach_each_other(source: str, tmp_path: Path) -> None:
    async with house(tmp_path, source) as there:
        clients = await there.enter_each()
        assert clients.keys() == there.workers
        one, other = clients.values()
        for number, each in enumerate((one, other)):
            await each.send(f'42["say",{number},"x"]')
            for peer in (one, other):
                assert await hear(peer) == ["said", number, "x"]
        ids = sorted(each.ids["/"] for each in clients.values())
        while (found := await ask(one, "all")) != ids:  # those that have left are still being taken leave of
            assert set(ids) <= set(found)
        assert await ask(other, "all") == ids
        await stop(there)
        assert there.process.wait() == 0
        for sid in ids:
            assert f"gone {sid} server shutting down" in there.process.out
        assert "Traceback" not in str(there.process)
        if source is PROGRAM:
            assert there.process.out[-1] == "after the end"
            assert there.process.out.count("after the end") == 1
        assert sum("listens on" in line for line in there.process.out) == 1


async def test_new_connections_are_shared_out(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        served: dict[int, int] = {}
        for _ in range(60):
            peer, pid, _version = await there.enter()
            served[pid] = served.get(pid, 0) + 1
            await peer.bye()
        assert len(served) == 2
        assert min(served.values()) >= 8, served


async def test_a_worker_that_is_killed_is_replaced_while_the_others_serve(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        clients = await there.enter_each()
        (killed, lost), (other, stays) = clients.items()
        os.kill(killed, signal.SIGKILL)
        for _ in range(20):  # those that would have been the dead one's are served at once
            _peer, pid, _version = await there.enter()
            assert pid != killed
        with pytest.raises(ConnectionEnded):
            await lost.message()
        assert await ask(stays, "who") == [other, 1]
        again = await there.enter_each()
        assert killed not in again
        (new,) = again.keys() - {other}
        await again[new].send('42["say","hello"]')
        assert await hear(stays) == ["said", "hello"]
        await until(lambda: there.log("was ended by SIGKILL; another is started"), str(there.process))
        await stop(there)
        assert there.process.wait() == 0


async def test_no_connection_is_lost_while_workers_die(tmp_path: Path) -> None:
    """Connections that wait for one that has ended are taken by the next."""
    async with house(tmp_path) as there:
        over = False

        async def come_and_go() -> int:
            served = 0
            while not over:
                response = await fetch(there.port, "GET", "/nowhere")
                assert response.status == 404
                served += 1
            return served

        guests = [asyncio.create_task(come_and_go()) for _ in range(3)]
        for _ in range(2):
            pid, *_ = await there.enter_each()
            os.kill(pid, signal.SIGTERM)
            await until(lambda pid=pid: not alive(pid), "it ends")
        await there.enter_each()
        over = True
        assert sum(await asyncio.gather(*guests)) > 10


async def test_sighup_renews_all_with_new_code(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        before = there.workers
        clients = await there.enter_each()
        write(tmp_path, SERVER.replace("VERSION = 1", "VERSION = 2"))
        os.kill(there.parent, signal.SIGHUP)
        served = 0
        while not there.log("reloaded 2 workers"):
            response = await fetch(there.port, "GET", "/nowhere")  # always somebody is there
            assert response.status == 404
            served += 1
        assert served > 5
        for peer in clients.values():
            assert await peer.closed() == 1005
        assert not before & there.workers
        renewed = await there.enter_each()
        assert renewed.keys() == there.workers
        for peer in renewed.values():
            assert (await ask(peer, "who"))[1] == 2


async def test_code_that_cannot_be_loaded_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        before = there.workers
        (client, _, _) = await there.enter()
        write(tmp_path, "this is no Python")
        os.kill(there.parent, signal.SIGHUP)
        await until(lambda: there.log("the old ones go on"), str(there.process))
        assert there.workers == before
        assert (await ask(client, "who"))[1] == 1
        write(tmp_path, SERVER.replace("VERSION = 1", "VERSION = 3"))
        os.kill(there.parent, signal.SIGHUP)
        await until(lambda: there.log("reloaded 2 workers"), str(there.process))
        assert (await there.enter())[2] == 3


async def test_code_that_hangs_is_given_up_at_the_next_reload(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        before = there.workers
        write(tmp_path, "import sys, time; print('hangs', file=sys.stderr, flush=True); time.sleep(1000)")
        os.kill(there.parent, signal.SIGHUP)
        await until(lambda: there.log("hangs"), str(there.process))
        assert (await there.enter())[1] in before
        write(tmp_path, SERVER.replace("VERSION = 1", "VERSION = 4"))
        os.kill(there.parent, signal.SIGHUP)
        await until(lambda: there.log("reloaded 2 workers"), str(there.process))
        assert not before & there.workers
        assert (await there.enter())[2] == 4


async def test_over_tls(tmp_path: Path) -> None:
    """Those that accept for another one do it as they do for themselves."""
    files = Certificates.make(tmp_path)
    settings = f"workers=2, ssl_certfile={str(files.certificate)!r}, ssl_keyfile={str(files.key)!r}"
    trusted = ssl.create_default_context(cafile=str(files.ca))
    async with house(tmp_path, PROGRAM.replace("workers=2", settings)) as there:
        assert any("https://127.0.0.1" in line for line in there.process.out)

        async def serving() -> int:
            options: dict[str, Any] = {"ssl": trusted, "transports": ["websocket"]}
            async with Client(f"https://127.0.0.1:{there.port}", **options) as client:
                pid: int = (await client.emit_with_ack("who", timeout=20))[0]
                return pid

        found: set[int] = set()
        while len(found) < 2:
            found.add(await serving())
        killed, other = found
        os.kill(killed, signal.SIGKILL)
        for _ in range(8):
            assert await serving() != killed
        assert other in there.workers


async def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        workers = there.workers
        peer, _, _ = await there.enter()
        folder = Path((await ask(peer, "hub")).partition(" at ")[2]).parent
        assert folder.exists()
        os.kill(there.parent, signal.SIGKILL)
        await peer.closed()
        await until(lambda: not any(map(alive, workers)), "they end")
        assert not folder.exists(), "the hub's folder is left over"


async def test_one_that_hangs_is_killed_at_the_end(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        peer, pid, _ = await there.enter()
        await peer.send('42["hang"]')
        assert await stop(there, signal.SIGTERM) < 25
        assert not alive(pid)
        assert there.process.wait() == 0
        assert there.log("does not end, and is killed")


async def test_an_impatient_user(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        peer, pid, _ = await there.enter()
        await peer.send('42["hang"]')
        began = time.monotonic()
        there.process.interrupt()
        await asyncio.sleep(0)
        while there.process.running:
            there.process.interrupt()
            await asyncio.sleep(0.05)
        assert time.monotonic() - began < 7
        assert not alive(pid)
        assert "Traceback" not in str(there.process)


async def test_one_that_dies_again_and_again_is_started_ever_less_often(tmp_path: Path) -> None:
    """Once somebody has come up, nobody gives up."""
    async with house(tmp_path) as there:
        write(tmp_path, "import os; os._exit(3)")
        (_, pid, _), (other, *_rest) = await there.enter(), there.workers
        os.kill(pid, signal.SIGKILL)
        await until(
            lambda: there.log("ended with exit code 3; another is started in 0.25 s"), str(there.process)
        )
        for _ in range(5):
            assert (await there.enter())[1] != pid
        write(tmp_path, SERVER)
        await there.enter_each()
        del other


async def test_io_close_ends_the_worker_and_another_comes(tmp_path: Path) -> None:
    source = PROGRAM.replace('socket.join("all")', 'socket.join("all"); socket.on("end", io.close)')
    async with house(tmp_path, source) as there:
        peer, pid, _ = await there.enter()
        await peer.send('42["end"]')
        await until(lambda: not alive(pid), "it ends")
        await until(lambda: there.log("ended with exit code 0; another is started"), str(there.process))
        assert pid not in await there.enter_each()


# --- where it cannot work -----------------------------------------------------------------------


def failing(folder: Path, source: str) -> str:
    write(folder, source)
    with command("chat.py", cwd=folder) as process:
        assert process.wait() == 1
        return str(process)


def test_a_program_that_fails_in_its_workers_is_told_once(tmp_path: Path) -> None:
    source = PROGRAM.replace("VERSION = 1", "'SOCKETEER_WORKER' in os.environ and 1/0")
    said = failing(tmp_path, source)
    assert said.count("ZeroDivisionError") == 1
    assert "no worker came up: worker 1 ended with exit code 1 before it served" in said


def test_a_program_that_does_not_come_to_the_call_is_told(tmp_path: Path) -> None:
    source = PROGRAM.replace(
        "VERSION = 1", "NAME = 'worker' if 'SOCKETEER_WORKER' in os.environ else '__main__'"
    )
    said = failing(tmp_path, source.replace('== "__main__"', "== NAME"))
    assert (
        "no worker came up: worker 1 ended with exit code 0 before it served: the program is run once" in said
    )


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "Address already in use" in failing(tmp_path, PROGRAM.replace("port=0", f"port={port}"))


def test_recovery_within_a_process_is_refused(tmp_path: Path) -> None:
    source = PROGRAM.replace("Server()", "Server(connection_state_recovery=True)")
    said = failing(tmp_path, source)
    for each in ("connection_state_recovery", "adapter=", "workers"):
        assert each in said
    assert "worker 1" not in said


def test_an_interactive_session_is_refused() -> None:
    with command("-", stdin=-1) as process:
        process.write("from socketeer import Server; Server().run(workers=2)")
        process._popen.stdin.close()  # type: ignore[union-attr]
        process._popen.stdin = None
        assert process.wait() == 1
        assert "UsageError: workers: each worker runs the program once more" in str(process)


def test_settings_that_workers_cannot_share_are_refused(tmp_path: Path) -> None:
    assert "uds: workers share a host and a port" in failing(
        tmp_path, PROGRAM.replace("workers=2", "workers=2, uds='x'")
    )


async def test_an_adapter_of_its_own_stays_and_is_mentioned_where_it_reaches_nobody(tmp_path: Path) -> None:
    source = SERVER.replace(
        "io = Server()",
        "from socketeer.adapters import MemoryAdapter\n"
        "    class Mine(MemoryAdapter): pass\n"
        "    io = Server(adapter=Mine)",
    )
    async with house(tmp_path, source) as there:
        said = "Mine reaches the clients of this worker only"
        await until(lambda: len(there.log(said)) == 2, str(there.process))
        assert {line.partition("[")[2][:8] for line in there.log("Mine reaches")} == {"worker 1", "worker 2"}


@pytest.mark.parametrize("workers", [0, -1, True, 2.0, "2"])
def test_what_is_no_number_of_workers_is_refused(workers: object) -> None:
    with pytest.raises(OptionError, match="workers: expected a whole number, 1 or more"):
        Plan(workers, ["true"], "localhost", 0)  # type: ignore[arg-type]
