"""What holds for all tests, of `tests/` and of `interop/`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from hypothesis import settings

SOURCE = Path(__file__).parent / "src"

# No test asserts a time. In CI hypothesis has a profile of its own, which says the same.
settings.register_profile("house", deadline=None)
if "CI" not in os.environ:
    settings.load_profile("house")


def pytest_report_header() -> list[str]:
    """Which of the modules that may be compiled were compiled from another state of their source."""
    stale = []
    for declared in sorted(SOURCE.rglob("*.pxd")):
        module = ".".join(declared.relative_to(SOURCE).with_suffix("").parts)
        spec = find_spec(module)
        if spec is None or spec.origin is None or spec.origin.endswith(".py"):
            continue
        source = max(declared.stat().st_mtime, declared.with_suffix(".py").stat().st_mtime)
        if Path(spec.origin).stat().st_mtime < source:
            stale.append(module)
    return [f"compiled before their source was changed: {', '.join(stale)}; install again"] if stale else []
