"""The ways to start a coroutine, so that tests run each of them."""

from __future__ import annotations

import sys
from typing import Final

from socketeer.messaging import handler_task
from socketeer.messaging.eager import WAYS, Start
from tests.support import requirements

#: `native` is the optional extension, `python` the same in Python, `task` asyncio's own eager task.
NAMES: Final = ("native", "python", "task") if sys.version_info >= (3, 12) else ("native", "python")


def way(name: str) -> Start:
    """The function that starts a coroutine this way."""
    if name == "python":
        return handler_task.start
    if name not in WAYS:
        requirements.missing("the extension _eager", "install with a C compiler, on Linux")
    return WAYS[name]
