"""Lock files pin what the project asks for, and say nothing of the machine that made them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.repository import ROOT, files

PATTERNS = (
    "*.lock",
    "*-lock.json",
    "*-lock.yaml",
    "npm-shrinkwrap.json",
    "pylock*.toml",
    "requirements*.txt",
)

ADDRESS = re.compile(r"[a-z+]+://")
INDEX_OPTION = re.compile(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", re.MULTILINE)
ABSOLUTE_PATH = re.compile(r"""(?:^|[\s"'=@])(?:/(?:[\w.+-]+/)+|[A-Za-z]:\\)""", re.MULTILINE)


def lock_files() -> list[Path]:
    return files(*PATTERNS)


def npm_packages(lock: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The packages of a package-lock.json, of its old form (nested dependencies) and of its new one."""
    yield from lock.get("packages", {}).items()
    for name, package in lock.get("dependencies", {}).items():
        yield name, package
        yield from npm_packages({"dependencies": package.get("dependencies", {})})


def telltales(name: str, text: str) -> list[str]:
    """What a lock file tells of a registry or of a machine."""
    if not name.endswith(".json"):
        patterns = (ADDRESS, INDEX_OPTION, ABSOLUTE_PATH)
        return [found.group().strip() for each in patterns for found in each.finditer(text)]
    # A package's links for people ("funding") are no registry: only what npm fetches from counts.
    return [
        f"{package}: {fetched}"
        for package, facts in npm_packages(json.loads(text))
        for fetched in (str(facts.get("resolved", "")), str(facts.get("version", "")))
        if ADDRESS.search(fetched) or ABSOLUTE_PATH.search(fetched)
    ]


def pins(text: str) -> dict[str, set[str]]:
    """The versions of a Python lock file; there may be several, for different systems."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def out_of_step(requirements: list[str], text: str) -> list[str]:
    """Requirements that a lock file does not pin, or pins to a version that they do not allow."""
    locked = pins(text)
    found = []
    for each in map(Requirement, requirements):
        versions = locked.get(canonicalize_name(each.name))
        if not versions or not all(each.specifier.contains(version) for version in versions):
            found.append(f"{each} (locked: {', '.join(sorted(versions or {'nothing'}))})")
    return found


def test_locks_name_no_registry_and_no_machine() -> None:
    found = {path.relative_to(ROOT).as_posix(): path for path in lock_files()}
    assert {"requirements/dev.lock", "requirements/bench.lock"} <= found.keys()
    assert {
        name: tales for name, path in found.items() if (tales := telltales(path.name, path.read_text()))
    } == {}


def test_package_managers_are_told_of_no_registry() -> None:
    settings = files(".npmrc", "pip.conf", "uv.toml", ".yarnrc*", "pyproject.toml")
    found = re.compile(
        r"^\s*(@[\w-]+:)?(registry|index-url|extra-index-url|find-links)\s*=|tool\.uv\.index", re.MULTILINE
    )
    assert [path.name for path in settings if found.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("extra", ["dev", "bench"])
def test_the_python_locks_are_in_step_with_pyproject(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + project["optional-dependencies"][extra]
    text = (ROOT / "requirements" / f"{extra}.lock").read_text(encoding="utf-8")
    assert out_of_step(asked, text) == [], "run `nox -s lock`"


def test_every_npm_package_has_a_lock() -> None:
    for path in files("package.json"):
        asked = json.loads(path.read_text(encoding="utf-8"))
        if not (asked.get("dependencies") or asked.get("devDependencies")):
            continue
        lock = json.loads(path.with_name("package-lock.json").read_text(encoding="utf-8"))
        for kind in ("dependencies", "devDependencies"):
            assert lock["packages"][""].get(kind, {}) == asked.get(kind, {}), f"run npm install beside {path}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dev.lock", "--index-url https://example.org/simple\nrich==15.0.0\n"),
        ("dev.lock", "-f wheels\nrich==15.0.0\n"),
        ("dev.lock", "--find-links wheels\n"),
        ("dev.lock", "rich @ file:///tmp/rich.whl\n"),
        ("dev.lock", "rich==15.0.0\n    # via -r /home/someone/dev.in\n"),
        ("dev.lock", "rich==15.0.0  # via C:\\work\\dev.in\n"),
        (
            "package-lock.json",
            '{"packages": {"node_modules/ws": {"resolved": "https://example.org/ws.tgz"}}}',
        ),
        (
            "package-lock.json",
            '{"dependencies": {"a": {"dependencies": {"b": {"resolved": "http://x/b.tgz"}}}}}',
        ),
        ("package-lock.json", '{"packages": {"ws": {"version": "file:///tmp/ws.tgz"}}}'),
    ],
)
def test_a_telltale_is_found(name: str, text: str) -> None:
    assert telltales(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "dev.lock",
            "rich==15.0.0 \\\n    --hash=sha256:00aa\n    # via -r requirements/dev.in, socketeer (pyproject.toml)\n",
        ),
        (
            "package-lock.json",
            '{"packages": {"ws": {"version": "8.0.0", "funding": {"url": "https://x.org/"}}}}',
        ),
    ],
)
def test_an_innocent_lock_passes(name: str, text: str) -> None:
    assert telltales(name, text) == []


def test_a_lock_out_of_step_is_found() -> None:
    assert len(out_of_step(["rich>=14,<16", "typer"], "rich==16.0.0\n")) == 2
    assert out_of_step(["rich>=14,<16"], "rich==15.0.0 \\\n") == []
