"""The event loops that a carrier meets: asyncio's own, and uvloop where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


LOOPS: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.new_event_loop,
    **({"uvloop": _uvloop} if find_spec("uvloop") is not None else {}),
}
