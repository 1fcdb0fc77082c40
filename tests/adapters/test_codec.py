"""Values between nodes: whatever goes in comes out, JSON unless something is binary, and garbage is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.adapters.codec import decode, encode, from_json, to_json
from socketeer.errors import PacketError

#: Without the surrogates, which UTF-8 does not have.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(
        TEXT,
        st.recursive(leaves, lambda each: st.lists(each) | st.dictionaries(TEXT, each), max_leaves=15),
        max_size=4,
    )


@given(nested(LEAVES))
def test_what_is_not_binary_travels_as_json(value: dict[str, Any]) -> None:
    payload = encode(value)
    assert payload[:1] == b"{"
    assert decode(payload) == from_json(payload) == value


@given(nested(LEAVES | st.binary()), st.binary())
def test_what_is_binary_travels_as_messagepack(value: dict[str, Any], blob: bytes) -> None:
    whole = {"value": value, "blob": blob}
    assert to_json(whole) is None
    payload = encode(whole)
    assert payload[:1] == b"\x82"
    assert decode(payload) == whole


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_packet_error(payload: bytes) -> None:
    for each in (payload, b"{" + payload, b"\x81" + payload):
        try:
            decode(each)
        except PacketError:
            continue


@pytest.mark.parametrize("binary", [b"x", bytearray(b"x"), memoryview(b"x")])
def test_every_kind_of_bytes_arrives_as_bytes(binary: Any) -> None:
    assert decode(encode({"deep": [{"it": binary}]})) == {"deep": [{"it": b"x"}]}


def test_a_set_is_a_list() -> None:
    assert encode({"a": {1}}) == b'{"a":[1]}'


@pytest.mark.parametrize("value", [{"a": object()}, {"a": [b"x", object()]}, {"a": "\ud800"}, {"a": 2**64}])
def test_what_cannot_be_sent_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot send"):
        encode(value)


def test_what_is_nested_too_deep_cannot_be_sent() -> None:
    value: Any = {}
    for _ in range(2000):
        value = {"a": value}
    with pytest.raises(TypeError, match="cannot send"):
        encode(value)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b'{"a":}',
        b'{"a":1}{',
        b'{"a":\xff}',
        b"\xc1",
        b"\x81\xa1a",
        b"\x80\x80",
        b'{"a":' * 50_000,
        b"\x91" * 50_000,
        b"\x81\xa1a" * 50_000,
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_garbage_and_bombs_are_refused(payload: bytes) -> None:
    with pytest.raises(PacketError):
        decode(payload)


def test_the_error_of_a_large_message_is_short() -> None:
    with pytest.raises(PacketError) as refused:
        decode(b"{" * 100_000)
    assert len(str(refused.value)) < 200
