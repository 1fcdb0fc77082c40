"""python-socketio on uvicorn with uvloop and httptools: its fastest common set-up, options at their defaults.

It has no validation of its own; msgspec's is the fastest that its users would add.
"""

import sys
from typing import Any

import collect
import msgspec
import socketio
import uvicorn
from order import Order

io = socketio.AsyncServer(async_mode="asgi")


@io.event
async def echo(sid: str, payload: Any) -> None:
    await io.emit("echo", payload, to=sid)


@io.event
async def typed(sid: str, payload: Any) -> None:
    order = msgspec.convert(payload, Order)
    await io.emit("typed", msgspec.to_builtins(order), to=sid)


@io.event
async def bcast(sid: str, text: str) -> None:
    await io.emit("bcast", text)


def with_rooms() -> None:
    @io.event
    async def join(sid: str, prefix: str, count: int) -> None:
        for number in range(count):
            await io.enter_room(sid, f"{prefix}{number}")
        await io.emit("joined", (prefix, count), to=sid)

    @io.event
    async def leave(sid: str, prefix: str, count: int) -> None:
        for number in range(count):
            await io.leave_room(sid, f"{prefix}{number}")
        await io.emit("left", (prefix, count), to=sid)

    @io.event
    async def shout(sid: str, room: str, text: str) -> None:
        await io.emit("shout", (room, text), to=room)


collect.on_signal()
if "rooms" in sys.argv[2:]:
    with_rooms()
uvicorn.run(
    socketio.ASGIApp(io),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    loop="uvloop",
    http="httptools",
    log_level="warning",
)
