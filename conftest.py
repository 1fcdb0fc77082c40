"""What holds for all tests, of `tests/` and of `interop/`."""

from __future__ import annotations

import os

from hypothesis import settings

# No test asserts a time. In CI hypothesis has a profile of its own, which says the same.
settings.register_profile("house", deadline=None)
if "CI" not in os.environ:
    settings.load_profile("house")
