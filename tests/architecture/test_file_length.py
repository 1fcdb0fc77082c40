"""A module that reaches 400 lines is asking to be two."""

from __future__ import annotations

from tests.architecture.tree import modules

LIMIT = 400


def test_no_module_is_too_long() -> None:
    tree = modules()
    assert tree
    assert {module.place: module.lines for module in tree.values() if module.lines >= LIMIT} == {}
