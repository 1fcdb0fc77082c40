"""A server to be put behind every web server: it echoes, and writes down why its clients go."""

from __future__ import annotations

from typing import Any

from socketeer import Server, Socket


def echo_server(**options: Any) -> Server:
    """A server with an `echo`, that writes down why its sockets go."""
    io = Server(**options)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("echo", lambda *args: args)
        socket.on("disconnect", lambda reason: reasons(io).append(reason))

    return io


def reasons(io: Server) -> list[str]:
    """Why sockets have gone, in order."""
    found: list[str] = vars(io).setdefault("reasons", [])
    return found
