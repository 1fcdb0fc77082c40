"""What is typed, and what it means."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from socketeer.cli.values import as_json, name
from socketeer.cli.words import MAX_FILE, Emit, Order, Unclear, Verb, event_of, parse, read_argument


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", None),
        ("   ", None),
        ("hello", Emit("hello")),
        ('"chat message" "hello" {"a": 1}', Emit("chat message", ("hello", {"a": 1}))),
        ("x 1 -2.5 true null [1, 2]", Emit("x", (1, -2.5, True, None, [1, 2]))),
        ('x "a"', Emit("x", ("a",))),
        ("hello ?", Emit("hello", ack=True)),
        ("hello 1 ?", Emit("hello", (1,), ack=True)),
        ('hello "really ?"', Emit("hello", ("really ?",))),
        ("hello?", Emit("hello?")),
        ("/ack hello 1", Emit("hello", (1,), ack=True)),
        ("/ack hello 1 ?", Emit("hello", (1,), ack=True)),
        ('"/ack" 1', Emit("/ack", (1,))),
        ("/of /chat", Order(Verb.OF, "/chat")),
        ("/quit", Order(Verb.QUIT)),
        ("x word", Emit("x", ("word",), hints=('word is no JSON: sent as the string "word"',))),
        ("x NaN", Emit("x", ("NaN",), hints=('NaN is no JSON: sent as the string "NaN"',))),
        ("x 12ab", Emit("x", ("12ab",), hints=('12ab is no JSON: sent as the string "12ab"',))),
    ],
)
def test_a_line(line: str, meant: Any) -> None:
    assert parse(line) == meant


@pytest.mark.parametrize(
    "line",
    ['"half', '"a"b', "x {a}", 'x "half', "x [1", 'x {"a": 1}2', "/fly", "/ack", "/ack ", "x @/no/such/file"],
)
def test_what_means_nothing(line: str) -> None:
    with pytest.raises(Unclear):
        parse(line)


@given(some.text(min_size=1), some.lists(some.text() | some.integers() | some.lists(some.integers())))
def test_what_is_shown_can_be_typed(event: str, args: list[Any]) -> None:
    assert parse(" ".join([name(event), *map(as_json, args)])) == Emit(event, tuple(args))


@given(some.text())
def test_any_line_means_something_or_is_unclear(line: str) -> None:
    with contextlib.suppress(Unclear):
        assert isinstance(parse(line), Emit | Order | None)


@pytest.mark.parametrize(
    ("word", "value", "hinted"),
    [
        ("1", 1, False),
        ('"1"', "1", False),
        ("", "", False),
        ("two words", "two words", False),
        ("[info] x", "[info] x", False),
        ("{a: 1}", "{a: 1}", True),
        ("@", "@", False),
    ],
)
def test_an_argument_of_a_script(word: str, value: Any, hinted: bool) -> None:
    read, hint = read_argument(word)
    assert read == value
    assert bool(hint) is hinted


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b"\x00" * MAX_FILE)
    assert read_argument(f"@{path}") == (b"\x00" * MAX_FILE, "")
    assert parse(f"x @{path}") == Emit("x", (b"\x00" * MAX_FILE,))
    path.write_bytes(b"\x00" * (MAX_FILE + 1))
    with pytest.raises(Unclear, match=str(MAX_FILE)):
        read_argument(f"@{path}")


def test_one_event() -> None:
    assert event_of('"a b"') == "a b"
    with pytest.raises(Unclear, match="quotes"):
        event_of("a b")
