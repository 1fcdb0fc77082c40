from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.timers import RESOLUTION, Clock, Patience, Timer, TimerWheel, grain_of, loop_wheel
from tests.support.clock import FakeClock


class Bench:
    """A wheel on a clock of its own, and a record of what fired when."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.wheel = TimerWheel(self.clock)
        self.fired: list[tuple[str, float]] = []

    def timer(self, name: str, then: Callable[[], None] | None = None) -> Timer:
        def fire() -> None:
            self.fired.append((name, self.clock.time()))
            if then is not None:
                then()

        return Timer(fire)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.fired]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_timer_fires_once_and_not_before_its_time(bench: Bench) -> None:
    bench.wheel.set(bench.timer("a"), 25.0)
    bench.clock.advance(24.999)
    assert bench.fired == []
    bench.clock.advance(0.001 + RESOLUTION)
    ((name, when),) = bench.fired
    assert name == "a"
    assert 1025.0 <= when <= 1025.0 + RESOLUTION
    bench.clock.advance(100)
    assert bench.names == ["a"]


@pytest.mark.parametrize(
    ("delay", "grain"), [(0.001, 1), (0.1, 1), (1.0, 1), (2.0, 2), (20.0, 20), (25.0, 25)]
)
def test_a_grain_is_two_percent_of_a_delay_and_one_bucket_at_least(delay: float, grain: int) -> None:
    assert grain_of(delay) == grain


@given(st.lists(st.floats(min_value=0.0, max_value=30.0), min_size=1), st.integers(min_value=1, max_value=50))
def test_timers_of_a_grain_fire_together_and_are_late_by_no_more_than_it(
    delays: list[float], grain: int
) -> None:
    bench = Bench()
    due = {str(at): bench.clock.time() + delay for at, delay in enumerate(delays)}
    for name, when in due.items():
        bench.wheel.set(bench.timer(name), when - bench.clock.time(), grain)
    bench.clock.advance(32)
    assert sorted(bench.names) == sorted(due)
    for name, when in bench.fired:
        assert due[name] - 1e-9 <= when <= due[name] + RESOLUTION * grain + 1e-9
    moments = sorted({when for _, when in bench.fired})
    assert all(later - earlier > RESOLUTION * (grain - 0.5) for earlier, later in pairwise(moments))


def test_the_loop_has_its_turn_among_very_many_that_are_due(bench: Bench) -> None:
    for number in range(2000):
        bench.wheel.set(bench.timer(str(number)), 1.0)
    turns: list[int] = []
    bench.clock.advance(0.999)
    while len(bench.fired) < 2000:
        before = len(bench.fired)
        bench.clock.run_next()
        turns.append(len(bench.fired) - before)
    assert max(turns) <= 512
    assert bench.names == [str(number) for number in range(2000)]
    assert bench.clock.pending == []


def test_timers_fire_in_the_order_of_their_buckets(bench: Bench) -> None:
    for name, delay in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        bench.wheel.set(bench.timer(name), delay)
    bench.clock.advance(10)
    assert bench.names == ["a", "b", "c"]


def test_of_one_bucket_the_first_set_fires_first(bench: Bench) -> None:
    for name in "cab":
        bench.wheel.set(bench.timer(name), 1.0)
    bench.clock.advance(2)
    assert bench.names == ["c", "a", "b"]
    assert len({when for _, when in bench.fired}) == 1


@pytest.mark.parametrize("to", [0.5, 1.0, 9.0])
def test_a_timer_set_again_is_moved(bench: Bench, to: float) -> None:
    timer = bench.timer("a")
    bench.wheel.set(timer, 1.0)
    bench.wheel.set(timer, to)
    bench.clock.advance(to - 0.001)
    assert bench.fired == []
    bench.clock.advance(RESOLUTION + 0.001)
    assert bench.names == ["a"]
    bench.clock.advance(10)
    assert bench.names == ["a"]


def test_a_cleared_timer_does_not_fire(bench: Bench) -> None:
    timer = bench.timer("a")
    bench.wheel.clear(timer)
    bench.wheel.set(timer, 1.0)
    bench.wheel.clear(timer)
    bench.wheel.clear(timer)
    bench.wheel.set(bench.timer("b"), 1.0)
    bench.clock.advance(10)
    assert bench.names == ["b"]
    bench.wheel.set(timer, 1.0)
    bench.clock.advance(10)
    assert bench.names == ["b", "a"]


def test_a_timer_may_set_itself_again(bench: Bench) -> None:
    timer = bench.timer("a", lambda: bench.wheel.set(timer, 1.0) if len(bench.fired) < 3 else None)
    bench.wheel.set(timer, 1.0)
    bench.clock.advance(10)
    times = [1000.0, *(when for _, when in bench.fired)]
    assert len(times) == 4
    assert all(1.0 <= after - before <= 1.0 + RESOLUTION + 1e-9 for before, after in pairwise(times))


def test_a_timer_may_clear_another_of_its_bucket(bench: Bench) -> None:
    second = bench.timer("second")
    bench.wheel.set(bench.timer("first", lambda: bench.wheel.clear(second)), 1.0)
    bench.wheel.set(second, 1.0)
    bench.wheel.set(bench.timer("third"), 1.0)
    bench.clock.advance(10)
    assert bench.names == ["first", "third"]


def test_a_timer_may_move_another_of_its_bucket(bench: Bench) -> None:
    second = bench.timer("second")
    bench.wheel.set(bench.timer("first", lambda: bench.wheel.set(second, 1.0)), 1.0)
    bench.wheel.set(second, 1.0)
    bench.clock.advance(1.5)
    assert bench.names == ["first"]
    bench.clock.advance(1)
    assert bench.names == ["first", "second"]


def test_a_timer_may_clear_one_that_is_due_as_well(bench: Bench) -> None:
    """The clock comes late, so that two buckets are due at once."""
    late = bench.timer("late")
    bench.wheel.set(bench.timer("early", lambda: bench.wheel.clear(late)), 1.0)
    bench.wheel.set(late, 2.0)
    bench.clock._now += 5  # a clock that stood still for so long
    bench.clock.advance(0)
    assert bench.names == ["early"]


def test_a_clock_that_comes_late_finds_everything_that_is_due(bench: Bench) -> None:
    for name, delay in (("a", 1.0), ("b", 1.5), ("c", 9.0)):
        bench.wheel.set(bench.timer(name), delay)
    bench.clock._now += 5
    bench.clock.advance(0)
    assert bench.names == ["a", "b"]
    bench.clock.advance(5)
    assert bench.names == ["a", "b", "c"]


@pytest.mark.parametrize(("early", "fires"), [(0.0005, True), (0.005, False)])
def test_a_clock_may_come_a_millisecond_early(bench: Bench, early: float, fires: bool) -> None:
    bench.wheel.set(bench.timer("a"), 1.0)
    (when,) = bench.clock.pending
    bench.clock._now = when - early
    ((_, _, call),) = bench.clock._calls
    call.cancel()
    call.function()
    assert bench.names == (["a"] if fires else [])
    bench.clock.advance(1)
    assert bench.names == ["a"]


def test_a_timer_that_raises_stops_no_other(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("of the test")

    bench.wheel.set(bench.timer("a", fail), 1.0)
    bench.wheel.set(bench.timer("b"), 1.0)
    bench.wheel.set(bench.timer("c"), 2.0)
    bench.clock.advance(3)
    assert bench.names == ["a", "b", "c"]
    assert [record.getMessage() for record in caplog.records] == ["a timer failed"]
    assert caplog.records[0].levelno == logging.ERROR
    assert "of the test" in caplog.text


# --- what the clock is asked for -------------------------------------------------------------------


def test_the_clock_is_asked_for_one_wake_up_at_a_time(bench: Bench) -> None:
    assert bench.clock.pending == []
    bench.wheel.set(bench.timer("a"), 25.0)
    (far,) = bench.clock.pending
    assert 1025.0 <= far <= 1025.0 + RESOLUTION
    for number in range(50):
        bench.wheel.set(bench.timer("b"), 0.1)
        (near,) = bench.clock.pending
        assert 0.1 <= near - bench.clock.time() <= 0.1 + RESOLUTION + 1e-9
        bench.clock.advance(0.2)
        assert bench.names == ["b"] * (number + 1)
        assert bench.clock.pending == [far]
    bench.clock.advance(25)
    assert bench.clock.pending == []


def test_a_later_timer_asks_for_nothing(bench: Bench) -> None:
    bench.wheel.set(bench.timer("a"), 1.0)
    asked = bench.clock.pending
    bench.wheel.set(bench.timer("b"), 1.0)
    bench.wheel.set(bench.timer("c"), 2.0)
    assert bench.clock.pending == asked


def test_an_idle_wheel_asks_for_nothing(bench: Bench) -> None:
    timers = [bench.timer("a") for _ in range(100)]
    for number, timer in enumerate(timers):
        bench.wheel.set(timer, number / 10)
    for timer in timers:
        bench.wheel.clear(timer)
    bench.clock.advance(1)
    assert bench.clock.pending == []
    assert bench.fired == []


def test_a_timer_that_moves_often_leaves_nothing_behind(bench: Bench) -> None:
    """A heartbeat is moved for each pong, for as long as its session lives."""
    timer = bench.timer("a")
    for _ in range(1000):
        bench.wheel.set(timer, 25.0)
        bench.clock.advance(1.0)
    assert bench.fired == []
    assert len(bench.wheel._buckets) == len(bench.wheel._ticks) <= 27


# --- any order of calls ----------------------------------------------------------------------------

delays = st.floats(0.001, 5, allow_nan=False).map(lambda delay: round(delay, 3))
actions = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 3), delays),
    st.tuples(st.just("clear"), st.integers(0, 3), st.just(0.0)),
    st.tuples(st.just("wait"), st.just(0), delays),
)


@given(st.lists(actions, max_size=40))
def test_each_timer_fires_in_its_time_and_no_other(script: list[tuple[str, int, float]]) -> None:
    bench = Bench()
    timers = [bench.timer(str(number)) for number in range(4)]
    due: dict[str, float] = {}
    for action, number, seconds in [*script, ("wait", 0, 10.0)]:
        if action == "set":
            bench.wheel.set(timers[number], seconds)
            due[str(number)] = bench.clock.time() + seconds
        elif action == "clear":
            bench.wheel.clear(timers[number])
            due.pop(str(number), None)
        else:
            bench.clock.advance(seconds)
        for name, when in bench.fired:
            assert -0.0011 <= when - due.pop(name) <= RESOLUTION + 1e-6
        bench.fired.clear()
        now = bench.clock.time()
        assert all(when > now - RESOLUTION - 1e-6 for when in due.values()), "one is overdue"
        assert len(bench.clock.pending) <= 1
        assert bench.clock.pending or not due
    assert due == {}


# --- the loop's own clock --------------------------------------------------------------------------


async def test_on_a_real_loop() -> None:
    loop = asyncio.get_running_loop()
    clock: Clock = loop
    wheel = loop_wheel()
    assert abs(wheel.time() - clock.time()) < 1
    fired: asyncio.Future[float] = loop.create_future()
    timer = Timer(lambda: fired.set_result(loop.time()))
    start = loop.time()
    wheel.set(timer, 60.0)
    wheel.set(timer, 0.01)
    async with asyncio.timeout(5):
        assert await fired >= start + 0.01 - 0.001


def test_a_retired_timer_holds_nobody() -> None:
    told: list[str] = []
    timer = Timer(lambda: told.append("late"))
    timer.retire()
    timer.callback()
    assert told == []


def test_equal_deadlines_have_one_timer(bench: Bench) -> None:
    late: list[str] = []
    patience = Patience(bench.wheel, 5.0, late.append)
    patience.begin("a")
    bench.clock.advance(1)
    patience.begin("b")
    patience.begin("a")  # has begun already
    bench.clock.advance(1)
    patience.begin("c")
    patience.end("b")
    patience.end("never")
    assert (len(patience), late) == (2, [])
    bench.clock.advance(3 + 2 * RESOLUTION)
    assert late == ["a"]
    bench.clock.advance(2)
    assert (len(patience), late) == (0, ["a", "c"])
    bench.clock.advance(10)
    patience.begin("a")
    bench.clock.advance(5 + 2 * RESOLUTION)
    assert late == ["a", "c", "a"]


def test_one_that_fails_keeps_none_from_its_end(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    late: list[int] = []

    def fail(one: int) -> None:
        late.append(one)
        raise ValueError

    patience = Patience(bench.wheel, 5.0, fail)
    patience.begin(1)
    patience.begin(2)
    bench.clock.advance(6)
    assert late == [1, 2]
    assert "a timer failed" in caplog.text


def test_so_many_that_others_have_their_turn_between_them(bench: Bench) -> None:
    late: list[int] = []
    patience = Patience(bench.wheel, 5.0, late.append)
    for number in range(1300):
        patience.begin(number)
    bench.clock.advance(5 + RESOLUTION)
    at_once = len(late)
    bench.clock.advance(1)
    assert 0 < at_once < 1300
    assert late == list(range(1300))
