"""How long to wait before connecting again, as the official client does.

https://socket.io/docs/v4/client-options/#reconnectiondelay
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from socketeer.client_options import ReconnectOptions

#: Doublings beyond which a float would overflow before the cap is applied.
_MOST_DOUBLINGS = 1000


class Backoff:
    """Waits that double, moved at random, never above the maximum."""

    __slots__ = ("_options", "_random", "attempts")

    def __init__(self, options: ReconnectOptions, random: Callable[[], float] = random.random) -> None:
        self._options = options
        self._random = random
        self.attempts = 0

    def duration(self) -> float:
        """Seconds to wait before the next attempt, which is counted."""
        options = self._options
        # In milliseconds, and whole ones, to be what the official client computes from the same chance.
        wait = _milliseconds(options.reconnection_delay) * 2.0 ** min(self.attempts, _MOST_DOUBLINGS)
        self.attempts += 1
        if options.randomization_factor:
            chance = self._random()
            deviation = math.floor(chance * options.randomization_factor * wait)
            wait = wait + deviation if int(chance * 10) % 2 else wait - deviation
        return math.floor(min(wait, _milliseconds(options.reconnection_delay_max))) / 1000

    def reset(self) -> None:
        """A connection has been made."""
        self.attempts = 0


def _milliseconds(seconds: float) -> float:
    """Rounded far below a millisecond: 1.001 seconds are 1001, and not a little less."""
    return round(seconds * 1000, 6)
