"""Waiting for a namespace to be joined, or to be over, and what a server says when it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Final, Generic, Protocol, TypeVar

from socketeer.errors import ConnectionRefused

T = TypeVar("T")


class Waiters(Generic[T]):
    """Those who wait for one thing to happen."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: list[asyncio.Future[T]] = []

    async def wait(self) -> T:
        """Wait for the next :meth:`resolve` or :meth:`fail`."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        try:
            return await future
        finally:
            if future.cancelled() and future in self._futures:
                self._futures.remove(future)

    def resolve(self, result: T) -> None:
        """It has happened."""
        futures, self._futures = self._futures, []
        for future in futures:
            if not future.done():
                future.set_result(result)

    def fail(self, error: Exception) -> None:
        """It will not happen."""
        futures, self._futures = self._futures, []
        for future in futures:
            if not future.done():
                future.set_exception(error)


class Joining(Protocol):
    """A socket that joins its namespace."""

    async def joined(self) -> None:
        """Wait until it has."""
        ...


#: Events that a server may send to a namespace before it lets the client in, as out of a middleware.
MOST_EARLY: Final = 1_000


class Connecting:
    """What ``connect`` returns. Await it to wait until the namespace is joined; ignoring it is fine."""

    __slots__ = ("_socket",)

    def __init__(self, socket: Joining) -> None:
        self._socket = socket

    def __await__(self) -> Generator[Any, None, None]:
        return self._socket.joined().__await__()


class Leaving(Protocol):
    """What a socket's namespace is joined over."""

    async def parted(self) -> None:
        """Wait until the goodbye has left."""
        ...


class Disconnecting:
    """What ``disconnect`` returns. Await it to wait until the server has been told; ignoring it is fine."""

    __slots__ = ("_io",)

    def __init__(self, io: Leaving) -> None:
        self._io = io

    def __await__(self) -> Generator[Any, None, None]:
        return self._io.parted().__await__()


def refusal_of(data: Any) -> ConnectionRefused:
    """What a CONNECT_ERROR says: an object with a message, or in older servers a string."""
    if isinstance(data, dict):
        return ConnectionRefused(str(data.get("message", "connection refused")), data.get("data"))
    return ConnectionRefused("connection refused" if data is None else str(data))


def auth_failed(error: Exception) -> ConnectionRefused:
    """``auth`` gave nothing that can be sent: as if the server had refused, so that nobody asks it on and on."""
    refusal = ConnectionRefused(f"auth failed: {error!r}")
    refusal.__cause__ = error
    return refusal
