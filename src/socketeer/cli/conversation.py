"""What a person or a script asks of a client, and what the client hears; on either side of it stand others.

Latencies are what can be measured from here: how long it took to be connected (from the request to
the namespace's answer), to be upgraded (from the open connection to the WebSocket that carries it),
and to be acknowledged (from ``emit`` to the answer, the server's own work included). ``/ping`` sends
a WebSocket's ping, which no application sees: Engine.IO's own pings come from the server.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, TypeVar

from socketeer.cli.dialing import FAILED, NO_ACK, USAGE, Dial, advice, refused
from socketeer.cli.screen import Screen, milliseconds
from socketeer.cli.values import escaped, name
from socketeer.cli.words import Emit, Order, Unclear, Verb, event_of, parse
from socketeer.client.client import Client
from socketeer.client.manager import Phase
from socketeer.client.socket import ClientSocket
from socketeer.engine.round_trip import round_trip
from socketeer.engine.session import Transport
from socketeer.errors import (
    AckTimeout,
    ConnectionRefused,
    SocketDisconnected,
    SocketeerError,
    TransportError,
)
from socketeer.messaging.handlers import Ack

T = TypeVar("T")

#: How many names of events are remembered to complete them, and how long one may be.
MAX_NAMES: Final = 500
MAX_NAME: Final = 200

HELP: Final = """\
EVENT [VALUES]       send an event: chat "hello" {"a": 1} @picture.png
                     a name with spaces stands in quotes: "chat message" "hello"
                     a word that is no JSON is sent as a string; @FILE sends the bytes of a file
EVENT [VALUES] ?     the same, and show its acknowledgement and how long that took
/ack EVENT [VALUES]  the same as with the question mark
/of NAMESPACE        talk to another namespace, over the same connection
/disconnect          leave the namespace        /connect   join it again
/ping                measure the way there and back, over WebSocket
/wait EVENT          wait until this event has come once more (for scripts)
/show [NUMBER]       show a value whole that was cut, the last one or that of a number
/quit                end; so do Ctrl-D and Ctrl-C
Tab completes events that were seen before. The latency of an acknowledgement is the time from
sending to the answer, the server's own work included."""


class Conversation:
    """One client's namespaces, the one that is talked to, and what is shown of them.

    Attributes:
        status: the exit code: 0, or what went wrong first.
        names: events that were seen, the latest last, with how often they came that nobody waited for.
        socket: the namespace that is talked to.
        broken: done when the connection has ended, not by us, and will not be made again.
    """

    def __init__(self, client: Client, screen: Screen, dial: Dial) -> None:
        self.client = client
        self.socket: ClientSocket = client
        self.status = 0
        self.names: dict[str, int] = {}
        self.latency = ""
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._advised = False
        self._screen = screen
        self._dial = dial
        self._began = time.monotonic()
        self._opened = self._began
        self._known: dict[str, ClientSocket] = {}
        self._news = asyncio.Event()
        self._asked: set[asyncio.Task[Any]] = set()
        client.io.on("open", self._on_open)
        client.io.on("error", self._on_error)
        client.io.on("reconnect_attempt", self._on_attempt)
        self._meet(client)

    @property
    def namespaces(self) -> list[str]:
        """Those that were talked to."""
        return list(self._known)

    # --- what is heard ----------------------------------------------------------------------------

    def _meet(self, socket: ClientSocket) -> None:
        if socket.nsp in self._known:
            return
        nsp = socket.nsp
        self._known[nsp] = socket

        def event(event: str, *args: object, ack: Ack) -> None:
            self._remember(event, come=1)
            self._news.set()
            self._screen.event(nsp, event, args, asks=ack.wanted)

        socket.on_any(event)
        socket.on("connect", lambda: self._on_connect(socket))
        socket.on("connect_error", lambda error: self._on_connect_error(nsp, error))
        socket.on("disconnect", lambda reason, description: self._on_disconnect(nsp, reason, description))

    def _remember(self, event: str, come: int = 0) -> None:
        """An event was seen: it can be completed from now on."""
        if len(event) > MAX_NAME:
            return
        self.names[event] = self.names.pop(event, 0) + come
        if len(self.names) > MAX_NAMES:
            del self.names[next(iter(self.names))]

    def _on_open(self) -> None:
        self._opened = time.monotonic()
        engine = self.client.io.engine
        if engine is not None:
            engine.on("upgrade", self._on_upgrade)
            engine.on("upgrade_error", self._on_upgrade_error)

    def _on_upgrade(self, transport: Transport) -> None:
        took = milliseconds(time.monotonic() - self._opened)
        self._screen.note(f"upgraded to {transport.name}, {took} after the connection was open", "cyan")

    def _on_upgrade_error(self, error: Exception) -> None:
        self._screen.note(f"no upgrade, it stays on long-polling: {escaped(str(error))}", "yellow")

    def _on_connect(self, socket: ClientSocket) -> None:
        engine = self.client.io.engine
        over = f" over {engine.transport.name}" if engine is not None else ""
        took = milliseconds(time.monotonic() - self._began)
        how = "recovered" if socket.recovered else "connected"
        self._screen.note(
            f"{how} to {escaped(socket.nsp)}{over} in {took}, id {escaped(socket.id or '')}", "green"
        )

    def _on_connect_error(self, nsp: str, error: Exception) -> None:
        if isinstance(error, ConnectionRefused):  # what else there is, the connection tells
            trouble = refused(error, escaped(nsp))
            self._fail(trouble.wrong, FAILED, f"{trouble.advice} /connect tries again.")

    def _on_disconnect(self, nsp: str, reason: str, description: str | None) -> None:
        details = f" ({escaped(description)})" if description else ""
        self._screen.note(f"disconnected from {escaped(nsp)}: {escaped(reason)}{details}", "yellow")
        if reason == "io server disconnect":
            self._screen.note("the server wants it so: /connect joins again")
        if reason != "io client disconnect" and not self._known[nsp].active and not self.broken.done():
            self.status = self.status or FAILED
            self.broken.set_result(None)

    def _on_error(self, error: TransportError) -> None:
        # How long it waits for the next attempt is known as soon as this is through.
        asyncio.get_running_loop().call_soon(self._tell_unreachable, error)

    def _tell_unreachable(self, error: TransportError) -> None:
        what = f"no connection to {self._dial.target}: {escaped(error.message)}"
        check, self._advised = "" if self._advised else advice(error, self._dial), True
        again = self.seconds_left
        if again is None:
            self._fail(what, FAILED, check)
        else:
            self._screen.note(f"{what}; next attempt in {again:.1f} s", "red")
            if check:
                self._screen.text(f"  {check}")

    def _on_attempt(self, attempt: int) -> None:
        self._began = time.monotonic()
        self._screen.note(f"connecting again, attempt {attempt}")

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the next attempt to connect; None while none is waited for."""
        until = self.client.io.next_attempt
        return None if until is None else max(0.0, until - asyncio.get_running_loop().time())

    def state(self) -> str:
        """In a few words, where the connection is."""
        io = self.client.io
        if io.phase is Phase.WAITING:
            return f"not connected, next attempt in {self.seconds_left or 0:.0f} s"
        if io.phase is Phase.OPENING:
            return "connecting …"
        if self.socket.connected and io.engine is not None:
            return f"{io.engine.transport.name}{self.latency}"
        return "not connected: /connect"

    # --- what is asked ----------------------------------------------------------------------------

    def begin(self, line: str) -> asyncio.Task[bool]:
        """As :meth:`run`, without waiting for it."""
        return self._keep(asyncio.ensure_future(self.run(line)))

    def _keep(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        return task

    async def run(self, line: str) -> bool:
        """Do what a line says; False when it says to end."""
        try:
            asked = parse(line)
            if isinstance(asked, Emit):
                self._emit(asked)
            elif asked is not None:
                return await self._obey(asked)
        except Unclear as unclear:
            self._fail(str(unclear), USAGE)
        except (SocketeerError, TypeError) as error:
            self._fail(escaped(str(error)), USAGE)
        return True

    def _fail(self, what: str, status: int, check: str = "") -> None:
        self._screen.error(what, check)
        self.status = self.status or status

    def _emit(self, asked: Emit) -> None:
        socket = self.socket
        if asked.ack:
            self._keep(asyncio.ensure_future(self._ask(socket, asked)))
        else:
            socket.emit(asked.event, *asked.args)
        for hint in asked.hints:
            self._screen.hint(hint)
        if isinstance(first := next(iter(asked.args), None), str) and f"{asked.event} {first}" in self.names:
            self._screen.hint(f"the event {name(f'{asked.event} {first}')} is typed in quotes")
        self._remember(asked.event)
        if not socket.active:
            self._screen.hint("not connected: it is sent after /connect")

    async def _ask(self, socket: ClientSocket, asked: Emit) -> None:
        began = time.monotonic()
        try:
            value = await socket.emit_with_ack(asked.event, *asked.args, timeout=self._dial.timeout)
        except AckTimeout:
            self._fail(f"no acknowledgement of {name(asked.event)} within {self._dial.timeout:g} s", NO_ACK)
        except SocketDisconnected:
            self._fail(f"disconnected before {name(asked.event)} was acknowledged", FAILED)
        except (SocketeerError, TypeError) as error:
            self._fail(f"{name(asked.event)} cannot be sent: {escaped(str(error))}", USAGE)
        else:
            took = time.monotonic() - began
            self.latency = f", last acknowledgement {milliseconds(took)}"
            values = value if isinstance(value, tuple) else () if value is None else (value,)
            self._screen.answer(socket.nsp, asked.event, values, took)

    async def settled(self) -> None:
        """Wait until what was asked has been answered, or is late."""
        while self._asked:
            await asyncio.wait(self._asked)

    async def _obey(self, order: Order) -> bool:
        match order.verb:
            case Verb.QUIT:
                return False
            case Verb.HELP:
                self._screen.text(HELP)
            case Verb.PING:
                await self._ping()
            case Verb.SHOW:
                self._show(order.argument)
            case Verb.OF:
                await self._join(self.client.of(order.argument or "/"))
            case Verb.CONNECT:
                await self._join(self.socket)
            case Verb.DISCONNECT:
                self.socket.disconnect()
            case _:
                await self._wait(order.argument)
        return True

    async def _ping(self) -> None:
        """How long the way there and back is, by a WebSocket's own ping."""
        engine = self.client.io.engine
        try:
            async with asyncio.timeout(self._dial.timeout):
                took = None if engine is None else await round_trip(engine)
        except TimeoutError:
            self._fail(f"no pong within {self._dial.timeout:g} s", NO_ACK)
            return
        if took is None:
            raise Unclear("there is no WebSocket: long-polling has no ping that a client may send")
        self._screen.note(f"round trip {milliseconds(took)}, by a WebSocket's ping and pong")

    def _show(self, argument: str) -> None:
        if argument and not argument.isdecimal():
            raise Unclear("expected the number of a value that was cut: /show 1")
        self._screen.show(int(argument) if argument else None)

    async def _join(self, socket: ClientSocket) -> None:
        self._meet(socket)
        self.socket = socket
        if not socket.active:
            self._began = time.monotonic()
            socket.connect()

    async def _wait(self, argument: str) -> None:
        """Wait for an event, unless it has come since it was last waited for."""
        if not argument:
            raise Unclear("expected an event: /wait hello")
        event = event_of(argument)
        try:
            async with asyncio.timeout(self._dial.timeout):
                while not self.names.get(event):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            self._fail(f"no event {name(event)} within {self._dial.timeout:g} s", NO_ACK)
        else:
            self.names[event] -= 1
