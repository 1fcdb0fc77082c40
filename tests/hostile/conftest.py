"""Servers to attack, started once for each set of options and shared, so that each survives many attacks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import pytest_asyncio

from socketeer import Server
from tests.hostile.arena import Arena, Setup
from tests.support.serving import serving

Arenas = Callable[..., AbstractAsyncContextManager[Arena]]

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def arenas() -> AsyncIterator[Arenas]:
    """`arenas(setup, **options)` enters a server with these options, watched while the block lasts."""
    running: dict[object, Arena] = {}
    async with contextlib.AsyncExitStack() as stack:

        @contextlib.asynccontextmanager
        async def enter(
            setup: Setup | None = None, *, lines: int = 1, **options: Any
        ) -> AsyncIterator[Arena]:
            key = (setup, repr(options))
            if key not in running:
                arena = Arena(Server(**options), setup)
                arena.port = await stack.enter_async_context(serving(arena.io))
                await arena.served()
                running[key] = arena
            async with running[key].watched(lines) as arena:
                yield arena

        yield enter


@pytest_asyncio.fixture(loop_scope="package")
async def arena(arenas: Arenas, request: pytest.FixtureRequest) -> AsyncIterator[Arena]:
    """The server with its default options."""
    async with arenas() as arena:
        yield arena
        arena.failed = request.node.stash.get(FAILED, False)
