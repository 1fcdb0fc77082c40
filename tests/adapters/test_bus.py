"""What is too large for a broker is refused before it is sent."""

from __future__ import annotations

import pytest

from socketeer.adapters.bus import Bus, check_size
from socketeer.errors import MessageTooLarge
from tests.adapters.bus import Exchange, LoopBus


@pytest.fixture
def bus() -> Bus:
    loop_bus = LoopBus(Exchange())
    loop_bus.max_message_size = 10
    return loop_bus


@pytest.mark.parametrize("size", [0, 10])
def test_up_to_the_limit_all_is_well(bus: Bus, size: int) -> None:
    check_size(bus, b"x" * size)


def test_above_it_the_error_says_which_option_to_change(bus: Bus) -> None:
    with pytest.raises(
        MessageTooLarge, match=r"at most 10 bytes for the test's bus \(max_message_size\), got 11"
    ):
        check_size(bus, b"x" * 11)


async def test_nothing_of_it_is_published(bus: Bus) -> None:
    with pytest.raises(MessageTooLarge):
        bus.publish("news", b"x" * 11)
    assert bus.health.published == 0
