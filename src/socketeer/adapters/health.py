"""How it stands with the broker behind an adapter: ``io.adapter.health``."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import Enum

log = logging.getLogger("socketeer")


class LinkState(Enum):
    """What the link to a broker is doing."""

    IDLE = "idle"
    """Nothing uses it yet, or any more."""
    CONNECTING = "connecting"
    """It was not up yet, and is being made."""
    UP = "up"
    AWAY = "away"
    """It broke, and is being made again. Delivery on this node goes on."""


@dataclass(slots=True)
class Health:
    """The state of the link to other nodes, and what has passed over it since the start."""

    name: str
    """Of the broker, without a password: ``Redis at 127.0.0.1:6379``."""
    state: LinkState = LinkState.IDLE
    reason: str | None = None
    """Why it is not up; None while it is."""
    published: int = 0
    """Messages that the broker has accepted."""
    received: int = 0
    """Messages of other nodes, and of this one where the broker gives them back."""
    lost: int = 0
    """Messages that the broker did not take: it was away for too long, or the link broke under them. And messages
    that this node was told of, but could not fetch in time (PostgreSQL)."""
    rejected: int = 0
    """Messages that were dropped because they were not what a node of this cluster would send."""
    reconnections: int = 0
    """How often the link was made again after it had been up."""
    _was_up: bool = field(default=False, init=False, repr=False)
    """Since it was idle."""

    @property
    def ok(self) -> bool:
        """Whether other nodes can be reached."""
        return self.state is LinkState.UP

    def connecting(self) -> None:
        """The link is about to be made."""
        if self.state is LinkState.IDLE:
            self.state = LinkState.CONNECTING

    def up(self) -> None:
        """The link is there."""
        if self.state is LinkState.AWAY and self.reason is not None:
            log.warning("%s is back", self.name)
        if self.state is LinkState.AWAY and self._was_up:
            self.reconnections += 1
        self._was_up = True
        self.state, self.reason = LinkState.UP, None

    def away(self, reason: str) -> None:
        """The link broke, or could not be made; said in the log once, until the reason is another."""
        if reason != self.reason:
            said = "".join(each if each.isprintable() else repr(each)[1:-1] for each in reason[:300])
            log.warning("%s: %s; delivery on this node goes on, trying again", self.name, said)
        self.state, self.reason = LinkState.AWAY, reason

    def idle(self) -> None:
        """Nobody uses the link any more."""
        self._was_up = False
        self.state, self.reason = LinkState.IDLE, None

    def reject(self, error: Exception, channel: str) -> None:
        """Count a message that was dropped; the first is logged, and the tenth, the hundredth and so on."""
        self.rejected += 1
        if str(self.rejected).strip("0") == "1":
            log.warning(
                "%s: dropped a message on %.100r that no node of this cluster sends: %.200r (%d so far)",
                self.name,
                channel,
                str(error),
                self.rejected,
            )
