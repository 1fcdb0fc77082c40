"""The repository's own files, for the tests that check them."""

from __future__ import annotations

import subprocess
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_NOT_OURS = {"node_modules", "build", "dist", "__pycache__", "venv"}


def files(*patterns: str) -> list[Path]:
    """Every file of the project, committed or about to be, whose name fits one of the patterns."""
    return sorted(path for path in _all_files() if any(fnmatch(path.name, each) for each in patterns))


def _all_files() -> list[Path]:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return [path for path in ROOT.rglob("*") if path.is_file() and not _ignored(path)]
    return [path for name in answer.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _ignored(path: Path) -> bool:
    folders = path.relative_to(ROOT).parts[:-1]
    return any(part in _NOT_OURS or part.startswith(".") for part in folders)
