"""Calling handlers: by themselves, as the dispatch does, and through the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from socketeer.messaging.eager import start
from socketeer.messaging.handlers import Ack, Handler
from socketeer.server.socket import Socket
from tests.support.inprocess import Client, Lobby


class Recorder:
    """Stands in the place of the acknowledgement's sender."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.ack = Ack(self.sent.append)


def call(function: Callable[..., Any], *args: Any, ack: Ack | None = None) -> Any:
    """Call a handler with arguments as they come off the wire."""
    signature = Handler(function).signature
    given = ack or Ack(None)
    by_name = {} if signature.ack_name is None else {signature.ack_name: given}
    return function(*signature.fit(args, given), **by_name)


async def waits(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Start a coroutine that has to wait before it ends, and give its result."""
    task, result = start(coroutine)
    assert task is not None
    assert result is None
    async with asyncio.timeout(5):
        return await task


class Table:
    """One client, its socket, and every error that anyone is told of."""

    def __init__(self) -> None:
        self.lobby = Lobby()
        self.client: Client
        self.socket: Socket
        self.client, self.socket = self.lobby.connected()
        self.errors: list[tuple[str, BaseException]] = []
        self.socket.on("error", lambda error: self.errors.append(("socket", error)))
        self.lobby.io.on("error", self._of_namespace)

    def _of_namespace(self, error: Exception, socket: Socket, event: str) -> None:
        assert socket is self.socket
        self.errors.append((event, error))

    def lives(self) -> bool:
        """Whether the connection still works."""
        self.socket.on("still there", lambda: "yes")
        return self.client.asks('42999["still there"]') == ['43999["yes"]']
