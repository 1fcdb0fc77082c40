"""The waits before attempts to connect again are the official client's, for the same random numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interop.harness import HERE, Process
from socketeer.client.reconnect import Backoff
from socketeer.client_options import ReconnectOptions


@pytest.fixture(scope="module")
def reference(node: str) -> Iterator[Process]:
    process = Process([node, "backoff.mjs"], HERE / "reference")
    yield process
    process.stop()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    delay=st.integers(1, 20_000),
    most=st.integers(1, 60_000),
    jitter=st.floats(0, 1),
    chances=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=12),
)
def test_the_same_waits(
    reference: Process, delay: int, most: int, jitter: float, chances: list[float]
) -> None:
    reference.write(json.dumps({"min": delay, "max": most, "jitter": jitter, "chances": chances}))
    official = reference.read()["waits"]
    options = ReconnectOptions(
        reconnection_delay=delay / 1000, reconnection_delay_max=most / 1000, randomization_factor=jitter
    )
    backoff = Backoff(options, iter(chances).__next__)
    ours = [round(backoff.duration() * 1000) for _ in chances]
    assert ours == official
