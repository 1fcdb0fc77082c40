"""python-socketio on uvicorn with uvloop and httptools: its fastest common set-up, options at their defaults."""

import sys

import socketio
import uvicorn

io = socketio.AsyncServer(async_mode="asgi")


@io.event
async def echo(sid: str, text: str) -> None:
    await io.emit("echo", text, to=sid)


@io.event
async def bcast(sid: str, text: str) -> None:
    await io.emit("bcast", text)


uvicorn.run(
    socketio.ASGIApp(io),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    loop="uvloop",
    http="httptools",
    log_level="warning",
)
