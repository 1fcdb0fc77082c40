"""Events on their way out of a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from socketeer.protocol.frame import Message


@dataclass(frozen=True, slots=True)
class OutgoingFlags:
    """How an event is sent."""

    volatile: bool = False
    """Drop it where it cannot leave at once."""
    compress: bool = True
    timeout: float | None = None
    """Seconds to wait for its acknowledgement."""


NO_FLAGS = OutgoingFlags()


@dataclass(slots=True, eq=False)
class Outgoing:
    """One event, sent or to be sent."""

    args: tuple[Any, ...]
    """The name first."""
    flags: OutgoingFlags = NO_FLAGS
    ack_id: int | None = None
    message: Message | None = None
    """Encoded, where it has to wait: what is changed afterwards is not sent."""
