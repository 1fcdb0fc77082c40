"""How it stands with the broker behind an adapter: ``io.adapter.health``."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import Enum

log = logging.getLogger("socketeer")

#: Reasons for one absence that the log is told: they may alternate.
_REASONS = 3


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
    """Messages that the broker did not take: it was away for too long, refused them, or the link broke under them. And
    those of others that came in such numbers that this node could not keep them."""
    refused: int = 0
    """Those of them that the broker refused by themselves, while the link was up."""
    refusal: str | None = None
    """What it said to the last of these; None once it has accepted a message again."""
    rejected: int = 0
    """Messages that were dropped because they were not what a node of this cluster would send."""
    reconnections: int = 0
    """How often the link was made again after it had been up."""
    _was_up: bool = field(default=False, init=False, repr=False)
    """Since it was idle."""
    _said: set[str] = field(default_factory=set, init=False, repr=False)
    """What the log has been told since it was last up."""

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
        self._said.clear()
        if self.state is LinkState.AWAY and self._was_up:
            self.reconnections += 1
        self._was_up = True
        self.state, self.reason = LinkState.UP, None

    def away(self, reason: str) -> None:
        """The link broke, or could not be made; the log is told each reason once until it is back, and only a few."""
        if reason not in self._said and len(self._said) < _REASONS:
            self._said.add(reason)
            log.warning("%s: %s; delivery on this node goes on, trying again", self.name, _escaped(reason))
        self.state, self.reason = LinkState.AWAY, reason

    def idle(self) -> None:
        """Nobody uses the link any more."""
        self._was_up = False
        self._said.clear()
        self.state, self.reason = LinkState.IDLE, None

    def accepted(self, count: int) -> None:
        """The broker has taken so many messages."""
        if count:
            self.published += count
            self.refusal = None

    def refuse(self, error: Exception) -> None:
        """Count a message that the broker did not take; logged as :meth:`reject` does it."""
        self.lost += 1
        self.refused += 1
        self.refusal = str(error).removeprefix(f"{self.name}: ")
        if _is_round(self.refused):
            said = _escaped(self.refusal)
            log.warning("%s: refused a message (%d so far): %s", self.name, self.refused, said)

    def reject(self, error: Exception, channel: str) -> bool:
        """Count a message that was dropped; the first is logged, and the tenth, the hundredth and so on.

        Returns:
            Whether it was logged.
        """
        self.rejected += 1
        if said := _is_round(self.rejected):
            log.warning(
                "%s: dropped a message on %.100r that no node of this cluster sends: %.200r (%d so far)",
                self.name,
                channel,
                str(error),
                self.rejected,
            )
        return said


def _is_round(number: int) -> bool:
    """Whether it is 1, 10, 100 and so on: what is logged then is no storm, however often it happens."""
    return str(number).strip("0") == "1"


def _escaped(text: str) -> str:
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[:300])
