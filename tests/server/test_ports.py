"""What the rooms of this floor ask of each other is there in what fills it. (The types are mypy's business.)"""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.server.adapter import Adapter, AdapterHost, Member
from socketeer.server.ports import BroadcastSite, Home
from tests.support.inprocess import Lobby


def members(port: type[Any]) -> set[str]:
    """What a port declares, with what it inherits."""
    names: set[str] = set()
    for kind in port.__mro__:
        if kind.__module__.startswith("socketeer."):
            declared = (*vars(kind), *vars(kind).get("__annotations__", ()))
            names |= {name for name in declared if not name.startswith("_")}
    return names


def test_a_port_has_members() -> None:
    assert {"adapter", "parser", "sockets", "wheel"} <= members(BroadcastSite)
    assert members(AdapterHost) < members(BroadcastSite) < members(Home)
    assert "name" in members(Home)
    assert {"acks", "rooms"} <= members(Member)


@pytest.mark.parametrize("port", [AdapterHost, BroadcastSite, Home])
async def test_a_namespace_fills_its_ports(port: type[Any]) -> None:
    namespace = Lobby().io.sockets
    assert [name for name in members(port) if not hasattr(namespace, name)] == []


async def test_a_socket_fills_its_port() -> None:
    _, socket = Lobby().connected()
    assert [name for name in members(Member) if not hasattr(socket, name)] == []


async def test_the_adapter_of_memory_fills_its_port() -> None:
    adapter = Lobby().io.sockets.adapter
    assert [name for name in members(Adapter) if not hasattr(adapter, name)] == []
