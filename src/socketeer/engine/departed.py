"""Clients that have said goodbye a moment ago, while a poll of theirs was still on its way.

A client that closes sends its goodbye beside the poll that it has just begun. With one server the poll comes
first, and is answered with a noop. Where each request may land on another node, the goodbye may take the
shorter way; the poll still gets its noop then, and not the refusal of a session that nobody knows.
"""

from __future__ import annotations

from typing import Final

from socketeer.engine.http.message import Response
from socketeer.engine.request import UNKNOWN_SID, RequestRefused
from socketeer.engine.session import Session
from socketeer.engine.transports.polling import TEXT, PollingTransport
from socketeer.protocol.engineio import NOOP_PACKET

#: Seconds for which a client that has left is remembered.
MOMENT: Final = 10.0

#: Clients that are remembered, at most.
MOST: Final = 4096


class Departed:
    """The sessions of those clients, the oldest first."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[str, float] = {}

    def add(self, session: Session) -> None:
        """A session has ended; it is remembered if its client has said goodbye and its poll has not come."""
        transport = session.transport
        if not isinstance(transport, PollingTransport) or not transport.left_alone or session.protocol != 4:
            return
        now = session.wheel.time()
        while self._left:
            oldest = next(iter(self._left))
            if len(self._left) < MOST and now - self._left[oldest] < MOMENT:
                break
            del self._left[oldest]
        self._left[session.id] = now

    def answer(self, refused: RequestRefused, now: float) -> Response | None:
        """The answer to a poll that was sent before the goodbye; None where the refusal stands."""
        request = refused.request
        if not self._left or refused.code != UNKNOWN_SID or request is None or request.method != "GET":
            return None
        left = self._left.pop(request.params.get("sid", ""), None)  # there is one such poll
        if left is None or now - left >= MOMENT:
            return None
        return Response(200, {"content-type": TEXT, "cache-control": "no-store"}, NOOP_PACKET.payload())
