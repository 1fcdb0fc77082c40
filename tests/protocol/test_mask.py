"""Frames of a client: what `raw` reads by the letter of RFC 6455 is what was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.protocol.frame import Message
from socketeer.protocol.mask import mask, masked_frame, masked_frames


def unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """First byte and payload of each frame, read byte by byte."""
    found = []
    while data:
        first, second = data[0], data[1]
        assert second & 0x80, "a client masks each frame"
        size, at = second & 0x7F, 2
        if size >= 126:
            least, wide = (126, 2) if size == 126 else (65_536, 8)
            size, at = int.from_bytes(data[2 : 2 + wide], "big"), 2 + wide
            assert size >= least, "the shortest form is a must (RFC 6455 section 5.2)"
        key, payload = data[at : at + 4], data[at + 4 : at + 4 + size]
        assert len(payload) == size
        found.append((first, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))))
        data = data[at + 4 + size :]
    return found


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_a_mask_is_laid_over_byte_by_byte(data: bytes, key: bytes) -> None:
    masked = mask(data, key)
    assert masked == bytes(byte ^ key[at % 4] for at, byte in enumerate(data))
    assert mask(masked, key) == data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_001])
def test_each_length_has_its_shortest_form(size: int) -> None:
    payload = bytes(at % 251 for at in range(size))
    assert unmasked(masked_frame(0x82, payload)) == [(0x82, payload)]


def test_a_message_with_attachments() -> None:
    assert unmasked(masked_frames(Message(b"452-[]", [b"\x00", b""]))) == [
        (0x81, b"452-[]"),
        (0x82, b"\x00"),
        (0x82, b""),
    ]
    assert unmasked(masked_frames(Message(b"", [b"\x01"]))) == [(0x82, b"\x01")]


def test_each_frame_has_a_key_of_its_own() -> None:
    """Also across the places where keys are fetched anew."""
    keys = [masked_frame(0x81, b"")[2:6] for _ in range(5_000)]
    assert all(len(key) == 4 for key in keys)
    assert len(set(keys)) > 4_990
