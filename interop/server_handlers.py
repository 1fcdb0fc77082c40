"""What every socket of our server answers to; the same as ``reference/handlers.mjs``, by Socketeer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from socketeer import Ack, Socket

Note = Callable[..., None]
"""``note(kind, **detail)`` writes to the log that scenarios follow."""

CaughtUp = Callable[[Socket], Awaitable[None]]
"""Waits until what other servers have sent to this socket has come; only where there are several."""


def attach(socket: Socket, note: Note, caught_up: CaughtUp | None = None) -> None:
    note("connection")
    life(socket, note)
    events(socket, note)
    listening(socket, note)
    acknowledgements(socket, caught_up)
    asking(socket, note)
    rooms(socket)
    many(socket)
    flags(socket)


def operator(socket: Socket, spec: dict[str, Any]) -> Any:
    """The emitter that a scenario describes: {via, broadcast, to, in, except, volatile, local, compress, timeout}."""
    return aimed(socket if spec.get("via") == "socket" else socket.nsp, spec)


def aimed(target: Any, spec: dict[str, Any]) -> Any:
    """The emitter that has the rooms and flags of ``spec``."""
    for flag in ("broadcast", "local", "volatile"):
        if spec.get(flag):
            target = getattr(target, flag)
    if "compress" in spec:
        target = target.compress(spec["compress"])
    for verb, key in (("to", "to"), ("in_", "in"), ("except_", "except")):
        for room in spec.get(key, ()):
            target = getattr(target, verb)(room)
    if "timeout" in spec:
        target = target.timeout(spec["timeout"] / 1000)
    return target


def life(socket: Socket, note: Note) -> None:
    @socket.on("disconnecting")
    def disconnecting(reason: str) -> None:
        note("disconnecting", reason=reason, rooms=list(socket.rooms))

    @socket.on("disconnect")
    def disconnect(reason: str) -> None:
        note("disconnect", reason=reason, rooms=list(socket.rooms), connected=socket.connected)

    @socket.on("error")
    def error(raised: Exception) -> None:
        note("error", message=str(raised), data=getattr(raised, "data", None))

    @socket.on("describe")
    def describe() -> dict[str, Any]:
        return {
            "id": socket.id,
            "nsp": socket.nsp.name,
            "connected": socket.connected,
            "recovered": socket.recovered,
            "rooms": list(socket.rooms),
            "data": socket.data,
            "conn": socket.conn.id,
            "transport": socket.conn.transport.name,
        }

    @socket.on("handshake")
    def handshake() -> dict[str, Any]:
        shown = socket.handshake
        return {
            "headers": dict(shown.headers),
            "query": dict(shown.query),
            "auth": shown.auth,
            "address": shown.address,
            "secure": shown.secure,
            "url": shown.url,
            "time": "string" if isinstance(shown.time, str) else type(shown.time).__name__,
        }

    @socket.on("data")
    def data(patch: dict[str, Any]) -> dict[str, Any]:
        socket.data.update(patch)
        return socket.data

    @socket.on("other data")
    def other_data(data: dict[str, Any]) -> dict[str, Any]:
        socket.data = data
        return socket.data

    @socket.on("disconnect_me")
    def disconnect_me(close: bool) -> None:
        socket.disconnect(close)

    @socket.on("close_connection")
    def close_connection() -> None:
        socket.conn.close()


def events(socket: Socket, note: Note) -> None:
    @socket.on("echo")
    def echo(*args: Any) -> None:
        socket.emit("echo", *args)

    @socket.on("message")
    def message(*args: Any) -> None:
        socket.send(*args)

    @socket.on("first only")
    def first_only(first: Any) -> None:
        socket.emit("first only", first)

    @socket.on("slow")
    async def slow(name: str, ms: float) -> None:
        note("started", name=name)
        await asyncio.sleep(ms / 1000)
        socket.emit("slow done", name)

    @socket.on("raise")
    def fail(message: str) -> None:
        raise RuntimeError(message)

    @socket.on("emit reserved")
    def emit_reserved(name: str) -> bool:
        try:
            socket.emit(name)
        except ValueError:
            return True
        return False

    @socket.on("burst")
    def burst(event: str, count: int, make_binary: bool = False) -> None:
        for i in range(count):
            socket.emit(event, i, *([bytes([i % 256])] if make_binary else []))

    @socket.on("stream")
    async def stream(event: str, count: int) -> None:
        for i in range(count):
            socket.emit(event, i)
            if i % 5 == 4:
                await asyncio.sleep(0.001)


def listening(socket: Socket, note: Note) -> None:
    @socket.once("once")
    def once(value: Any) -> None:
        socket.emit("once", value)

    @socket.on("removable")
    def removable() -> None:
        socket.emit("removable")

    @socket.on("remove")
    def remove() -> None:
        socket.off("removable", removable)

    @socket.on("listen to")
    def listen_to(names: list[str]) -> None:
        def listener(name: str) -> Callable[..., None]:
            return lambda *args: note("heard", event=name, args=args)

        for name in names:
            socket.on(name, listener(name))

    @socket.on("listen in order")
    def listen_in_order() -> list[int]:
        def step(name: str) -> Callable[[str], None]:
            return lambda event: note("step", step=name) if event == "ordered" else None

        socket.on_any(step("second"))
        socket.prepend_any(step("first"))
        socket.on_any(step("third"))
        socket.use(lambda args: step("middleware")(args[0]))
        socket.on("ordered", lambda: note("step", step="handler"))
        socket.prepend("ordered", lambda: note("step", step="handler in front"))
        socket.prepend_once("ordered", lambda: note("step", step="once, before that"))
        socket.on_any_outgoing(step("out second"))
        socket.prepend_any_outgoing(step("out first"))
        return [
            len(socket.listeners_any()),
            len(socket.listeners_any_outgoing()),
            socket.listener_count("ordered"),
        ]

    @socket.on("answer any")
    def answer_any() -> None:
        @socket.on_any
        def answer(event: str, *args: Any, ack: Ack) -> None:
            if event == "answered by any":
                ack(*args, "from the catch-all")

    @socket.on("listen to any")
    def listen_to_any() -> None:
        def incoming(event: str, *args: Any) -> None:
            note("any", event=event, args=args)

        def outgoing(event: str, *args: Any) -> None:
            note("any outgoing", event=event, args=args)

        socket.on_any(incoming)
        socket.on_any_outgoing(outgoing)

        @socket.once("stop listening")
        def stop_listening() -> None:
            socket.off_any(incoming)
            socket.off_any_outgoing(outgoing)


def acknowledgements(socket: Socket, caught_up: CaughtUp | None) -> None:
    attempts: Counter[str] = Counter()

    @socket.on("ack")
    async def ack(*args: Any) -> Any:
        if caught_up is not None and args == ("fence",):
            await caught_up(socket)
        return args  # a tuple is several values

    @socket.on("silent")
    def silent(ack: Ack) -> None:
        """An acknowledgement in the handler's own hands, which it never gives."""

    @socket.on("ack twice")
    def ack_twice(ack: Ack) -> None:
        ack("first")
        ack("second")

    @socket.on("ack later")
    async def ack_later(ms: float, value: Any) -> Any:
        await asyncio.sleep(ms / 1000)
        return value

    @socket.on("unreliable")
    def unreliable(key: str, ack: Ack) -> None:
        attempts[key] += 1
        if attempts[key] > 1:
            ack(attempts[key])


def asking(socket: Socket, note: Note) -> None:
    @socket.on("ask")
    async def ask(event: str, ms: float, args: list[Any]) -> dict[str, Any]:
        try:
            return {"value": await socket.timeout(ms / 1000).emit_with_ack(event, *args)}
        except TimeoutError as error:
            return {"error": str(error)}

    @socket.on("ask and log")
    async def ask_and_log(event: str, ms: float) -> None:
        try:
            value = await socket.timeout(ms / 1000).emit_with_ack(event)
        except (TimeoutError, ConnectionError):
            note("asked", failed=True, value=None)
        else:
            note("asked", failed=False, value=value)

    @socket.on("ask many")
    async def ask_many(spec: dict[str, Any], event: str, args: list[Any]) -> dict[str, Any]:
        try:
            return {"responses": await operator(socket, spec).emit_with_ack(event, *args)}
        except TimeoutError as error:
            return {"error": str(error), "responses": getattr(error, "responses", None)}


def rooms(socket: Socket) -> None:
    @socket.on("join")
    def join(names: str | list[str]) -> list[str]:
        socket.join(names)
        return list(socket.rooms)

    @socket.on("leave")
    def leave(name: str) -> list[str]:
        socket.leave(name)
        return list(socket.rooms)

    @socket.on("follow rooms")
    def follow_rooms() -> None:
        """From now on until "what of rooms", which gives what has been told."""
        told: list[list[str]] = []
        adapter = socket.nsp.adapter
        events = ("create-room", "join-room", "leave-room", "delete-room")
        listeners = {
            event: adapter.on(event, lambda *args, event=event: told.append([event, *args]))
            for event in events
        }

        @socket.once("what of rooms")
        def what_of_rooms() -> list[list[str]]:
            for event, listener in listeners.items():
                adapter.off(event, listener)
            return told

    @socket.on("relay")
    def relay(spec: dict[str, Any], event: str, *args: Any) -> None:
        operator(socket, spec).emit(event, *args)


def many(socket: Socket) -> None:
    @socket.on("fetch")
    async def fetch(spec: dict[str, Any]) -> list[dict[str, Any]]:
        found = await operator(socket, spec).fetch_sockets()
        return [{"id": each.id, "rooms": list(each.rooms), "data": each.data} for each in found]

    @socket.on("make join")
    async def make_join(spec: dict[str, Any], names: str | list[str]) -> None:
        await operator(socket, spec).sockets_join(names)

    @socket.on("make leave")
    async def make_leave(spec: dict[str, Any], names: str | list[str]) -> None:
        await operator(socket, spec).sockets_leave(names)

    @socket.on("make disconnect")
    async def make_disconnect(spec: dict[str, Any], close: bool) -> None:
        await operator(socket, spec).disconnect_sockets(close)


def flags(socket: Socket) -> None:
    @socket.on("volatile")
    def volatile(event: str) -> None:
        socket.volatile.emit(event, "volatile")
        socket.emit(event, "regular")

    @socket.on("large")
    def large(compress: bool, size: int) -> None:
        socket.compress(compress).emit("large", "x" * size)
