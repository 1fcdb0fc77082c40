"""The build, a source package first: with a compiler there is what is compiled, without one the same package without it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import requirements
from tests.support.repository import ROOT

LANE = "socketeer/engine/carriers/lane/_lane"
HOT = {path.relative_to(ROOT / "src").with_suffix("").as_posix() for path in (ROOT / "src").rglob("*.pxd")}


def build(source: Path, target: Path, **environment: str) -> tuple[set[str], str]:
    """The files of the wheel, and what the build has said."""
    command = [sys.executable, "-m", "uv", "build", "--verbose", "--wheel", "--out-dir", str(target)]
    built = subprocess.run(
        [*command, str(source)],
        check=False,
        capture_output=True,
        text=True,
        timeout=80,
        env={**os.environ, **environment},
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (wheel,) = target.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist()), built.stderr + built.stdout


def compiled(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names if name.endswith(".so")}


@pytest.mark.skipif(sys.platform != "linux", reason="the native lane is Linux's")
@pytest.mark.timeout(85)
@pytest.mark.parametrize("compiler", ["gcc", "/bin/false"])
def test_a_wheel_is_built_with_and_without_a_compiler(compiler: str, tmp_path: Path) -> None:
    requirements.gcc()
    source = tmp_path / "source"
    listed = subprocess.run(["git", "ls-files"], check=True, cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if name.startswith("src/") or "/" not in name:
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    # With the hot path it takes a minute: `.ci/run` sees that it is compiled where it installs the package.
    names, said = build(source, tmp_path, CC=compiler, SOCKETEER_COMPILED="0" if compiler == "gcc" else "1")
    assert {f"{LANE}.pyi", *(f"{each}.py" for each in HOT)} <= names
    if compiler == "gcc":
        assert LANE in compiled(names)
        assert not compiled(names) & HOT
    else:
        assert not compiled(names)
        assert "the native lane could not be built" in said
        assert "the modules of the hot path could not be compiled" in said
