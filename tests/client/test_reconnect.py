"""The waits between attempts. interop/test_backoff.py compares them with the official client's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.client.reconnect import Backoff
from socketeer.client_options import ReconnectOptions


def waits(count: int, chance: float = 0.0, **options: float) -> list[float]:
    backoff = Backoff(ReconnectOptions(**options), lambda: chance)  # type: ignore[arg-type]
    return [backoff.duration() for _ in range(count)]


def test_waits_double_up_to_the_most() -> None:
    assert waits(5, randomization_factor=0) == [1, 2, 4, 5, 5]


@pytest.mark.parametrize(("chance", "first"), [(0.0, 1.0), (0.05, 0.975), (0.15, 1.075), (0.99, 1.495)])
def test_waits_are_moved_at_random(chance: float, first: float) -> None:
    assert waits(1, chance) == [first]


def test_a_connection_begins_anew() -> None:
    backoff = Backoff(ReconnectOptions(randomization_factor=0))
    assert [backoff.duration(), backoff.duration(), backoff.attempts] == [1, 2, 2]
    backoff.reset()
    assert [backoff.attempts, backoff.duration()] == [0, 1]


def test_the_ten_thousandth_attempt() -> None:
    assert waits(10_000, 0.05)[-1] == 5


@given(
    chance=st.floats(0, 1, exclude_max=True),
    delay=st.floats(0, 100),
    most=st.floats(0, 100),
    factor=st.floats(0, 1),
    attempts=st.integers(1, 50),
)
def test_no_wait_is_out_of_range(
    chance: float, delay: float, most: float, factor: float, attempts: int
) -> None:
    for wait in waits(
        attempts, chance, reconnection_delay=delay, reconnection_delay_max=most, randomization_factor=factor
    ):
        assert 0 <= wait <= most + 1e-9  # waits are whole milliseconds of a number rounded far below one
        assert math.isfinite(wait)
