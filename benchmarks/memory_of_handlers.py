"""What handlers cost in memory for each connection, in the three forms in which they can be written.

    python benchmarks/memory_of_handlers.py [--connections 2000]

In one process, without a network: real servers, namespaces, sessions and sockets, above a WebSocket that
takes what is sent and forgets it. Counted is what Python allocates (tracemalloc) for each connection; the
buffers of the kernel and of a real transport are the same for all forms, and not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from typing import Any, cast

from socketeer import Namespace, Server, Socket
from socketeer.engine.http.message import Request
from socketeer.engine.session import Session

COUNTS = (0, 1, 10, 50)


class Void:
    """A WebSocket to nobody."""

    __slots__ = ("receiver",)

    receiver: Any

    def send(self, message: Any) -> None: ...

    def writable(self) -> bool:
        return True

    def held(self) -> int:
        return 0

    async def drained(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


def per_socket(io: Server, count: int) -> None:
    """``socket.on`` in the connection handler: a function, its closure and a row of the table for each socket."""
    if count == 0:
        return

    @io.on("connection")
    def connection(socket: Socket) -> None:
        for number in range(count):

            @socket.on(f"event {number}")
            def handler(text: str) -> None:
                socket.emit("answer", text)


def per_namespace(io: Server, count: int) -> None:
    """``@io.event``: one function for all sockets."""
    for number in range(count):

        @io.event(f"event {number}")
        def handler(socket: Socket, text: str) -> None:
            socket.emit("answer", text)


def per_class(io: Server, count: int) -> None:
    """``class Chat(Namespace)``: one method for all sockets."""

    def method(self: Namespace, socket: Socket, text: str) -> None:
        socket.emit("answer", text)

    methods = {f"on_event_{number}": method for number in range(count)}
    chat = cast(Callable[[str], Namespace], type("Chat", (Namespace,), methods))
    io.register_namespace(chat("/"))


FORMS = {"socket.on": per_socket, "@io.event": per_namespace, "class Chat(Namespace)": per_class}


def measure(form: Callable[[Server, int], None], count: int, connections: int) -> float:
    """Bytes for each connection."""
    io = Server()
    form(io, count)
    connect(io, 1)  # what is made once, for all of them, is made
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    held = connect(io, connections)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(io.sockets.sockets) == len(held) + 1
    return (after - before) / connections


def connect(io: Server, connections: int) -> list[Session]:
    """As many clients in the main namespace."""
    sessions = []
    for _ in range(connections):
        carrier = Void()
        headers = [("host", "localhost:3000")]
        request = Request(
            "GET", "/socket.io/", "EIO=4&transport=websocket", headers, "127.0.0.1", secure=False
        )
        io.engine.open_websocket(request, None, carrier)
        carrier.receiver.receive_text(b"40")
        sessions.append(carrier.receiver)
    return sessions


async def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=2000)
    connections = parser.parse_args().connections
    print(f"Bytes for each of {connections:,} connections, with as many handlers:\n")
    print("| form | " + " | ".join(map(str, COUNTS)) + " |")
    print("|---|" + "---:|" * len(COUNTS))
    for name, form in FORMS.items():
        row = [f"{measure(form, count, connections):,.0f}" for count in COUNTS]
        print(f"| `{name}` | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
