"""Values between nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.adapters.codec import decode, encode, to_json
from socketeer.errors import PacketError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), PLAIN))
def test_what_is_written_is_read(value: dict[str, object]) -> None:
    assert decode(encode(value)) == value


def test_json_unless_something_is_binary() -> None:
    assert encode({"a": [1, {1, 2} - {2}]}) == b'{"a":[1,[1]]}'
    assert to_json({"a": [b""]}) is None
    assert encode({"a": b"\x01"}) == b"\x81\xa1a\xc4\x01\x01"


def test_what_cannot_be_sent() -> None:
    for value in ({"a": object()}, {"a": b"", "b": object()}):
        with pytest.raises(TypeError, match="cannot send"):
            encode(value)


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"\xc1", b"\x91", b"\x91" * 5_000, b'{"a":' * 5_000, b"\x80\x80"]
)
def test_what_is_no_value(payload: bytes) -> None:
    if payload == b"":
        assert decode(payload) is None
    else:
        with pytest.raises(PacketError):
            decode(payload)
