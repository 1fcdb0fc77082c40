"""Two emits of one node to one client of another never swap, whatever their sizes, rooms and forms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from socketeer.adapters import RedisAdapter, ShardedRedisAdapter
from socketeer.server.adapter import AdapterFactory
from socketeer.testing.stage import Stage
from tests.adapters.redis_nodes import nodes

MODES: dict[str, Callable[[str, str], AdapterFactory]] = {
    "classic": RedisAdapter,
    "static": lambda url, key: ShardedRedisAdapter(url, key, "static"),
    "dynamic": lambda url, key: ShardedRedisAdapter(url, key, "dynamic"),
    "dynamic-private": lambda url, key: ShardedRedisAdapter(url, key, "dynamic-private"),
}

#: Who an emit is for: each of these means the client.
ROOMS: tuple[list[str], ...] = ([], ["a"], ["b"], ["a", "b"], ["a", "nobody"], ["own"])

SIZES = st.sampled_from([0, 1, 100, 5_000, 70_000, 400_000])

EMITS = st.lists(
    st.tuples(st.sampled_from(ROOMS), SIZES, st.booleans(), st.booleans()), min_size=2, max_size=60
)


@pytest.mark.parametrize("mode", MODES)
async def test_emits_arrive_in_the_order_in_which_they_were_made(mode: str) -> None:
    first, second = nodes(MODES[mode], 2)
    for io in (first, second):
        io.start()
    stage = Stage([first, second], 30.0)
    client = stage.enter(1)
    client.socket.join(["a", "b"])
    for io in (first, second):
        await io.adapter.ready()  # type: ignore[attr-defined]

    def emit(emits: list[tuple[list[str], int, bool, bool]]) -> None:
        for number, (rooms, size, binary, excepting) in enumerate(emits):
            target = first.to([client.id if room == "own" else room for room in rooms])
            if excepting:
                target = target.except_("nobody")
            target.emit("news", number, b"x" * size if binary else "x" * size)

    runs: list[list[tuple[list[str], int, bool, bool]]] = []

    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(EMITS)
    def collect(emits: list[tuple[list[str], int, bool, bool]]) -> None:
        runs.append(emits)

    collect()
    for emits in runs:
        client.listen()
        client.events.clear()
        emit(emits)

        def arrived(emits: list[Any] = emits) -> bool:
            client.listen()
            return len(client.events) == len(emits)

        await stage.until(arrived, "everything arrives")
        assert [event[1] for event in client.events] == list(range(len(emits))), emits
    for io in (first, second):
        await io.close()


@pytest.mark.parametrize("mode", MODES)
async def test_emits_between_the_turns_of_the_loop_keep_their_order(mode: str) -> None:
    """Many batches: some leave while others are being made."""
    first, second = nodes(MODES[mode], 2)
    for io in (first, second):
        io.start()
    stage = Stage([first, second], 30.0)
    client = stage.enter(1)
    client.socket.join("a")
    for io in (first, second):
        await io.adapter.ready()  # type: ignore[attr-defined]
    count = 3000
    for number in range(count):
        target = first.to("a") if number % 3 else first.to([])
        told = target.emit("news", number, "x" * (50_000 if number % 97 == 0 else 10))
        if number % 10 == 0:
            await asyncio.sleep(0)
        if number % 500 == 0:
            await told

    def arrived() -> bool:
        client.listen()
        return len(client.events) == count

    await stage.until(arrived, "everything arrives")
    assert [event[1] for event in client.events] == list(range(count))
    for io in (first, second):
        await io.close()
