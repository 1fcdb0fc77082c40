"""Values as they are shown: nothing left that a terminal obeys, and what is shown means the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from socketeer.cli.values import as_json, binary, escaped, name, quoted, shown, whole
from socketeer.cli.words import event_of

TEXT = some.text()
JSON = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(TEXT)
def test_a_quoted_text_is_printable_and_means_the_same(text: str) -> None:
    assert quoted(text).isprintable()
    assert json.loads(quoted(text)) == text
    assert escaped(text).isprintable()


@given(some.text(min_size=1))
def test_a_name_is_typed_as_it_is_shown(text: str) -> None:
    assert name(text).isprintable()
    assert event_of(name(text)) == text


@given(JSON)
def test_json_is_one_printable_line_that_means_the_same(value: Any) -> None:
    assert as_json(value).isprintable()
    assert json.loads(as_json(value)) == value


@given(some.lists(JSON, max_size=4), some.integers(1, 80))
def test_what_is_shown_is_printable_and_bounded(values: list[Any], limit: int) -> None:
    text, all_of_it = shown(values, limit)
    assert text.plain.isprintable()
    assert len(text.plain) <= limit
    if all_of_it and values:
        decoder, at, found = json.JSONDecoder(), 0, []
        while at < len(text.plain):
            value, at = decoder.raw_decode(text.plain, at)
            found.append(value)
            at += 1
        assert found == values
    assert whole(values).plain.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (b"\x00\xff", '{"base64":"AP8="}'),
        ({1: (b"",)}, '{"1":[{"base64":""}]}'),
        (float("nan"), "null"),
        ("Tréville\u202e", '"Tréville\\u202e"'),
        ("\U000e0041", '"\\udb40\\udc41"'),
    ],
)
def test_what_json_has_no_word_for(value: Any, plain: str) -> None:
    assert as_json(value) == plain


def test_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert as_json(deep).count("[") == 200
    assert "…" in shown([deep], 1000)[0].plain
    assert "…" in whole([deep]).plain


def test_binary_by_its_size_and_first_bytes() -> None:
    assert binary(b"", 0) == "<0 bytes>"
    assert shown([b"\x01"], 99)[0].plain == "<1 byte: 01>"
    assert shown([bytes(range(20))], 99)[0].plain.startswith("<20 bytes: 00 01 02")
    assert shown([bytes(range(20))], 99)[0].plain.endswith("0f …>")


def test_colours_and_indentation() -> None:
    text, _ = shown([{"a": [1, None]}, "b"], 99)
    assert text.plain == '{"a": [1, null]} "b"'
    assert {str(span.style) for span in text.spans} >= {"cyan", "green", "magenta", "bright_blue"}
    assert whole([{"a": [1]}]).plain == '{\n  "a": [\n    1\n  ]\n}'
