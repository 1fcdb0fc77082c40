"""Python's servers and the official ones in one cluster, over the real Redis and in each of the adapter's formats."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from interop.mixed import Mixed, MixedCases, cluster, javascript_emits
from interop.redis_cluster import CLASSIC, MODES, adapter_for
from tests.support import requirements


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
