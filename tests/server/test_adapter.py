"""Making adapters: `Server(adapter=...)`. What an adapter does is tested where each adapter is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from socketeer.errors import OptionError
from socketeer.server.adapter import AdapterHost, Capabilities, Flags, Target
from socketeer.server.memory import MemoryAdapter
from socketeer.server.server import BaseServer
from tests.support.inprocess import Lobby


def test_target_with_other_flags() -> None:
    target = Target(("a",), ("b",), Flags(compress=False))
    assert target.flagged(volatile=True) == Target(("a",), ("b",), Flags(volatile=True, compress=False))
    assert target == Target(("a",), ("b",), Flags(compress=False))


async def test_each_namespace_gets_its_own() -> None:
    made: list[str] = []

    def make(nsp: AdapterHost) -> MemoryAdapter:
        made.append(nsp.name)
        return MemoryAdapter(nsp)

    io = BaseServer(adapter=make)
    assert io.of("/a").adapter is not io.of("/b").adapter
    assert io.of("/a").adapter is io.of("/a").adapter
    assert made == ["/", "/a", "/b"]
    assert io.adapter is io.of("/").adapter


async def test_a_class_that_extends_the_one_of_memory() -> None:
    class Counting(MemoryAdapter):
        joined = 0

        def join(self, socket_id: str, rooms: Iterable[str]) -> None:
            Counting.joined += 1
            super().join(socket_id, rooms)

    lobby = Lobby(adapter=Counting)
    lobby.connected()
    assert Counting.joined == 1
    assert lobby.io.adapter.capabilities == Capabilities(cluster=False, recovery=False)


@pytest.mark.parametrize("adapter", ["memory", None, 3])
def test_what_is_no_adapter(adapter: Any) -> None:
    with pytest.raises(OptionError, match=re.escape(f"got {adapter!r}")):
        BaseServer(adapter=adapter)
