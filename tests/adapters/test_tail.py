"""What a node remembers of a log: what is kept, by which bounds, and that nothing is missing in the middle."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from socketeer.adapters.durable import Entry
from socketeer.adapters.messages import Broadcast, EventPacket, Kind, Message, Opts
from socketeer.adapters.tail import Tail, concerns
from socketeer.options import Recovery
from socketeer.protocol.frame import Message as Frame
from socketeer.server.adapter import Target


def encode(data: Any, offset: str) -> Frame:
    return Frame(f"{data.packet.data[0]} at {offset}".encode())


def make(place: int, target: Target | None = None, size: int = 10) -> tuple[Entry, Broadcast]:
    data = Broadcast(opts=Opts.of(target or Target()), packet=EventPacket([f"x{place}"]))
    return Entry(f"e{place}", (place,), Message(Kind.BROADCAST, "/", "node", data), 0, size), data


def tail_of(*places: int, **bounds: Any) -> Tail:
    """One that has begun at 0."""
    tail = Tail(Recovery(**bounds), encode)
    for place in (0, *places):
        tail.append(*make(place), float(place))
    return tail


def places(tail: Tail, after: int, *rooms: str) -> list[int]:
    found = tail.since((after,), rooms)
    assert [frame.text.decode() for _, frame in found] == [f"x{each[1:]} at {each}" for each, _ in found]
    return [int(offset[1:]) for offset, _ in found]


def test_nothing_is_known_at_first() -> None:
    tail = Tail(Recovery(), encode)
    assert not tail.covers((0,))
    tail.append(*make(5), 0.0)
    assert (tail.covers((4,)), tail.covers((5,)), len(tail)) == (False, True, 0)


def test_what_is_not_for_clients_counts_as_come_by() -> None:
    tail = Tail(Recovery(), encode)
    tail.append(make(5)[0], None, 0.0)
    tail.append(make(6)[0], None, 0.0)
    assert (tail.covers((5,)), places(tail, 5)) == (True, [])


def test_reading_by_rooms() -> None:
    targets = [
        Target(),
        Target(("a",)),
        Target(("a", "b", "a")),
        Target((), ("a",)),
        Target(("b",), ("a",)),
    ]
    tail = tail_of()
    for place, target in enumerate(targets, 1):
        tail.append(*make(place, target), 0.0)
    for rooms in ((), ("a",), ("b",), ("a", "b"), ("c",)):
        expected = [place for place, target in enumerate(targets, 1) if concerns(target, rooms)]
        assert places(tail, 0, *rooms) == expected, rooms
        assert places(tail, 2, *rooms) == [each for each in expected if each > 2]


def test_the_oldest_go_by_number_by_bytes_and_by_age() -> None:
    tail = tail_of(*range(1, 11), max_packets=4)
    assert (len(tail), tail.start, places(tail, 6)) == (4, (6,), [7, 8, 9, 10])
    tail = tail_of(*range(1, 11), max_disconnection_duration=3)
    assert places(tail, 0) == [7, 8, 9, 10]
    tail = tail_of(*range(1, 101), max_bytes=5_000)
    assert 0 < tail.bytes <= 5_000
    assert 0 < len(tail) < 20
    tail.append(*make(200, size=10_000), 200.0)
    assert (len(tail), tail.bytes, tail._lines, tail.start) == (0, 0, {}, (200,))


def test_another_log_of_the_same_name_begins_anew() -> None:
    tail = tail_of(5, 6)
    tail.append(*make(2), 0.0)
    assert (len(tail), tail.start) == (0, (2,))
    tail.append(*make(3), 0.0)
    assert places(tail, 2) == [3]


def test_something_older_goes_in_front_and_what_is_here_already_is_not_doubled() -> None:
    tail = Tail(Recovery(), encode)
    for place in (5, 6, 7):
        tail.append(*make(place), 0.0)
    tail.extend((1,), [make(place) for place in range(2, 7)], 0.0)
    assert places(tail, 1) == [2, 3, 4, 5, 6, 7]
    assert (tail.covers((0,)), tail.covers((1,))) == (False, True)
    empty = Tail(Recovery(), encode)
    empty.extend((1,), [make(2)], 0.0)
    empty.append(*make(3), 0.0)
    assert places(empty, 1) == [2, 3]


def test_what_is_sent_is_a_copy() -> None:
    tail = tail_of(1)
    (first,), (second,) = tail.since((0,), ()), tail.since((0,), ())
    assert first[1] is not second[1]
    assert first[1].text == second[1].text


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_like_a_list(chance: random.Random, bound: int) -> None:
    tail, all_ = Tail(Recovery(max_packets=bound), encode), list[tuple[int, Target]]()
    tail.append(*make(0), 0.0)
    for place in range(1, 60):
        names = [chance.choice("abc") for _ in range(chance.randrange(3))]
        target = Target(tuple(names), tuple(chance.choice("abc") for _ in range(chance.randrange(2))))
        all_.append((place, target))
        tail.append(*make(place, target), 0.0)
        after, rooms = chance.randrange(place), chance.sample("abc", chance.randrange(4))
        if tail.covers((after,)):
            expected = [at for at, each in all_ if at > after and concerns(each, rooms)]
            assert places(tail, after, *rooms) == expected
        else:
            assert place - after > bound
