"""The seam of buses."""

from __future__ import annotations

import pytest

from socketeer.adapters.bus import Bus, check_size
from socketeer.errors import MessageTooLarge
from tests.adapters.bus import Exchange, LoopBus


def test_a_message_has_at_most_so_many_bytes() -> None:
    bus: Bus = LoopBus(Exchange())
    check_size(bus, bytes(bus.max_message_size))
    with pytest.raises(MessageTooLarge, match=r"at most 1000000 bytes for the test's bus .*, got 1000001"):
        check_size(bus, bytes(bus.max_message_size + 1))
