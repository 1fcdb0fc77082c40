"""What the tests put behind each web server: Socket.IO beside another application.

As a module it is run by `io.run`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from socketeer import Server, Socket

io = Server()


@io.on("connection")
def connection(socket: Socket) -> None:
    @socket.on("echo")
    def echo(*values: Any) -> tuple[Any, ...]:
        return values

    @socket.on("later")
    async def later(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    @socket.on("bye")
    def bye(close: bool) -> None:
        socket.disconnect(close)

    @socket.on("transport")
    def transport() -> str:
        return socket.conn.transport.name

    @socket.on("flood")
    def flood(count: int, size: int) -> None:
        for number in range(count):
            socket.emit("drop", number, "x" * size)


async def other(scope: Any, receive: Any, send: Any) -> None:
    """The application beside ours: a page, and a WebSocket that answers in capitals."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"other"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            if event.get("text") is None:
                await send({"type": "websocket.send", "bytes": event["bytes"][::-1]})
            elif event["text"] == "close":
                await send({"type": "websocket.close", "code": 4001})
                return
            else:
                await send({"type": "websocket.send", "text": event["text"].upper()})
    else:
        await lifespan(receive, send)


async def lifespan(receive: Any, send: Any) -> None:
    while True:
        event = await receive()
        sys.stdout.write(f"{event['type']}\n")
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


app = io.asgi(other)


def main() -> None:
    if sys.argv[1:] == ["serve"]:  # on asyncio's own loop, within a program of one's own
        asyncio.run(io.serve(port=0, app=other, ready=print))
    else:
        io.run(port=0, app=other, ready=print)
    sys.stdout.write("after the end\n")


if __name__ == "__main__":
    main()
