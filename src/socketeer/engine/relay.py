"""The seam to sessions that other nodes own: what the engine asks of whoever reaches them.

A request whose ``sid`` is none of ours is answered by the node that owns the session, where a
:class:`Relay` says that there may be one. The node where it lands does once what belongs to the
connection: middlewares, preflight, origin, CORS headers, the events ``headers`` and ``connection_error``.
The owner does what belongs to the session.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from socketeer.engine.carriers.base import Carrier
from socketeer.engine.http.message import Request, Response


class Passage(ABC):
    """A way for one WebSocket to a session of another node, which has agreed."""

    __slots__ = ()

    @abstractmethod
    def open(self, carrier: Carrier) -> None:
        """The handshake has been answered: what ``carrier`` brings goes there, and what comes from there to it."""


class Relay(Protocol):
    """Reaches sessions of other nodes."""

    def reaches(self, request: Request) -> bool:
        """Whether the request's ``sid`` names another node; nobody is asked yet."""
        ...

    async def request(self, request: Request) -> Response:
        """Have the owner answer a GET or a POST; the answer has none of the connection's own headers yet.

        Raises:
            RequestRefused: the owner refuses it, or there is none, or it cannot be reached.
        """
        ...

    async def upgrade(self, request: Request) -> Passage:
        """Have the owner agree to a WebSocket.

        Raises:
            RequestRefused: as above.
        """
        ...


class Elsewhere:
    """Stands for a session that another node may own, and that ``relay`` reaches."""

    __slots__ = ("relay",)

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
