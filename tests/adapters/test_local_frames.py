"""Frames between nodes and a hub, in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.adapters.local_frames import MAX_FRAME, MAX_NAME, Frame, Kind, Splitter, encode, wire_name
from socketeer.errors import PacketError

FRAMES = st.lists(
    st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=MAX_NAME), st.binary(max_size=200)), max_size=8
)


def split(data: bytes, step: int) -> list[tuple[Frame, bytes]]:
    splitter = Splitter()
    return [each for start in range(0, len(data), step) for each in splitter.feed(data[start : start + step])]


@given(FRAMES, st.integers(1, 300))
def test_there_and_back(frames: list[tuple[Kind, bytes, bytes]], step: int) -> None:
    wholes = [encode(*each) for each in frames]
    found = split(b"".join(wholes), step)
    assert found == list(zip(frames, wholes, strict=True))


@given(st.binary(max_size=100), st.integers(1, 100))
def test_any_bytes_are_frames_or_refused(data: bytes, step: int) -> None:
    try:
        found = split(data, step)
    except PacketError:
        return
    assert data.startswith(b"".join(whole for _, whole in found))


@pytest.mark.parametrize("length", [0, 2, MAX_FRAME + 1, 0xFFFFFFFF])
def test_what_is_too_long_is_refused_by_its_length_alone(length: int) -> None:
    with pytest.raises(PacketError, match=f"a frame of {length} bytes"):
        list(Splitter().feed(length.to_bytes(4, "big")))


def test_a_large_frame_in_small_pieces_costs_one_copy() -> None:
    """Nothing is joined before the frame is whole."""
    splitter = Splitter()
    whole = encode(Kind.MESSAGE, b"c", bytes(1_000_000))
    last = len(whole) // 1000 * 1000
    for start in range(0, last, 1000):
        assert not list(splitter.feed(whole[start : start + 1000]))
    assert list(splitter.feed(whole[last:])) == [(Frame(Kind.MESSAGE, b"c", bytes(1_000_000)), whole)]


def test_long_names_have_short_ones() -> None:
    assert wire_name("é") == "é".encode()
    long = [wire_name("x" * size) for size in (MAX_NAME, MAX_NAME + 1, MAX_NAME + 2)]
    assert len(set(long)) == 3
    assert max(map(len, long)) == MAX_NAME
