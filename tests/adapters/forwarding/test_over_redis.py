"""The same over the real Redis, with either kind of its channels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from socketeer.adapters import RedisAdapter, ShardedRedisAdapter
from socketeer.adapters.forwarding import liveness
from tests.adapters.forwarding.stage import Node, joined, until
from tests.adapters.redis_nodes import prefix
from tests.support import requirements


@pytest.fixture(params=[RedisAdapter, ShardedRedisAdapter])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[list[Node]]:
    make: Callable[[str, str], Any] = request.param
    url, key = requirements.redis(), prefix()
    made = [Node(make(url, key)) for _ in range(2)]
    for node in made:
        node.io.start()
    for node in made:
        await node.bus.settled()
    yield made
    for node in made:
        await node.io.close()


async def test_polling(nodes: list[Node]) -> None:
    a, b = nodes
    poller = await joined(a)
    assert (await poller.post(b, b'420["echo","' + b"x" * 900_000 + b'"]')).status == 200
    assert (await poller.get(b)).body == b'430["' + b"x" * 900_000 + b'"]'
    poll = asyncio.create_task(poller.get(b))
    await until(lambda: a.tunnels)
    a.io.local.emit("news", b"\x00\xff")
    assert (await poll).body == b'451-["news",{"_placeholder":true,"num":0}]\x1ebAP8='
    assert (a.tunnels, b.tunnels) == (0, 0)


async def test_an_upgrade(nodes: list[Node]) -> None:
    a, b = nodes
    ws = await (await joined(a)).upgraded(b)
    for number in range(300):
        a.io.local.emit("n", number, "x" * 10_000)
    await until(lambda: len(ws.sent) == 300)
    assert [json.loads(str(each)[2:])[1] for each in ws.sent] == list(range(300))
    ws.says(*[f'42["echo",{number}]' for number in range(300)])
    await until(lambda: len(a.heard) == 300)
    assert a.heard == list(range(300))
    ws.vanishes()
    await until(lambda: a.reasons == ["transport close"])


async def test_nobodys_session_is_refused_before_an_owner_would_be_doubted(nodes: list[Node]) -> None:
    begun = asyncio.get_running_loop().time()
    answer = await nodes[1].handle("EIO=4&transport=polling&sid=abcdef12345678901234")
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)
    assert asyncio.get_running_loop().time() - begun < liveness.PATIENCE


async def test_an_owner_whose_link_is_cut_off(nodes: list[Node]) -> None:
    """Redis tells that nobody listens there any more."""
    a, b = nodes
    poller = await joined(a)
    await poller.post(b, b'42["echo",1]')
    await a.bus.close()
    await a.bus.close()
    answer = await poller.get(b)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)
