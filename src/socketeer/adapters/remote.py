"""Sockets as nodes tell each other of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from socketeer.adapters.messages import FetchedSocket
from socketeer.server.adapter import SocketDetails

_TEXTS = ("url", "address", "time")
_MAPPINGS = ("headers", "query", "auth")


@dataclass(slots=True, eq=False)
class RemoteHandshake:
    """What a client of another node said when it connected: the fields of ``socket.handshake``."""

    headers: dict[str, Any] = field(default_factory=dict, repr=False)
    query: dict[str, Any] = field(default_factory=dict, repr=False)
    auth: dict[str, Any] = field(default_factory=dict, repr=False)
    url: str = ""
    address: str = ""
    time: str = ""
    issued: int = 0
    secure: bool = False
    xdomain: bool = False


@dataclass(slots=True, eq=False)
class RemoteDetails:
    """A socket of another node, as it was when it was asked for."""

    id: str
    rooms: set[str]
    data: Any
    handshake: RemoteHandshake


def describe(socket: SocketDetails) -> FetchedSocket:
    """A socket of this node, for others."""
    said = socket.handshake
    handshake = {
        "headers": said.headers,
        "time": said.time,
        "address": said.address,
        "xdomain": said.xdomain,
        "secure": said.secure,
        "issued": said.issued,
        "url": said.url,
        "query": said.query,
        "auth": said.auth,
    }
    return FetchedSocket(socket.id, handshake, list(socket.rooms), socket.data)


def details(fetched: FetchedSocket) -> RemoteDetails:
    """A socket of another node, whatever is missing in what is told of it."""
    said = fetched.handshake
    handshake = RemoteHandshake()
    for name in _MAPPINGS:
        if isinstance(said.get(name), dict):
            setattr(handshake, name, said[name])
    for name in _TEXTS:
        if isinstance(said.get(name), str):
            setattr(handshake, name, said[name])
    issued = said.get("issued")
    if isinstance(issued, (int, float)) and math.isfinite(issued):
        handshake.issued = int(issued)
    handshake.secure = said.get("secure") is True
    handshake.xdomain = said.get("xdomain") is True
    return RemoteDetails(fetched.id, {str(room) for room in fetched.rooms}, fetched.data, handshake)
