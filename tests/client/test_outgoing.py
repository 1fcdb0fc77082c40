"""Events on their way out."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from socketeer.client.outgoing import NO_FLAGS, Outgoing


def test_flags_are_shared_and_cannot_change() -> None:
    assert (NO_FLAGS.volatile, NO_FLAGS.compress, NO_FLAGS.timeout) == (False, True, None)
    with pytest.raises(FrozenInstanceError):
        NO_FLAGS.volatile = True  # type: ignore[misc]


def test_two_events_that_look_alike_are_two() -> None:
    one, two = Outgoing(("a",)), Outgoing(("a",))
    assert one != two
    waiting = [one, two]
    waiting.remove(two)
    assert waiting == [one]
