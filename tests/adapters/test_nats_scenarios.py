"""Faults that every engine is put to, done to a real NATS: on core NATS and with JetStream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from socketeer.adapters import JetStream, NatsAdapter
from socketeer.adapters.broker import LinkOptions
from socketeer.adapters.heartbeat import Heartbeat
from tests.adapters.faults import QUICK, Broker, Faults
from tests.support.nats_server import NatsServer

BEATS = Heartbeat(interval=0.5, timeout=5.0)
KEPT = JetStream(max_bytes=2**26)


def core(
    url: str, key: str, link: LinkOptions = QUICK, heartbeat: Heartbeat = BEATS, **options: Any
) -> NatsAdapter:
    return NatsAdapter(url, key, heartbeat=heartbeat, link=link, **options)


def jetstream(url: str, key: str, link: LinkOptions = QUICK, **options: Any) -> NatsAdapter:
    return core(url, key, link, jetstream=KEPT, **options)


class TestCore(Faults):
    node = f"{__name__}:core"
    make: ClassVar[Callable[..., NatsAdapter]] = staticmethod(core)
    heartbeat = BEATS

    @contextmanager
    def run_broker(self, folder: Path) -> Iterator[Broker]:
        server = NatsServer(folder)
        try:
            yield server
        finally:
            server.stop()

    def adapter(self, url: str, key: str, link: LinkOptions, **options: Any) -> NatsAdapter:
        return self.make(url, key, link, heartbeat=self.heartbeat, **options)

    @pytest.mark.slow
    @pytest.mark.timeout(150)
    async def test_a_broker_that_is_away_for_half_a_minute(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.heartbeat = Heartbeat(interval=0.5, timeout=90.0)
        await self.kill(broker, 30, caplog)


class TestJetStream(TestCore):
    node = f"{__name__}:jetstream"
    make = staticmethod(jetstream)
