"""Servers with clients, and what reaches whom."""

from __future__ import annotations

import asyncio

import pytest

from socketeer.server.server import BaseServer
from socketeer.testing.stage import Contract, Stage, same


async def test_heard_by_each() -> None:
    stage = Stage([BaseServer(connection_state_recovery=True)], patience=5.0)
    first, second, gone = stage.enter(0), stage.enter(0), stage.enter(0)
    assert (first.node, first.id, len(first.pid)) == (0, first.socket.id, 20)
    gone.client.vanish()
    stage.servers[0].emit("x", b"\x01", 1)
    first.socket.emit("y")
    assert await stage.heard() == [[["x", b"\x01", 1], ["y"]], [["x", b"\x01", 1]]]
    assert await stage.heard(second) == [[]]
    assert second.offset is not None


async def test_servers_that_do_not_know_each_other() -> None:
    stage = Stage([BaseServer(), BaseServer()], patience=0.02)
    stage.enter(1)
    with pytest.raises(AssertionError, match="the client of node 1 gets what each node emits to everybody"):
        await stage.heard()


async def test_questions() -> None:
    stage = Stage([BaseServer()], patience=5.0)
    actor = stage.enter(0, "/a", {"n": 1})
    assert actor.answer() is False
    asking = asyncio.create_task(actor.socket.emit_with_ack("q"))
    await stage.answers(actor)
    assert await asking == 0
    assert actor.socket.handshake.auth == {"n": 1}


async def test_until() -> None:
    stage = Stage([], patience=0.02)
    with pytest.raises(AssertionError, match=r"expected that pigs fly, waited 0\.02 s in vain"):
        await stage.until(lambda: False, "pigs fly")
    later: list[int] = []
    asyncio.get_running_loop().call_soon(later.append, 1)
    await stage.until(lambda: bool(later), "it is later")


def test_same() -> None:
    same([1], [1], "numbers")
    with pytest.raises(AssertionError, match=r"numbers: expected \[2\], got \[1\]"):
        same([1], [2], "numbers")


async def test_a_contract_without_servers() -> None:
    with pytest.raises(NotImplementedError):
        async with Contract().stage():
            pass
