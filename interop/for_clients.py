"""``python -m interop.for_clients PROFILE PORT``: what ``reference/for_clients.mjs`` is, by our own server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from functools import partial
from typing import Any

from interop.server_handlers import attach
from socketeer import Ack, ConnectionRefused, Server, Socket
from socketeer.protocol.frame import Message

PROFILES: dict[str, dict[str, Any]] = {
    "default": {},
    "msgpack": {"parser": "msgpack"},
    "heartbeat": {"ping_interval": 0.15, "ping_timeout": 0.25},
    "recovery": {"connection_state_recovery": True},
}

notes: defaultdict[str, list[Any]] = defaultdict(list)
"""What has been noted, by key, whichever connection it came over."""


def for_clients(io: Server, socket: Socket) -> None:
    attach(socket, lambda *_, **__: None)

    @socket.on("note")
    def note(key: str, value: Any) -> Any:
        notes[key].append(value)
        return value

    @socket.on("noted")
    def noted(key: str) -> list[Any]:
        return notes[key]

    @socket.on("note reluctantly")
    def note_reluctantly(key: str, value: Any, times: int, ack: Ack) -> None:
        notes[key].append(value)
        if notes[key].count(value) >= times:
            ack(value)

    @socket.on("note and leave")
    def note_and_leave(key: str, value: Any, ack: Ack) -> None:
        notes[key].append(value)
        socket.conn.close()

    @socket.on("garbage")
    def garbage() -> None:
        socket.conn.send(Message(b"4garbage"))

    @socket.on("to all")
    def to_all(event: str, *args: Any) -> None:
        io.of(socket.nsp.name).emit(event, *args)

    @socket.on("once told")
    def once_told(ack: Ack) -> None:
        notes[socket.id].append(ack)

    @socket.on("tell")
    def tell(id_: str) -> None:
        for ack in notes[id_]:
            ack("late")


def make(profile: str) -> Server:
    io = Server(**PROFILES[profile])
    for name in ("/", "/other", "/third", "/secret"):
        io.of(name).on("connection", partial(for_clients, io))

    @io.of("/secret").use
    def check(socket: Socket) -> None:
        token = socket.handshake.auth.get("token")
        if token != "s3cret":
            raise ConnectionRefused("wrong token", data={"code": 4001, "given": token})

    @io.of("/eager").use
    async def early(socket: Socket) -> None:
        for number in range(3):
            socket.emit("early", number, bytes([number]))
        await asyncio.sleep(0.02)

    @io.of("/eager").on("connection")
    def welcome(socket: Socket) -> None:
        socket.emit("early", 3, b"\x03")

    return io


def say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    make(sys.argv[1]).run(port=int(sys.argv[2]), ready=lambda url: say({"url": url}))
