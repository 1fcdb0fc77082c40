"""Socket.IO for Python: real-time, bidirectional, event-based communication.

>>> from socketeer import Server
"""

from socketeer._version import __version__
from socketeer.adapters.emitter import Emitter
from socketeer.client.blocking import BlockingClient
from socketeer.client.client import Client
from socketeer.client.events import Event, Overflow
from socketeer.client.socket import ClientSocket
from socketeer.errors import (
    AckTimeout,
    BrokerUnavailable,
    ConnectionRefused,
    InvalidPayload,
    MessageTooLarge,
    OptionError,
    PacketError,
    PeerError,
    ReservedEventError,
    SocketDisconnected,
    SocketeerError,
    TransportError,
    UsageError,
)
from socketeer.integrations.hosting import Server
from socketeer.messaging.handlers import Ack
from socketeer.options import Backpressure, Compression, Cookie, Cors, Limits, PerMessageDeflate, Recovery
from socketeer.protocol.frame import Message
from socketeer.protocol.packet import Packet
from socketeer.protocol.parsers import PacketParser, PartialPacket
from socketeer.server.events import event
from socketeer.server.namespace import Namespace
from socketeer.server.operators import BroadcastOperator, RemoteSocket
from socketeer.server.socket import Socket

__all__ = [
    "Ack",
    "AckTimeout",
    "Backpressure",
    "BlockingClient",
    "BroadcastOperator",
    "BrokerUnavailable",
    "Client",
    "ClientSocket",
    "Compression",
    "ConnectionRefused",
    "Cookie",
    "Cors",
    "Emitter",
    "Event",
    "InvalidPayload",
    "Limits",
    "Message",
    "MessageTooLarge",
    "Namespace",
    "OptionError",
    "Overflow",
    "Packet",
    "PacketError",
    "PacketParser",
    "PartialPacket",
    "PeerError",
    "PerMessageDeflate",
    "Recovery",
    "RemoteSocket",
    "ReservedEventError",
    "Server",
    "Socket",
    "SocketDisconnected",
    "SocketeerError",
    "TransportError",
    "UsageError",
    "__version__",
    "event",
]
