"""RESP2: each answer whole, byte by byte and in any pieces; and commands as redis-py would write them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis._parsers import Encoder
from redis.connection import PythonRespSerializer

from socketeer.adapters.resp import Replies, ReplyError, ReplyGarbled, pack

ANSWERS: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", b"OK"),
    (b":0\r\n", 0),
    (b":-12\r\n", -12),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\na\r\nb\r\n", b"a\r\nb"),
    (b"$-1\r\n", None),
    (b"*0\r\n", []),
    (b"*-1\r\n", None),
    (b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\n\x00\xff\r\r\n", [b"message", b"c", b"\x00\xff\r"]),
    (b"*2\r\n*1\r\n:1\r\n$-1\r\n", [[1], None]),
]


def shown(value: Any) -> Any:
    return ("error", str(value)) if isinstance(value, ReplyError) else value


@pytest.mark.parametrize(("data", "value"), ANSWERS)
def test_each_answer_whole_byte_by_byte_and_with_more_behind(data: bytes, value: Any) -> None:
    assert Replies().feed(data) == [value]
    assert Replies().feed(data * 3) == [value] * 3
    replies = Replies()
    found = [replies.feed(data[at : at + 1]) for at in range(len(data))]
    assert found == [[]] * (len(data) - 1) + [[value]]
    replies = Replies()
    assert replies.feed(data + data[:-1]) == [value]
    assert replies.feed(data[-1:]) == [value]


def test_errors_are_values() -> None:
    found = Replies().feed(b"-NOPERM not you\r\n*2\r\n-ERR \xff\r\n:1\r\n")
    assert shown(found[0]) == ("error", "NOPERM not you")
    assert [*map(shown, found[1])] == [("error", "ERR �"), 1]


@given(st.lists(st.sampled_from(ANSWERS), max_size=20), st.integers(0, 2**32))
def test_any_pieces(answers: list[tuple[bytes, Any]], seed: int) -> None:
    data = b"".join(each for each, _ in answers)
    replies, found, chance = Replies(), [], random.Random(seed)
    while data:
        size = chance.choice((1, 2, 3, 7, 50))
        found += replies.feed(data[:size])
        data = data[size:]
    assert found == [value for _, value in answers]


def test_a_large_answer_in_small_pieces_is_looked_at_once_it_is_there() -> None:
    body = b"x" * 4_000_000
    data = b"*2\r\n:1\r\n$%d\r\n%b\r\n+OK\r\n" % (len(body), body)
    replies, found = Replies(), []
    for at in range(0, len(data), 4096):
        found += replies.feed(data[at : at + 4096])
    assert found == [[1, body], b"OK"]


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400\r\n", b"\r\n", b"$x\r\n", b"$\r\n", b":1.5\r\n", b"*1\r\n" * 20, b"%1\r\n", b"+" + b"x" * 70_000,
     b"$" + b"9" * 5000 + b"\r\n"],
)  # fmt: skip
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(ReplyGarbled):
        Replies().feed(data)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_waited_for(data: bytes) -> None:
    replies = Replies()
    try:
        replies.feed(data)
    except ReplyGarbled:
        return
    assert replies._held <= len(data)


@given(st.lists(st.binary(max_size=20) | st.text(max_size=20) | st.integers(), min_size=1, max_size=6))
def test_commands_are_what_redis_py_writes(words: list[Any]) -> None:
    encoder: Any = Encoder
    serializer: Any = PythonRespSerializer(6000, encoder("utf-8", "strict", False).encode)
    theirs = serializer.pack("X", *words)
    assert pack("X", *words) == b"".join(theirs)
