"""A clock for a timer wheel that moves when the test says so."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any


class Call:
    """A call that the clock has been asked for."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """A loop's clock that stands still until it is moved. Implements `socketeer.engine.timers.Clock`."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._order = count()
        self._calls: list[tuple[float, int, Call]] = []

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Call:
        call = Call(lambda: callback(*args))
        heapq.heappush(self._calls, (when, next(self._order), call))
        return call

    @property
    def pending(self) -> list[float]:
        """The times that somebody waits for, the earliest first."""
        return [when for when, _, call in sorted(self._calls) if not call.cancelled]

    def advance(self, seconds: float) -> None:
        """Let so much time pass, and everything happen that falls due in it."""
        end = self._now + seconds
        while self._calls and self._calls[0][0] <= end:
            self.run_next()
        self._now = end

    def run_next(self) -> None:
        """Let time pass until the next call is due, and make that call, unless it is cancelled."""
        when, _, call = heapq.heappop(self._calls)
        if not call.cancelled:
            self._now = max(self._now, when)
            call.function()
