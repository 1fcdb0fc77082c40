"""A client that comes back: it keeps its private id and the last offset as the official one does."""

from __future__ import annotations

import json
from typing import Any

from socketeer.options import Recovery
from socketeer.server.recovery import RecoveringAdapter
from socketeer.server.socket import Socket
from tests.support.inprocess import Client, Lobby


class Returner:
    """One user on a connection after another."""

    def __init__(self, lobby: Lobby, namespace: str = "/") -> None:
        self.lobby = lobby
        self.namespace = namespace
        self.pid: str | None = None
        self.offset: str | None = None
        self.recovered = False
        self.events: list[list[Any]] = []
        """What it has handled, without offsets."""
        self.client: Client
        self.socket: Socket

    def connect(self, **auth: Any) -> Socket:
        """Join on a new connection; the server's socket."""
        self.client = self.lobby.client()
        payload = {"pid": self.pid, "offset": self.offset} if self.pid else {}
        self.socket = self.client.connect(self.namespace, {**payload, **auth})
        self.recovered = self.client.welcome["pid"] == self.pid
        self.pid = self.client.welcome["pid"]
        self.handle()
        return self.socket

    def handle(self) -> None:
        """Handle all that has come."""
        for packet in self.client.heard():
            assert isinstance(packet, str)
            args = json.loads(packet[packet.index("[") :])
            if isinstance(args[-1], str):
                self.offset = args.pop()
            self.events.append(args)

    def lose(self, reason: str = "transport close") -> None:
        """The connection ends; what has not been handled is lost."""
        self.client.carrier.sent.clear()
        self.client.vanish(reason)

    def names(self) -> list[Any]:
        """The names of the events since the last look."""
        events, self.events = self.events, []
        return [event[0] for event in events]


def lobby_with(**recovery: Any) -> Lobby:
    return Lobby(connection_state_recovery=Recovery(**recovery))


def returner(lobby: Lobby, namespace: str = "/") -> Returner:
    """A client that has got one event, so that it can come back."""
    user = Returner(lobby, namespace)
    user.connect()
    user.socket.emit("first")
    user.handle()
    assert user.names() == ["first"]
    return user


def adapter_of(lobby: Lobby, namespace: str = "/") -> RecoveringAdapter:
    adapter = lobby.io.of(namespace).adapter
    assert isinstance(adapter, RecoveringAdapter)
    return adapter
