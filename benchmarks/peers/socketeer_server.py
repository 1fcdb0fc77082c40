"""Socketeer, through its public names only and with every option at its default.

    socketeer_server.py PORT [rooms]

With `rooms`, clients may join and leave rooms; other works have no handler that they do not need.
"""

import sys
from typing import Any

import collect
from order import Order

from socketeer import Server, Socket

io = Server()


# Any, not str: an annotation would have the payload validated, which no peer does.
@io.event
def echo(socket: Socket, payload: Any) -> None:
    socket.emit("echo", payload)


@io.event
def typed(socket: Socket, order: Order) -> None:
    socket.emit("typed", order)


@io.event
def bcast(socket: Socket, text: Any) -> None:
    io.emit("bcast", text)


def with_rooms() -> None:
    @io.event
    def join(socket: Socket, prefix: Any, count: Any) -> None:
        socket.join([f"{prefix}{number}" for number in range(count)])
        socket.emit("joined", prefix, count)

    @io.event
    def leave(socket: Socket, prefix: Any, count: Any) -> None:
        for number in range(count):
            socket.leave(f"{prefix}{number}")
        socket.emit("left", prefix, count)

    @io.event
    def shout(socket: Socket, room: Any, text: Any) -> None:
        io.to(room).emit("shout", room, text)


collect.on_signal()
if "rooms" in sys.argv[2:]:
    with_rooms()
io.run(host="127.0.0.1", port=int(sys.argv[1]))
