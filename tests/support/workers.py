"""Servers with workers as processes, and clients that find out who serves them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.support.command import DEADLINE, Command, command, port_of, socketeer
from tests.support.peers import WebSocket

SERVER = """
    import asyncio, os
    from socketeer import Server

    VERSION = 1
    io = Server()

    @io.on("connection")
    def connection(socket):
        socket.join("all")
        socket.on("who", lambda: [os.getpid(), VERSION])
        socket.on("hub", lambda: io.adapter.health.name)
        socket.on("say", lambda *words: [io.to("all").emit("said", *words), None][1])
        socket.on("disconnect", lambda reason: os.write(1, f"gone {socket.id} {reason}\\n".encode()))

        @socket.on("all")
        async def all_ids():
            return sorted(each.id for each in await io.fetch_sockets())

        @socket.on("hang")
        def hang():
            import time
            time.sleep(100)
"""

PROGRAM = (
    SERVER
    + """
    if __name__ == "__main__":
        io.run(port=0, workers=2, ready=lambda url: print("listens on", url, flush=True))
        print("after the end", flush=True)
"""
)


def write(folder: Path, source: str, name: str = "chat.py") -> None:
    (folder / name).write_text(dedent(source), encoding="utf-8")


async def ask(peer: WebSocket, event: str, *values: Any) -> Any:
    """The answer to an event; what comes before it is passed over."""
    await peer.send(f"429{json.dumps([event, *values])}")
    while not str(reply := await peer.message()).startswith("39["):
        pass
    return json.loads(str(reply)[2:])[0]


async def hear(peer: WebSocket) -> list[Any]:
    """The next event."""
    while not str(heard := await peer.message()).startswith("2["):
        pass
    found: list[Any] = json.loads(str(heard)[1:])
    return found


async def until(met: Any, what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not met():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has asked about yet has."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def children(pid: int) -> set[int]:
    """The processes that a process has started."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return {int(each) for each in text.split()}
    return set()


class House:
    """A parent with its workers, and the clients of a test.

    Attributes:
        process: the parent.
        port: where it listens.
    """

    def __init__(self, process: Command, port: int) -> None:
        self.process = process
        self.port = port
        self.peers: list[WebSocket] = []

    @property
    def parent(self) -> int:
        return self.process._popen.pid

    @property
    def workers(self) -> set[int]:
        return children(self.parent)

    async def enter(self) -> tuple[WebSocket, int, int]:
        """A client, the process that serves it, and the version of that one's code."""
        peer = await WebSocket.open(self.port)
        self.peers.append(peer)
        await peer.connect()
        pid, version = await ask(peer, "who")
        return peer, pid, version

    async def enter_each(self, count: int = 2) -> dict[int, WebSocket]:
        """One client of each worker."""
        found: dict[int, WebSocket] = {}
        end = time.monotonic() + DEADLINE
        while len(found) < count:
            assert time.monotonic() < end, f"expected {count} workers, found {found.keys()}; {self.process}"
            peer, pid, _ = await self.enter()
            if pid not in found:
                found[pid] = peer
            else:
                await peer.bye()
        return found

    def log(self, text: str) -> list[str]:
        return [line for line in self.process.err if text in line]


@asynccontextmanager
async def house(
    folder: Path, source: str = SERVER, *, workers: int = 2, options: tuple[str, ...] = ()
) -> AsyncIterator[House]:
    """`socketeer run chat:io --workers`, or the program itself where it calls `io.run`."""
    write(folder, source)
    if "io.run" in source:
        running = command("chat.py", cwd=folder)
    else:
        running = socketeer("run", "chat:io", "--port", "0", "--workers", str(workers), *options, cwd=folder)
    with running as process:
        port = port_of(await asyncio.to_thread(process.wait_for, "listens on"))
        house = House(process, port)
        found = house.workers
        try:
            yield house
        finally:
            for peer in house.peers:
                peer.wire.close()
            found |= house.workers
            process.kill()
            await until(lambda: not any(alive(pid) for pid in found), f"a worker is left over: {found}")
