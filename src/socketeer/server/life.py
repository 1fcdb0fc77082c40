"""Where a socket is in its life."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Life(Enum):
    """Where a socket is in its life."""

    JOINING = "joining"
    """In the middlewares; it may emit, and join rooms."""
    CONNECTED = "connected"
    LEAVING = "leaving"
    """Its ``disconnecting`` listeners are being told; connected still, to them and to everybody."""
    DISCONNECTED = "disconnected"


# Looking a member up on its class costs as much as the rest of a check.
JOINING: Final = Life.JOINING
CONNECTED: Final = Life.CONNECTED
LEAVING: Final = Life.LEAVING
DISCONNECTED: Final = Life.DISCONNECTED
