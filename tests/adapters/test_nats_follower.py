"""Following a channel: each message once, in order, however it came; checked against a stream that is a list."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.adapters.nats_api import Reading
from socketeer.adapters.nats_follower import Follower, Place
from socketeer.errors import BrokerUnavailable


class Stream:
    """Places of one channel, and a follower."""

    def __init__(self, *places: int, begin: int | None = 0) -> None:
        self.places = list(places)
        self.passed: list[int] = []
        self.aways = 0
        self.follower = Follower("log", lambda place, payload: self.passed.append(place), self.away)
        self.follower.position = begin

    def away(self) -> None:
        self.aways += 1

    def comes(self, place: int) -> bool:
        before = max((each for each in self.places if each < place), default=0)
        return self.follower.came(Place(place, before), b"")

    def read(self, page: int = 2) -> None:
        start = (self.follower.position or 0) + 1
        rest = [each for each in self.places if each >= start]
        self.follower.read(Reading([(each, b"") for each in rest[:page]], len(rest) > page))

    def look(self) -> None:
        """As at a ping."""
        if self.follower.doubtful(max(self.places)):
            self.follower.check(max(self.places))

    def catch_up(self) -> None:
        while self.follower.late:
            self.read()


def test_what_comes_in_order_is_passed_on() -> None:
    stream = Stream(3, 4, 9)
    assert all(stream.comes(each) for each in (3, 4, 9))
    assert stream.passed == [3, 4, 9]


def test_what_came_twice_is_passed_on_once() -> None:
    stream = Stream(3, 4)
    assert all(stream.comes(each) for each in (3, 4, 3, 4))
    assert stream.passed == [3, 4]


def test_after_a_gap_everything_waits_for_what_was_missed() -> None:
    stream = Stream(3, 4, 9, 12)
    assert stream.comes(3)
    assert not stream.comes(9)
    assert not stream.comes(12)
    assert stream.passed == [3]
    stream.catch_up()
    assert stream.passed == [3, 4, 9, 12]
    stream.places.append(13)
    assert stream.comes(13)


def test_what_the_stream_does_not_have_any_more_is_not_waited_for() -> None:
    stream = Stream(3, 9)
    assert not stream.follower.came(Place(9, 7), b"")
    stream.catch_up()
    assert stream.passed == [3, 9]


def test_a_place_that_was_made_up_does_not_make_it_deaf() -> None:
    stream = Stream(1, 2)
    stream.comes(1)
    stream.look()
    stream.follower.came(Place(10**15, 1), b"")  # as if it were the next
    stream.comes(2)
    assert stream.passed == [1, 10**15]
    stream.look()
    stream.catch_up()
    assert stream.passed == [1, 10**15, 2]
    stream.follower.came(Place(10**16, 10**15), b"")  # as if one were missing
    stream.catch_up()
    stream.places.append(3)
    assert stream.comes(3)
    assert stream.passed[-1] == 3


def test_another_stream_of_the_same_name() -> None:
    stream = Stream(7, 8)
    stream.comes(7)
    stream.follower.begin_anew(known=True)
    stream.places = [1, 2]
    stream.follower.late = True
    stream.catch_up()
    assert stream.passed == [7, 1, 2]
    fresh = Stream(5, begin=None)
    fresh.follower.begin_anew(known=False)
    assert fresh.follower.position is None


async def test_waiting_until_it_has_got_somewhere() -> None:
    stream = Stream(3, 4)
    follower = stream.follower
    await follower.reached(0)
    three, four, five = (asyncio.ensure_future(follower.reached(place)) for place in (3, 4, 5))
    await asyncio.sleep(0)
    four.cancel()
    stream.comes(3)
    await three
    stream.comes(4)
    assert not five.done()
    follower.lost()
    with pytest.raises(BrokerUnavailable):
        await five
    assert stream.aways == 1


@given(st.lists(st.integers(1, 40), unique=True, min_size=1), st.data())
def test_each_message_once_and_in_order_whatever_is_lost(places: list[int], data: st.DataObject) -> None:
    """Messages are stored one by one; each comes, or does not; now and then somebody looks, and reads."""
    stream = Stream()
    for place in sorted(places):
        stream.places.append(place)
        if data.draw(st.booleans()):
            stream.comes(place)
        if data.draw(st.booleans()):
            stream.look()
        if stream.follower.late and data.draw(st.booleans()):
            stream.read()
    for _ in range(2):  # nothing comes any more
        stream.look()
        stream.catch_up()
    stream.look()
    stream.catch_up()
    assert stream.passed == sorted(places)
    assert not stream.follower.late
    assert (len(stream.follower._held), stream.follower._held_bytes) == (0, 0)


def test_what_comes_meanwhile_goes_on_from_where_reading_has_got_to() -> None:
    """However much comes: it need not be read."""
    stream = Stream(1, 2, 3)
    stream.comes(1)
    stream.comes(3)
    for place in range(4, 100):
        stream.places.append(place)
        assert not stream.comes(place)
    stream.read()  # 2 and 3
    assert not stream.follower.late
    assert stream.passed == list(range(1, 100))


def test_what_is_held_back_is_bounded() -> None:
    stream = Stream(1, 2)
    stream.comes(2)
    for place in range(3, 3000):
        stream.places.append(place)
        stream.comes(place)
        assert len(stream.follower._held) <= 1000
    stream.catch_up()
    assert stream.passed == list(range(1, 3000))


def test_in_traffic_nobody_looks_for_what_is_on_its_way() -> None:
    stream = Stream(1, 2, 3)
    for place in (1, 2, 3):
        stream.comes(place)
        assert not stream.follower.doubtful(place + 1)
    assert stream.follower.doubtful(4), "nothing has come since the last look, and there was something then"
