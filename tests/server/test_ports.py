"""What the rooms of this floor ask of each other is there in what fills it. (The types are mypy's business.)"""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.server.ports import BroadcastSite, Home, Receiver
from tests.support.inprocess import Lobby


def members(port: type[Any]) -> set[str]:
    """What a port declares, with what it inherits."""
    names: set[str] = set()
    for kind in port.__mro__:
        if kind.__module__ == port.__module__:
            names |= {name for name in (*vars(kind), *kind.__annotations__) if not name.startswith("_")}
    return names


def test_a_port_has_members() -> None:
    assert {"adapter", "parser", "sockets", "wheel"} <= members(BroadcastSite)
    assert members(BroadcastSite) < members(Home)
    assert "name" in members(Home)
    assert "acks" in members(Receiver)


@pytest.mark.parametrize("port", [BroadcastSite, Home])
async def test_a_namespace_fills_its_ports(port: type[Any]) -> None:
    namespace = Lobby().io.sockets
    assert [name for name in members(port) if not hasattr(namespace, name)] == []


async def test_a_socket_fills_its_port() -> None:
    _, socket = Lobby().connected()
    assert [name for name in members(Receiver) if not hasattr(socket, name)] == []
