"""The exception tree, split by whose fault it is.

::

    SocketeerError
    ├── UsageError                  yours: a call or an option that cannot work
    │   ├── OptionError             (also a ValueError) an option out of its range
    │   ├── MessageTooLarge         (also a ValueError) a message to other nodes that would hurt the broker
    │   └── ReservedEventError      (also a ValueError) an event name Socket.IO keeps for itself
    ├── PeerError                   the peer's: bytes or values that break the protocol
    │   ├── PacketError             bytes that are no packet; the session is closed
    │   └── InvalidPayload          a payload that does not fit the handler's annotations
    ├── ConnectionRefused           raised by you, in a middleware, to turn a client away
    ├── AckTimeout                  (also a TimeoutError) nobody acknowledged in time
    ├── BrokerUnavailable           (also a ConnectionError) other nodes cannot be reached for now
    ├── TransportError              (also a ConnectionError) the server cannot be reached, or answers with an error
    └── SocketDisconnected          (also a ConnectionError) nobody is left to acknowledge

The server answers a :class:`PeerError` by closing that one session or by ignoring that one
event; it never reaches your code except through an ``error`` listener.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AckTimeout",
    "BrokerUnavailable",
    "ConnectionRefused",
    "InvalidPayload",
    "MessageTooLarge",
    "OptionError",
    "PacketError",
    "PeerError",
    "ReservedEventError",
    "SocketDisconnected",
    "SocketeerError",
    "TransportError",
    "UsageError",
]


class SocketeerError(Exception):
    """The root of everything that Socketeer raises on purpose."""


class UsageError(SocketeerError):
    """A call that cannot work, whatever the peer does."""


class OptionError(UsageError, ValueError):
    """An option out of its range; the message names the option, what was expected and what came."""


class MessageTooLarge(UsageError, ValueError):
    """A message to other nodes is larger than the broker, or its other clients, can bear; it was not sent."""


class ReservedEventError(UsageError, ValueError):
    """An event name that Socket.IO reserves (``connect``, ``disconnect``, ...) was emitted or registered."""


class PeerError(SocketeerError):
    """The peer broke the protocol."""


class PacketError(PeerError):
    """Bytes that are no valid packet. The session that sent them is closed."""


class InvalidPayload(PeerError):
    """An event's arguments do not fit the annotations of its handler; the handler was not called."""


class ConnectionRefused(SocketeerError):
    """Raise this in a middleware: the client gets ``connect_error`` with this message and data.

    ``data`` is any JSON value; it arrives as ``err.data`` at the client.
    See https://socket.io/docs/v4/middlewares/.
    """

    def __init__(self, message: str = "connection refused", data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class AckTimeout(SocketeerError, TimeoutError):
    """An acknowledgement did not come in time.

    For a broadcast, ``responses`` holds what the other clients answered; otherwise it is empty.
    """

    def __init__(self, message: str = "operation has timed out", responses: list[Any] | None = None) -> None:
        super().__init__(message)
        self.responses: list[Any] = [] if responses is None else responses


class BrokerUnavailable(SocketeerError, ConnectionError):
    """The broker between the nodes of a cluster is away. Delivery on this node goes on."""


class TransportError(SocketeerError, ConnectionError):
    """A client's transport could not connect, or was answered with an error.

    ``description`` is the HTTP status, or the exception below.
    """

    def __init__(self, message: str, description: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.description = description


class SocketDisconnected(SocketeerError, ConnectionError):
    """The socket disconnected while its acknowledgement was waited for."""
