from __future__ import annotations

import os
import re

import pytest

from socketeer.protocol import ids
from socketeer.protocol.ids import ID_LENGTH, generate_id, generate_id_of, generate_node_id


def test_twenty_characters_that_need_no_escape_anywhere() -> None:
    assert ID_LENGTH == 20
    for _ in range(1000):
        assert re.fullmatch(r"[A-Za-z0-9_-]{20}", generate_id())


def test_ids_do_not_repeat() -> None:
    assert len({generate_id() for _ in range(20_000)}) == 20_000


def test_every_character_is_random() -> None:
    made = [generate_id() for _ in range(5000)]
    for position in range(ID_LENGTH):
        # Each of 64 is missing from 5,000 draws once in 10**34 times.
        assert len({each[position] for each in made}) == 64


@pytest.mark.parametrize(
    ("source", "made"),
    [
        (b"\x00" * 15, "A" * 20),
        (b"\xff" * 15, "_" * 20),
        (b"\xfb\xef\xbe" * 5, "----" * 5),
        (bytes(range(15)), "AAECAwQFBgcICQoLDA0O"),
    ],
)
def test_all_of_it_comes_from_the_system(monkeypatch: pytest.MonkeyPatch, source: bytes, made: str) -> None:
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        return source

    assert vars(ids)["urandom"] is os.urandom
    monkeypatch.setattr(ids, "urandom", urandom)
    assert generate_id() == made
    assert asked == [15]


def test_ids_that_name_their_node() -> None:
    node = generate_node_id()
    assert re.fullmatch(r"[A-Za-z0-9_-]{6}", node)
    made = {generate_id_of(node) for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(each) == ID_LENGTH and each.startswith(node) for each in made)
    assert len({generate_node_id() for _ in range(1000)}) > 990
