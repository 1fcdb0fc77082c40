"""Which carrier serves a WebSocket: the native lane where it is built, picows otherwise.

``SOCKETEER_CARRIER=picows`` or ``=lane`` in the environment chooses. What the lane cannot serve (TLS,
compression) goes to picows in any case.
"""

from __future__ import annotations

import os
from typing import Final, Literal

from socketeer.engine.carriers.lane import BUILT
from socketeer.errors import OptionError

VARIABLE: Final = "SOCKETEER_CARRIER"

CarrierName = Literal["lane", "picows"]


def carrier_name() -> CarrierName:
    """The carrier for plain TCP, as asked for or as there is.

    Raises:
        OptionError: the environment asks for one that there is not.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "picows":
        return "picows"
    if wanted not in ("", "lane"):
        raise OptionError(f"{VARIABLE}: expected lane or picows, got {wanted!r}")
    if wanted == "lane" and not BUILT:
        raise OptionError(
            f"{VARIABLE}=lane: the native lane is not built here. It needs Linux and a C compiler when Socketeer is "
            f"installed; leave {VARIABLE} away for what there is"
        )
    return "lane" if BUILT else "picows"


def describe() -> str:
    """The carrier and the build in use, for people."""
    build = "native lane built" if BUILT else "native lane not built"
    try:
        return f"carrier {carrier_name()}, {build}"
    except OptionError as error:
        return str(error)
