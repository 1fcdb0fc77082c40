"""Whether the native lane is there."""

from __future__ import annotations

import sys

import pytest

from socketeer.engine.carriers.lane import BUILT
from tests.support import requirements


@pytest.mark.skipif(sys.platform != "linux", reason="the native lane is Linux's")
def test_it_is_built_where_it_can_be() -> None:
    if not BUILT:
        requirements.missing("the native lane", "python -m pip install -e . with a C compiler")
