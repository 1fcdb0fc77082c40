"""The README's two commands stand there word for word, and continuous integration runs the second."""

from __future__ import annotations

from tests.support.repository import ROOT

START = "python -m pip install . && socketeer demo"
TEST = 'python -m pip install -e ".[dev]" && pytest'


def test_the_readme_gives_both_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert START in readme
    assert TEST in readme


def test_continuous_integration_runs_what_the_readme_says() -> None:
    assert TEST in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
