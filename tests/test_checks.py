"""What options are checked by: the errors name the option, what was expected, and what came."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import pytest

from socketeer.checks import group, positive, whole
from socketeer.errors import OptionError


@pytest.mark.parametrize("value", [0, -1, -0.5, math.inf, math.nan, True, "1", None])
def test_what_is_not_above_zero(value: Any) -> None:
    with pytest.raises(OptionError, match=re.escape(f"wait: expected a number above 0, got {value!r}")):
        positive("wait", value)
    positive("wait", 0.001)


@pytest.mark.parametrize(
    ("least", "most", "bad", "wanted"),
    [
        (-math.inf, math.inf, 1.0, "a whole number"),
        (-math.inf, math.inf, True, "a whole number"),
        (1, math.inf, 0, "a whole number, 1 or more"),
        (8, 15, 16, "a whole number from 8 to 15"),
        (8, 15, 7, "a whole number from 8 to 15"),
    ],
)
def test_what_is_no_whole_number_in_its_range(least: float, most: float, bad: Any, wanted: str) -> None:
    with pytest.raises(OptionError, match=f"bits: expected {wanted}, got {bad!r}"):
        whole("bits", bad, least, most)
    whole("bits", 15, least, most)


@dataclass(frozen=True)
class Pair:
    """Two options."""

    one: int = 1
    two: int = 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, None), (False, None), (True, Pair()), (Pair(3), Pair(3)), ({"two": 5}, Pair(1, 5)), ({}, Pair())],
)
def test_a_group(given: Any, expected: Pair | None) -> None:
    assert group(Pair, "pair", given) == expected


def test_no_group() -> None:
    with pytest.raises(OptionError, match=r"pair: expected Pair\(...\), a mapping, True or None, got 5"):
        group(Pair, "pair", 5)
    with pytest.raises(TypeError, match=r"pair: .*three"):
        group(Pair, "pair", {"three": 3})
