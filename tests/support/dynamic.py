"""Dynamic namespaces, asked for and looked at without being made by the looking: `io.of(name)` makes what fits."""

from __future__ import annotations

import re

from socketeer.messaging.connection import Connection
from socketeer.server.dynamic import ParentNamespace
from socketeer.server.namespace import Namespace
from socketeer.server.server import BaseServer
from socketeer.server.socket import Socket
from tests.support.inprocess import Client

DYNAMIC = re.compile(r"^/dyn-\w+$")


def invalid(name: str) -> list[str]:
    """What a client hears that asks for a namespace that nobody makes."""
    return [f'44{name},{{"message":"Invalid namespace"}}']


def join(client: Client, name: str, auth: str = "") -> Socket:
    """Ask for a namespace that may not be there yet; the server's socket in it."""
    (packet,) = client.asks(f"40{name},{auth}")
    assert str(packet).startswith(f'40{name},{{"sid":"'), packet
    return client.io._namespaces[name].sockets[str(packet)[-22:-2]]


def names(io: BaseServer) -> list[str]:
    """The namespaces that the server knows."""
    return list(io._namespaces)


def children(parent: ParentNamespace) -> list[Namespace]:
    """The children of a parent as they are now."""
    return list(parent.children)


def connection_of(client: Client) -> Connection:
    """The server's side of the client, as long as it is connected."""
    assert isinstance(client.session.handler, Connection)
    return client.session.handler
