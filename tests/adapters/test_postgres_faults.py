"""Faults, done to a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from socketeer.adapters import PostgresAdapter
from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.heartbeat import Heartbeat
from socketeer.server.adapter import AdapterFactory
from tests.adapters.faults import PATIENCE, QUICK, Broker, Faults, Play, check_lines, health_of
from tests.support.postgres_server import postgres_server

BEATS = Heartbeat(interval=0.5, timeout=5.0)


def make(
    url: str, key: str, link: LinkOptions = QUICK, heartbeat: Heartbeat = BEATS, **options: Any
) -> PostgresAdapter:
    return PostgresAdapter(url, channel_prefix=key, link=link, heartbeat=heartbeat, **options)


class TestPostgres(Faults):
    node = f"{__name__}:make"
    heartbeat = BEATS

    @contextmanager
    def run_broker(self, folder: Path) -> Iterator[Broker]:
        with postgres_server() as server:
            yield server

    def adapter(self, url: str, key: str, link: LinkOptions, **options: Any) -> AdapterFactory:
        return make(url, key, link, self.heartbeat, **options)

    @pytest.mark.slow
    @pytest.mark.timeout(150)
    async def test_a_broker_that_is_away_for_half_a_minute(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.heartbeat = Heartbeat(interval=0.5, timeout=90.0)
        await self.kill(broker, 30, caplog)

    @pytest.mark.parametrize("which", ["listening", "publishing"])
    async def test_a_connection_that_is_ended(
        self, broker: Broker, which: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """By an administrator, or by whatever watches over connections."""
        async with self.play(broker) as play:
            for number in range(1, 4):
                caplog.clear()
                await end_connections(broker.url, which)
                await play.until(lambda n=number: have_come_back(play, n), "both are back")  # type: ignore[misc]
                await play.whole()
                check_lines(caplog, 2)


async def end_connections(url: str, which: str) -> None:
    listening = "query LIKE 'LISTEN%' OR query LIKE '%unnest($1::bigint%'"
    clause = listening if which == "listening" else f"NOT ({listening})"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE pid <> pg_backend_pid() AND client_port IS NOT NULL AND ({clause})"
        )
    finally:
        await connection.close()


def have_come_back(play: Play, times: int) -> bool:
    return all(health_of(io).reconnections == times for io in play.servers)


def test_patience_is_longer_than_heartbeats() -> None:
    assert BEATS.timeout < PATIENCE
