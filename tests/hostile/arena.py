"""A server to be attacked, and the proof afterwards that it was not hurt.

`Arena` is one server with an `echo` in two namespaces. Its `watched` block ends only when

- every session that the block opened is gone, and each namespace connected in it was told so exactly once,
- new clients over both transports are served,
- no task is left over, and the loop caught no exception,
- the log holds no traceback, nothing at ERROR, no raw control character, and at most one line for each session.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from socketeer import Server
from tests.support.peers import Peer, Polling, WebSocket
from tests.support.raw import DEADLINE, Headers, Wire

NAMESPACES = ("/", "/chat")

P = TypeVar("P", bound=Peer)
Setup = Callable[[Server, "Arena"], None]


async def until(ready: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Look again and again until it is so."""
    try:
        async with asyncio.timeout(deadline):
            while not ready():  # noqa: ASYNC110 - what is looked at sets no event
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"not within {deadline} s: {what}") from None


class Record:
    """What the server's handlers saw during one watched block."""

    def __init__(self) -> None:
        self.sockets: dict[str, Any] = {}  # by id
        self.connected: list[str] = []  # ids, in order
        self.gone: defaultdict[str, list[str]] = defaultdict(list)  # the reasons, by id
        self.events: list[tuple[Any, ...]] = []  # names and arguments of what was echoed and counted

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event[:1] == (name,)]


class Lines(logging.Handler):
    """Keeps each record once, through whichever logger it comes."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record not in self.records:
            self.records.append(record)


class Arena:
    """One server, its port, and what was seen of the block that is being watched."""

    def __init__(self, io: Server, setup: Setup | None) -> None:
        self.io = io
        self.port = 0
        self.record = Record()
        self.lines_allowed = 1
        self.failed = False  # the test has failed already: whether the server is hurt is not asked
        self._before = 0
        self._peers: list[Peer] = []
        for name in NAMESPACES:
            self.listen(io.of(name))
        if setup is not None:
            setup(io, self)

    def listen(self, namespace: Any) -> None:
        def connection(socket: Any) -> None:
            record = self.record

            def disconnect(reason: str) -> None:
                record.gone[socket.id].append(reason)

            record.sockets[socket.id] = socket
            record.connected.append(socket.id)

            def echo(*values: Any) -> tuple[Any, ...]:
                record.events.append(("echo", *values))
                return values

            def count(*values: Any) -> None:
                record.events.append(("count", *values))

            socket.on("disconnect", disconnect)
            socket.on("echo", echo)
            socket.on("count", count)

        namespace.on("connection", connection)

    @property
    def sessions(self) -> int:
        """Engine.IO sessions more than there were before the block."""
        return self.io.engine.clients_count - self._before

    async def polling(self, *, connect: bool = True, query: str = "", headers: Headers = ()) -> Polling:
        peer = await Polling.open(self.port, query=query, headers=headers)
        return await self._seat(peer, connect)

    async def websocket(
        self,
        *,
        connect: bool = True,
        query: str = "",
        headers: Headers = (),
        receive_buffer: int | None = None,
    ) -> WebSocket:
        peer = await WebSocket.open(self.port, query=query, headers=headers, receive_buffer=receive_buffer)
        return await self._seat(peer, connect)

    async def probe(self, polling: Polling) -> WebSocket:
        """A WebSocket that wants to take over a polling session, and has said nothing yet."""
        return await self._seat(await WebSocket.open(self.port, sid=polling.sid), connect=False)

    async def _seat(self, peer: P, connect: bool) -> P:
        self._peers.append(peer)
        if connect:
            await peer.connect()
        return peer

    def socket(self, peer: Peer, namespace: str = "/") -> Any:
        """The server's socket for this client."""
        return self.record.sockets[peer.ids[namespace]]

    async def reasons(self, peer: Peer) -> set[str]:
        """Why the server's sockets of this client were disconnected: each of them told once."""
        gone = self.record.gone
        await until(lambda: all(gone[each] for each in peer.ids.values()), "disconnect in each namespace")
        assert all(len(gone[each]) == 1 for each in peer.ids.values()), gone
        return {reason for each in peer.ids.values() for reason in gone[each]}

    async def closes(self, peer: Peer, *reasons: str, code: int | None = 1005) -> None:
        """The server closes this session, for one of these reasons; over WebSocket with this code (None: any)."""
        got = await peer.closed()
        assert got is None or code is None or got == code, f"closed with {got}"
        if peer.ids:
            assert await self.reasons(peer) <= set(reasons)

    async def served(self) -> None:
        """New clients are served over both transports, and leave nothing behind."""
        before = self.sessions
        for peer in (await Polling.open(self.port), await WebSocket.open(self.port)):
            await peer.connect()
            assert await peer.echo("still", {"here": [1]}) == ["still", {"here": [1]}]
            await peer.bye()
        await until(lambda: self.sessions <= before, "the sessions of new clients gone")

    @contextlib.asynccontextmanager
    async def watched(self, lines: int = 1) -> AsyncIterator[Arena]:
        loop = asyncio.get_running_loop()
        self.record, self._peers, self.lines_allowed, self.failed = Record(), [], lines, False
        log, caught = Lines(), list[dict[str, Any]]()
        loggers = [
            logging.getLogger(name) for name in ("", "socketeer", "uvicorn", "uvicorn.error", "asyncio")
        ]
        levels = [logger.level for logger in loggers]
        self._before, tasks = self.io.engine.clients_count, asyncio.all_tasks()
        for logger in loggers:
            logger.addHandler(log)
        logging.getLogger("socketeer").setLevel(logging.INFO)
        loop.set_exception_handler(lambda _, context: caught.append(context))
        try:
            try:
                yield self
            finally:
                for peer in self._peers:
                    await peer.bye()
                await Wire.close_all()
            if self.failed:
                return
            await self._unhurt(tasks)
        finally:
            loop.set_exception_handler(None)
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(log)
                logger.setLevel(level)
        assert not caught, f"the loop caught {caught}"
        self._quiet(log.records)

    async def _unhurt(self, tasks: set[asyncio.Task[Any]]) -> None:
        record = self.record
        await until(lambda: self.sessions <= 0, "the sessions of the block gone")
        await self.served()
        told = {each: record.gone[each] for each in record.connected}
        await until(lambda: all(told.values()), f"every namespace told of its disconnection: {told}")
        assert all(len(reasons) == 1 for reasons in told.values()), f"a namespace was told twice: {told}"
        await self.idle(tasks)

    async def idle(self, tasks: set[asyncio.Task[Any]]) -> None:
        """No task runs but these and our own."""
        mine = asyncio.current_task()
        await until(
            lambda: not asyncio.all_tasks() - tasks - {mine},
            f"no task left over: {[each for each in asyncio.all_tasks() - tasks if each is not mine]}",
        )

    def _quiet(self, records: list[logging.LogRecord]) -> None:
        for record in records:
            message = record.getMessage()
            assert record.exc_info is None, f"a traceback in the log: {message} {record.exc_info}"
            assert record.levelno < logging.ERROR, message
            assert message.isprintable(), f"raw control characters in the log: {message!r}"
            assert len(message) <= 500, f"{len(message)} characters in one log line"
        allowed = max(self.lines_allowed, len(self._peers))
        assert len(records) <= allowed, [record.getMessage() for record in records]
