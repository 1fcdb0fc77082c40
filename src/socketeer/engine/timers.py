"""One timer wheel for every heartbeat and every deadline in the process.

A loop's own timers cost an object and a heap operation each; ten thousand heartbeats want neither.
Deadlines fall into buckets of ``RESOLUTION`` seconds, and the clock is asked for one wake-up at a
time: the earliest bucket's. A :class:`Timer` is made once by its owner and set again and again.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Protocol

log = logging.getLogger("socketeer")

#: Seconds. A deadline fires at most this much late, and a millisecond early.
RESOLUTION = 0.02
#: Timers that fire in one go; then the loop has its turn.
_AT_ONCE = 512


@lru_cache
def grain_of(delay: float) -> int:
    """The grain of timers that may be late by 2 % of ``delay`` seconds, for :meth:`TimerWheel.set`."""
    return max(1, int(delay * 0.02 / RESOLUTION))


class WakeUp(Protocol):
    """A call that the clock has been asked for."""

    def cancel(self) -> None:
        """Do not call."""
        ...


class Clock(Protocol):
    """What the wheel needs of an event loop; tests give it a clock of their own."""

    def time(self) -> float:
        """Seconds, from any starting point, never backwards."""
        ...

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> WakeUp:
        """Call back at that time."""
        ...


class Deadline(Protocol):
    """What the wheel runs: a :class:`Timer`, or an object that has but one deadline and is spared a second one."""

    tick: int

    def callback(self) -> None:
        """The time has come."""
        ...


class Timer:
    """A deadline that can be set, moved and cleared."""

    __slots__ = ("callback", "tick")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] = callback
        self.tick = -1
        """The bucket it stands in; -1 when it is not set."""

    def retire(self) -> None:
        """It will not be set any more: let go of its owner, which holds it."""
        self.callback = _nothing


def _nothing() -> None:
    """What a retired timer calls."""


class TimerWheel:
    """Runs timers. All calls come from the thread of its clock.

    Attributes:
        time: the clock's time; its own method, as it is asked often.
    """

    __slots__ = ("_buckets", "_clock", "_next", "_ticks", "_wake_up", "time")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.time: Final[Callable[[], float]] = clock.time
        self._buckets: dict[int, dict[Timer | Deadline, None]] = {}
        self._ticks: list[int] = []
        """A heap of the buckets' numbers, each of them once."""
        self._next = -1
        """The bucket that the clock will wake us for; -1 for none."""
        self._wake_up: WakeUp | None = None
        """What the clock gave us for it."""

    def set(self, timer: Timer | Deadline, delay: float, grain: int = 1) -> None:
        """Fire ``timer`` once, in ``delay`` seconds; a timer already set is moved.

        With a ``grain`` it may be late by so many buckets, and fires together with others of that grain: a
        wake-up of an idle process costs more than all that is done in it for one timer.
        """
        if timer.tick >= 0:
            self.clear(timer)
        time = self.time  # a name first: calling a slot's content at once is slow in Python 3.11
        tick = int((time() + delay) / RESOLUTION) + 1
        if grain > 1:
            tick += -tick % grain
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heapq.heappush(self._ticks, tick)
            if self._next < 0 or tick < self._next:
                self._ask(tick)
        bucket[timer] = None
        timer.tick = tick

    def clear(self, timer: Timer | Deadline) -> None:
        """Do not fire ``timer``; nothing happens where it is not set."""
        if timer.tick >= 0:
            bucket = self._buckets.get(timer.tick)
            if bucket is not None:
                # An empty bucket stays in the heap until its turn: taking it out would cost more.
                bucket.pop(timer, None)
            timer.tick = -1

    def _ask(self, tick: int) -> None:
        if self._wake_up is not None:
            self._wake_up.cancel()
        self._next = tick
        self._wake_up = self._clock.call_at(tick * RESOLUTION, self._run)

    def _run(self) -> None:
        self._next, self._wake_up = -1, None
        # Loops round a wake-up to their own resolution, so it may come a millisecond early.
        now = int((self.time() + 0.001) / RESOLUTION)
        left = _AT_ONCE
        while self._ticks and (self._ticks[0] <= now or not self._buckets[self._ticks[0]]):
            tick = self._ticks[0]
            bucket = self._buckets[tick]
            if len(bucket) > left:
                self._fire(tick, list(islice(bucket, left)))
                break
            left -= len(bucket)
            heapq.heappop(self._ticks)
            self._fire(tick, self._buckets.pop(tick))
        if self._ticks and (self._next < 0 or self._ticks[0] < self._next):
            self._ask(self._ticks[0])

    def _fire(self, tick: int, timers: Iterable[Timer | Deadline]) -> None:
        for timer in list(timers):
            if timer.tick != tick:
                continue  # cleared or moved by a timer of the same bucket
            self.clear(timer)
            try:
                timer.callback()
            except Exception:
                log.exception("a timer failed")


class Patience:
    """Deadlines that are all equally far away, so that the oldest is the next: one timer for all, and none for each.

    For what begins often and ends in time nearly always.
    """

    __slots__ = ("_delay", "_due", "_late", "_timer", "wheel")

    def __init__(self, wheel: TimerWheel, delay: float, late: Callable[[Any], None]) -> None:
        self.wheel: Final = wheel
        self._delay = delay
        self._late = late
        self._due: dict[Any, float] = {}
        self._timer = Timer(self._look)

    def __len__(self) -> int:
        return len(self._due)

    def begin(self, one: object) -> None:
        """``late(one)`` is called after the delay; where it has begun already, nothing changes."""
        if one in self._due:
            return
        self._due[one] = self.wheel.time() + self._delay
        if self._timer.tick < 0:
            self.wheel.set(self._timer, self._delay)

    def end(self, one: object) -> None:
        """It is not, if it has not been yet."""
        self._due.pop(one, None)

    def _look(self) -> None:
        now = self.wheel.time() + RESOLUTION / 2
        left = _AT_ONCE
        while self._due:
            one, due = next(iter(self._due.items()))
            if due > now or not left:
                self.wheel.set(self._timer, max(0.0, due - now))
                return
            left -= 1
            del self._due[one]
            try:
                self._late(one)
            except Exception:
                log.exception("a timer failed")


def loop_wheel() -> TimerWheel:
    """A wheel on the running event loop."""
    return TimerWheel(asyncio.get_running_loop())
