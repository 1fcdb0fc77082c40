"""The tests mirror the source: ``engine/http/cors.py`` is tested by ``tests/engine/http/test_cors.py``."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.tree import Module, modules, plant
from tests.support.repository import ROOT

TESTS = ROOT / "tests"

#: Up to this many lines a module has nothing of its own to test.
SMALL = 30

#: Modules without a test file of their own, and what tests them instead.
ELSEWHERE: dict[str, str] = {
    "__init__.py": "it holds the public names and nothing else; architecture/test_exports.py checks them",
    "adapters/__init__.py": "it holds names as well",
    "testing/recovery.py": "a part of testing/adapters.py, whose test runs it and breaks it",
}


def home_of(module: Module, tests: Path) -> Path:
    """Where the test of a module stands; a package's ``__init__.py`` is tested under the package's name."""
    place = Path(module.place)
    name = place.parent.name if place.name == "__init__.py" else place.stem
    return tests / place.parent / f"test_{name}.py"


def untested(tree: dict[str, Module], tests: Path) -> dict[str, Path]:
    """Modules that ask for a test file and have none, and where it should stand."""
    return {
        module.place: path
        for module in tree.values()
        if module.lines > SMALL and not (path := home_of(module, tests)).exists()
    }


def test_every_module_has_its_test_file() -> None:
    missing = [
        path.relative_to(ROOT).as_posix()
        for place, path in untested(modules(), TESTS).items()
        if place not in ELSEWHERE
    ]
    assert not missing, "\n".join(["no such file:", *missing])


def test_no_exception_is_stale() -> None:
    needed = untested(modules(), TESTS)
    stale = [place for place in ELSEWHERE if place not in needed]
    assert stale == [], "these need no exception: they are gone, small, or have a test file of their own"


def test_a_module_without_a_test_is_found(tmp_path: Path) -> None:
    long = "x = 1\n" * (SMALL + 1)
    tree = plant(tmp_path / "src", {"engine/a.py": long, "engine/b.py": "x = 1\n", "cli/__init__.py": long})
    tests = tmp_path / "tests"
    assert untested(tree, tests) == {
        "engine/a.py": tests / "engine" / "test_a.py",
        "cli/__init__.py": tests / "cli" / "test_cli.py",
    }
    (tests / "engine").mkdir(parents=True)
    (tests / "engine" / "test_a.py").touch()
    assert untested(tree, tests).keys() == {"cli/__init__.py"}
