"""Python's servers and the official ones in one cluster, over the real Redis and in each of the adapter's formats."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from interop.mixed import Mixed, MixedCases, cluster, javascript_emits
from socketeer.adapters import RedisAdapter, ShardedRedisAdapter
from tests.support import requirements

CLASSIC = ("classic", "classic-specific")
MODES = (*CLASSIC, "static", "dynamic", "dynamic-private")


def adapter_for(mode: str, url: str, key: str) -> Any:
    if mode in CLASSIC:
        return RedisAdapter(url, key, publish_on_specific_response_channel=mode == "classic-specific")
    return ShardedRedisAdapter(url, key, mode)


@pytest.fixture(params=MODES)
async def mixed(request: pytest.FixtureRequest, node: str) -> AsyncIterator[Mixed]:
    async with cluster(request.param, node, requirements.redis(), adapter_for) as made:
        yield made


@pytest.fixture(params=CLASSIC)
async def classic(request: pytest.FixtureRequest, node: str) -> AsyncIterator[Mixed]:
    async with cluster(request.param, node, requirements.redis(), adapter_for) as made:
        yield made


class TestRedis(MixedCases):
    plain = CLASSIC


async def test_nodes_of_javascript_are_told_the_rooms(classic: Mixed) -> None:
    rooms = await classic.node("allRooms")
    assert {"node-room", "python-room", classic.client.id} <= set(rooms)


async def test_the_emitter_of_javascript_is_heard(classic: Mixed) -> None:
    await javascript_emits(classic)
