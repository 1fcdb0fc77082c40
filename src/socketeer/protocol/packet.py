"""A Socket.IO packet (https://socket.io/docs/v4/socket-io-protocol/#packet-encoding)."""

from __future__ import annotations

from typing import Any

import msgspec

CONNECT = 0
DISCONNECT = 1
EVENT = 2
ACK = 3
CONNECT_ERROR = 4
BINARY_EVENT = 5
BINARY_ACK = 6

#: Names that no peer may send and no one may emit: they would reach listeners of local events.
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)


class Packet(msgspec.Struct, gc=False):
    """One decoded packet. ``type`` is 0 to 4: a binary event is an EVENT once its attachments are in."""

    type: int
    nsp: str
    data: Any
    """CONNECT, CONNECT_ERROR: an object or None. EVENT: the name and the arguments. ACK: the arguments."""
    id: int | None = None
    """The acknowledgement id, if one is asked for (EVENT) or given (ACK)."""
