"""The C code that splits frames, under the address sanitizer: fuzz/frames.c for a short while, with other bytes each time."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

from tests.support import requirements
from tests.support.repository import ROOT


def test_whatever_comes_is_split_the_same_in_any_pieces(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    target = tmp_path / "frames"
    subprocess.run(
        [
            *(requirements.gcc(), "-O1", "-g", "-Wall", "-Wextra", "-Werror"),
            *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
            *("-I", str(ROOT / "src/socketeer/engine/carriers/lane"), str(ROOT / "fuzz/frames.c")),
            *("-o", str(target)),
        ],
        check=True,
        timeout=50,
    )
    found = subprocess.run(
        [target, "20000", str(seed)], check=False, capture_output=True, text=True, timeout=50
    )
    assert (found.returncode, found.stdout) == (0, "20000 inputs\n"), (
        f"fuzz/frames.c with seed {seed}:\n{found.stderr}"
    )
