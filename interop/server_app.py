"""``python -m interop.server_app <profile> [url key] [workers]``: the server side of the scenarios, by Socketeer.

With the URL of a Redis and a key, it is one of several servers; with a number, it has so many workers.

The same server by the official implementation is ``reference/server.mjs``. Each line on stdout is a JSON
document: first ``{"url": ...}``, then what the server sees, entry by entry. The same entries go to whoever is
connected to the namespace ``/control``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from interop.profiles import PROFILES
from interop.server_handlers import aimed, attach
from socketeer import Ack, ConnectionRefused, Namespace, Server, Socket, event
from socketeer.adapters import RedisAdapter, RedisStreamsAdapter
from socketeer.server.dynamic import ParentNamespace


class Log:
    """What the server sees, told to stdout and to the scenario that watches."""

    def __init__(self, io: Server) -> None:
        self.io = io
        self.control = io.of("/control")

    def write(self, kind: str, tag: str | None, **detail: Any) -> None:
        entry = {"kind": kind, "tag": tag, "node": os.getpid(), **detail}
        say(entry)
        self.control.emit("log", entry)

    def welcome(self, socket: Socket) -> None:
        """The connection handler of every namespace."""

        def note(kind: str, **detail: Any) -> None:
            self.write(kind, tag_of(socket), id=socket.id, nsp=socket.nsp.name, **detail)

        attach(socket, note, self.caught_up)

    async def caught_up(self, socket: Socket) -> None:
        """What other servers have published up to now has come here, and what comes next is behind it."""
        if self.io.adapter.capabilities.cluster:
            await self.io.server_side_emit_with_ack("catch up")
            # Over a log, what is sent waits behind this server's own entries, as these do behind the others'.
            nsp: Any = socket.nsp
            nsp.to(f"nobody but {socket.id}").emit("caught up")

    def order(self, name: str, act: Callable[..., list[str]]) -> None:
        """What a scenario can have the server do, or each of several; they answer together."""
        self.control.on(name, act)

        @self.control.on("connection")
        def connection(socket: Socket) -> None:
            @socket.on(name)
            async def ordered(*args: Any) -> list[str]:
                answers = await self.control.server_side_emit_with_ack(name, *args)
                return sorted({*act(*args), *chain(*answers)})


def say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def tag_of(socket: Socket) -> str | None:
    """What marks the run of a scenario to which a socket belongs."""
    return socket.handshake.query.get("tag")


def control(io: Server, log: Log) -> None:
    @log.control.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("ack")
        async def ack() -> None:
            await log.caught_up(socket)

        @socket.on("close_server")
        async def close_server() -> None:
            await io.close()

        @socket.on("interrupt")
        def interrupt() -> None:
            os.kill(os.getpid(), signal.SIGINT)

    def polled(sid: str) -> list[str]:
        session = io.engine.sessions.get(sid)
        return [sid] if session is not None and session.writable() else []

    log.order("polled", polled)


def engine_events(io: Server, log: Log) -> None:
    @io.engine.on("connection_error")
    def connection_error(error: Any) -> None:
        name = error.context.get("name")
        tag = error.request.query.get("tag")
        log.write("connection_error", tag, code=error.code, message=error.message, context={"name": name})

    @io.engine.on("connection")
    def connection(session: Any) -> None:
        tag = session.request.query.get("tag")
        session.on("upgrade", lambda transport: log.write("upgrade", tag, to=transport.name))

    @io.engine.on("initial_headers")
    def initial_headers(headers: dict[str, str], request: Any) -> None:
        headers["x-first-answer"] = "yes"

    @io.engine.on("headers")
    def headers(headers: dict[str, str], request: Any) -> None:
        headers["x-every-answer"] = "yes"


def secret(io: Server, log: Log) -> None:
    """Refuses with a message and data unless the token is right; the second middleware sees what the first left."""
    namespace = io.of("/secret")

    @namespace.use
    def first(socket: Socket) -> None:
        socket.join(f"{tag_of(socket)}-refused")
        socket.data["steps"] = ["first"]
        token = socket.handshake.auth.get("token")
        if not token:
            raise ConnectionRefused("not authorized")
        if token != "s3cret":
            raise ConnectionRefused("wrong token", data={"code": 4001, "hints": ["spelling", {"case": True}]})

    @namespace.use
    async def second(socket: Socket) -> None:
        await asyncio.sleep(0.005)
        socket.data["steps"].append("second")

    namespace.on("connection", log.welcome)


def eager(io: Server, log: Log) -> None:
    """Emits before the client's connection is confirmed, and again as the first thing after."""
    namespace = io.of("/eager")

    @namespace.use
    def early(socket: Socket) -> None:
        socket.emit("early", "from the middleware")

    @namespace.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("early", "from the connection handler")
        log.welcome(socket)


def checked(io: Server, log: Log) -> None:
    """A middleware of the socket: looks at every event and refuses one name."""

    @io.of("/checked").on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        def check(args: list[Any]) -> None:
            event, *rest = args
            log.write("checked", tag_of(socket), event=event, args=rest)
            if event == "forbidden":
                raise ConnectionRefused("this event is forbidden", data={"event": event})

        @socket.on("forbidden")
        def forbidden() -> None:
            log.write("passed", tag_of(socket))

        log.welcome(socket)


class Classroom(Namespace):
    """Handlers as methods."""

    def __init__(self, log: Log) -> None:
        super().__init__("/classroom")
        self.log = log

    def note(self, kind: str, socket: Socket, **detail: Any) -> None:
        self.log.write(kind, tag_of(socket), id=socket.id, **detail)

    def on_connection(self, socket: Socket) -> None:
        self.note("enters", socket, present=socket.id in self.sockets)

    def on_disconnecting(self, socket: Socket, reason: str) -> None:
        self.note("leaving", socket, reason=reason, rooms=list(socket.rooms))

    def on_disconnect(self, socket: Socket, reason: str) -> None:
        self.note("left", socket, reason=reason, rooms=list(socket.rooms))

    @event("say aloud")
    def say(self, socket: Socket, text: str, room: str) -> tuple[str, int]:
        socket.join(room)
        self.to(room).emit("said", text)
        return "heard", len(text)

    async def on_later(self, socket: Socket, value: Any) -> Any:
        await asyncio.sleep(0.005)
        return value

    def on_by_hand(self, socket: Socket, ack: Ack) -> None:
        ack("once")
        ack("twice")

    def on_shared(self, socket: Socket) -> str:
        return "the class"

    def on_binary(self, socket: Socket, data: bytes) -> bytes:
        return data

    def on_go(self, socket: Socket) -> None:
        socket.disconnect()


def dynamic(io: Server, log: Log) -> None:
    """Namespaces made when they are asked for: by patterns, whose middleware they inherit, and by functions."""

    def inherited(socket: Socket) -> None:
        socket.data["parent"] = True
        if socket.handshake.auth.get("refuse"):
            raise ConnectionRefused("refused by the parent's middleware")

    def tenant(name: str, auth: dict[str, Any]) -> bool:
        if name.startswith("/broken-"):
            raise LookupError("this function fails")
        return name.startswith("/tenant-") and auth.get("member") is True

    async def later(name: str, auth: dict[str, Any]) -> bool:
        tag = name.rpartition("-")[2]
        log.write("asked", tag, auth=auth)
        await (gates[tag].wait() if name.startswith("/held-") else asyncio.sleep(0.02))
        return name.startswith(("/later-", "/held-")) and auth.get("member") is not False

    gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
    parent = io.of(re.compile(r"^/dynamic-\w+$"))
    parent.use(inherited)
    parent.on("connection", log.welcome)
    io.of(tenant).on("connection", log.welcome)
    # Overlaps with the pattern above it, and takes what the function above it has failed on.
    io.of(re.compile(r"^/(dynamic|broken)-"), log.welcome)
    io.of(later).on("connection", log.welcome)
    orders(io, log, parent, gates)


def orders(io: Server, log: Log, parent: ParentNamespace, gates: Mapping[str, asyncio.Event]) -> None:
    """What a scenario can have the server do to the parent."""
    added: set[str] = set()

    @log.control.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("emit_to_parent")
        def emit_to_parent(spec: dict[str, Any], event: str, value: Any) -> None:
            aimed(parent, spec).emit(event, value)

        @socket.on("add_to_parent")
        def add_to_parent(tag: str) -> None:
            """Once in each run, after its first child has been made."""
            if tag not in added:
                added.add(tag)
                parent.on("connection", lambda one: log.write("added later", tag, nsp=one.nsp.name))

    def release(tag: str) -> list[str]:
        """Those who wait for a namespace /held-... get it."""
        gates[tag].set()
        return []

    log.order("children", lambda tag: [child.name for child in parent.children if tag in child.name])
    log.order("of", lambda name: [io.of(name).name])
    log.order("release", release)


def hooks(io: Server, log: Log) -> None:
    """What the engine below tells of, its middlewares, and ids of our own."""

    def shown(data: Any) -> Any:
        return f"binary {data.hex()}" if isinstance(data, bytes) else data

    @io.engine.on("connection")
    def connection(session: Any) -> None:
        if "hooked" not in session.request.query:
            return
        tag = session.request.query.get("tag")

        def packet(each: Any) -> None:
            if each.type == "message":
                log.write("packet", tag, type=each.type, data=shown(each.data))

        def flush(packets: Any) -> None:
            log.write("flush", tag, packets=[[each.type, shown(each.data)] for each in packets])

        session.on("packet", packet)
        session.on("message", lambda data: log.write("message", tag, data=shown(data)))
        session.on(
            "packet_create",
            lambda each: log.write("packet_create", tag, type=each.type, data=shown(each.data)),
        )
        session.on("flush", flush)
        session.on("drain", lambda: log.write("drain", tag))
        session.on("upgrading", lambda transport: log.write("upgrading", tag, to=transport.name))
        session.on("close", lambda reason, description: log.write("close", tag, reason=reason))

    @io.engine.use
    def first(app: Any) -> Any:
        async def with_header(scope: Any, receive: Any, send: Any) -> None:
            async def sent(event: Any) -> None:
                if event["type"] in ("http.response.start", "websocket.accept"):
                    event["headers"] = [*event["headers"], (b"x-middleware", b"first")]
                await send(event)

            await app(scope, receive, sent)

        return with_header

    @io.engine.use
    def second(app: Any) -> Any:
        async def checked(scope: Any, receive: Any, send: Any) -> None:
            if b"fail=1" in scope["query_string"]:
                raise RuntimeError("of the middleware")
            if b"deny=1" not in scope["query_string"]:
                await app(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"denied"})

        return checked

    given = io.engine.generate_id

    async def generate_id(request: Any) -> str:
        if request.query.get("id") == "throw":
            raise RuntimeError("no id")
        own: str | None = request.query.get("id")
        if own is not None:
            return own
        found = given(request)
        assert isinstance(found, str)
        return found

    io.engine.generate_id = generate_id


def over_redis(redis: Sequence[str], recovering: bool) -> RedisAdapter | RedisStreamsAdapter:
    url, key = redis
    if recovering:
        return RedisStreamsAdapter(url, key, channel_prefix=key, session_key_prefix=f"{key}:")
    return RedisAdapter(url, key)


def make(profile: str, redis: Sequence[str], workers: int | None) -> Server:
    options = dict(PROFILES[profile])
    if redis or workers:  # many processes, and each request goes through several
        for patience in options.keys() & {"connect_timeout", "ping_timeout", "upgrade_timeout"}:
            options[patience] *= 4
    if redis:
        options["adapter"] = over_redis(redis, "connection_state_recovery" in options)
    io = Server(**options)
    log = Log(io)
    control(io, log)
    engine_events(io, log)
    secret(io, log)
    eager(io, log)
    checked(io, log)
    io.of(Classroom(log))
    if profile.startswith("dynamic"):
        dynamic(io, log)
    if profile == "hooks":
        hooks(io, log)
    for namespace in (io.of("/"), io.of("/chat")):
        namespace.on("connection", log.welcome)

    @io.on("catch up")
    def catch_up() -> None:
        """See :meth:`Log.caught_up`."""

    @io.on("new_namespace")
    def new_namespace(namespace: Any) -> None:
        log.write("new_namespace", namespace.name.rpartition("-")[2], name=namespace.name)

    return io


if __name__ == "__main__":
    profile, *where = sys.argv[1:]
    workers = int(where.pop()) if len(where) in {1, 3} else None
    make(profile, where, workers).run(port=0, ready=lambda url: say({"url": url}), workers=workers)
