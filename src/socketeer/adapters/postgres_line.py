"""A connection to PostgreSQL, made by asyncpg: what is used of it, and what its errors are about.

asyncpg tells of each notification when it comes, also on a connection on which a statement runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, cast
from urllib.parse import parse_qs, urlsplit

from socketeer.errors import OptionError

LOCAL: Final = "postgresql://127.0.0.1:5432"

#: Seconds to say goodbye in.
_GOODBYE: Final = 0.4

#: Gets the connection, the sender's process, the channel and the text of each notification.
Notified: TypeAlias = Callable[[Any, int, str, str], None]


class Connection(Protocol):
    """A connection of asyncpg's, or of one of its pools."""

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...
    async def executemany(self, command: str, args: Sequence[Sequence[Any]]) -> None: ...
    async def add_listener(self, channel: str, callback: Notified) -> None: ...
    async def remove_listener(self, channel: str, callback: Notified) -> None: ...
    def add_termination_listener(self, callback: Callable[[Any], None]) -> None: ...
    def get_server_pid(self) -> int: ...
    async def close(self, *, timeout: float) -> None: ...
    def terminate(self) -> None: ...


#: Makes a connection.
Connect: TypeAlias = Callable[[], Awaitable[Connection]]


class Pool(Protocol):
    """A pool of asyncpg's."""

    def acquire(self) -> Awaitable[Any]: ...


#: A URL, a pool of asyncpg's, or a function that makes a connection of asyncpg's.
PostgresServer: TypeAlias = str | Pool | Callable[[], Awaitable[Any]]


class Line:
    """A connection on which one speaks at a time.

    Args:
        connection: it.
        ended: is called when it ends, whoever ends it.
    """

    def __init__(self, connection: Connection, ended: Callable[[], None]) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self.pid = connection.get_server_pid()
        """The process that serves it, which notifications name as their sender."""
        self.open = True
        """Whether it has not ended yet."""
        self._ended = ended
        connection.add_termination_listener(self._has_ended)

    def _has_ended(self, _connection: Any) -> None:
        self.open = False
        self._ended()

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """The rows that a statement gives."""
        async with self._turn:
            return await self._connection.fetch(query, *args)

    async def run_each(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement with each of these rows of arguments, all in one transaction."""
        async with self._turn:
            await self._connection.executemany(query, rows)

    async def listen(self, channel: str, notified: Notified) -> None:
        """Have notifications of a channel told."""
        async with self._turn:
            await self._connection.add_listener(channel, notified)

    async def unlisten(self, channel: str, notified: Notified) -> None:
        """End that."""
        async with self._turn:
            await self._connection.remove_listener(channel, notified)

    async def end(self) -> None:
        """Close it in good order, which takes a moment at most; :meth:`cut` is still to be called."""
        if self.open:
            with suppress(Exception):
                await self._connection.close(timeout=_GOODBYE)

    def cut(self) -> None:
        """End it, in whatever state it is."""
        self.open = False
        with suppress(Exception):  # one of a pool has been given back
            self._connection.terminate()


def breaks(error: Exception) -> bool:
    """Whether an error is about the connection or the server, rather than about what was asked."""
    state = getattr(error, "sqlstate", None)
    if not isinstance(state, str):  # not of PostgreSQL
        return True
    # Connections, shutdowns (not a query that was cancelled), and a server that is no primary any more:
    # https://www.postgresql.org/docs/current/errcodes-appendix.html
    return state.startswith(("08", "57P")) or state == "25006"


def plan(server: PostgresServer) -> tuple[str, Connect]:
    """A server's name for people, and how to make a connection to it.

    Raises:
        OptionError: this is no server.
        ImportError: asyncpg is missing.
    """
    try:
        import asyncpg  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("asyncpg is needed: pip install 'socketeer[postgres]'") from error
    if isinstance(server, str):
        name = _name(server)
        return name, partial(asyncpg.connect, server)
    if isinstance(server, asyncpg.Pool):
        return "PostgreSQL", cast(Connect, server.acquire)
    if callable(server):
        return "PostgreSQL", server
    raise OptionError(
        f"server: expected a URL such as {LOCAL}, a pool of asyncpg's or a function that makes a connection, "
        f"got {type(server).__name__}"
    )


def _name(url: str) -> str:
    """A server's name, without a password."""
    try:
        parts = urlsplit(url)
        host = parse_qs(parts.query).get("host", [""])[0]
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in {"postgresql", "postgres"}:
        # Not shown: there may be a password in it.
        raise OptionError(f"server: expected a URL such as {LOCAL}")
    return f"PostgreSQL at {parts.netloc.rpartition('@')[2] or host or 'localhost'}"
