"""The build, a source package first: with a compiler there is the native lane, without one the same package without it."""

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


@pytest.mark.skipif(sys.platform != "linux", reason="the native lane is Linux's")
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
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "build",
            "--verbose",
            "--wheel",
            "--out-dir",
            str(tmp_path),
            str(source),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=55,
        env={**os.environ, "CC": compiler},
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    native = [name for name in names if name.startswith(LANE) and name.endswith(".so")]
    assert len(native) == (compiler == "gcc")
    assert ("the native lane could not be built" in built.stderr + built.stdout) is (compiler != "gcc")
    assert f"{LANE}.pyi" in names
