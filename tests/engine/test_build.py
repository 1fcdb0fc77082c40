"""What ``socketeer --version`` says of the build."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from socketeer.engine import build
from socketeer.engine.carriers import choice
from tests.support.repository import ROOT

COMPILED = sorted(path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.pxd"))


def test_it_says_the_carrier_and_whether_the_hot_path_is_compiled() -> None:
    assert build.describe().startswith(choice.describe())
    assert build.describe().endswith("hot path compiled" if build.COMPILED else "hot path interpreted")


def test_all_modules_of_the_hot_path_are_compiled_or_none() -> None:
    names = [".".join(path.with_suffix("").parts) for path in COMPILED]
    assert "socketeer.server.socket" in names
    files = [str(import_module(name).__file__) for name in names]
    assert {not file.endswith(".py") for file in files} == {build.COMPILED}, files


@pytest.mark.parametrize("path", COMPILED, ids=str)
def test_beside_what_the_compiler_is_told_stands_the_module(path: Path) -> None:
    assert (ROOT / "src" / path).with_suffix(".py").exists()
