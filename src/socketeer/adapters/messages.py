"""What the nodes of a cluster tell each other, as the official adapters do (socket.io-adapter 2.5).

A :class:`Message` has a kind, a namespace, the sender's id and the data of its kind. What comes from a
broker is checked here, whatever its format was: who can write to the broker need not be one of us.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, Final

import msgspec

from socketeer.errors import PacketError
from socketeer.protocol.packet import EVENT, RESERVED_EVENTS
from socketeer.server.adapter import Flags, Room, Target

#: The sender's id in messages of processes that serve nobody: it is never counted as a node.
EMITTER: Final = "emitter"

#: Characters of an id, at most.
_ID = 128


class Kind(IntEnum):
    """What a message is."""

    INITIAL_HEARTBEAT = 1
    HEARTBEAT = 2
    BROADCAST = 3
    SOCKETS_JOIN = 4
    SOCKETS_LEAVE = 5
    DISCONNECT_SOCKETS = 6
    FETCH_SOCKETS = 7
    FETCH_SOCKETS_RESPONSE = 8
    SERVER_SIDE_EMIT = 9
    SERVER_SIDE_EMIT_RESPONSE = 10
    BROADCAST_CLIENT_COUNT = 11
    BROADCAST_ACK = 12
    ADAPTER_CLOSE = 13


class SentFlags(msgspec.Struct, rename="camel", omit_defaults=True):
    """:class:`Flags` as they travel; the time-out is in milliseconds."""

    volatile: bool | None = None
    compress: bool | None = None
    timeout: float | None = None


class Opts(msgspec.Struct):
    """A :class:`Target` as it travels."""

    rooms: list[str | int] = []
    except_: list[str | int] = msgspec.field(name="except", default_factory=list)
    flags: SentFlags = msgspec.field(default_factory=SentFlags)

    @classmethod
    def of(cls, target: Target, timeout: float | None = None) -> Opts:
        """For other nodes."""
        flags = target.flags
        return cls(
            list(target.rooms),
            list(target.except_rooms),
            SentFlags(
                volatile=flags.volatile or None,
                compress=None if flags.compress else False,
                timeout=None if timeout is None else timeout * 1000,
            ),
        )

    def target(self) -> Target:
        """For this node."""
        flags = self.flags
        return Target(
            tuple(map(_room, self.rooms)),
            tuple(map(_room, self.except_)),
            Flags(volatile=flags.volatile is True, compress=flags.compress is not False),
        )

    def plain(self) -> dict[str, Any]:
        """As the official adapters write it."""
        return {"rooms": self.rooms, "except": self.except_, "flags": msgspec.to_builtins(self.flags)}


class EventPacket(msgspec.Struct):
    """An event: its name and its arguments."""

    data: list[Any]
    type: int = EVENT

    def plain(self) -> dict[str, Any]:
        """As the official adapters write it."""
        return {"type": EVENT, "data": self.data}


class _Data(msgspec.Struct, rename="camel", kw_only=True):
    """The data of one kind of message."""

    def check(self) -> None:
        """What the types do not say.

        Raises:
            PacketError: it is not so.
        """

    def plain(self) -> dict[str, Any]:
        """The fields by the names that travel, the values as they are; those that are None are left out."""
        fields = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        values = {name: getattr(self, field) for field, name in fields}
        return {name: _shown(value) for name, value in values.items() if value is not None}


class Broadcast(_Data):
    """An event for clients; with an id, their acknowledgements are wanted."""

    opts: Opts
    packet: EventPacket
    request_id: str | None = None

    def check(self) -> None:
        args = self.packet.data
        if not args or not isinstance(args[0], (str, int)) or args[0] in RESERVED_EVENTS:
            raise PacketError(f"expected an event that may be emitted, got {args[:1]!r:.100}")
        timeout = self.opts.flags.timeout
        if timeout is not None and not math.isfinite(timeout):
            raise PacketError(f"expected milliseconds for a time-out, got {timeout}")


class Membership(_Data):
    """Rooms that sockets are to join or to leave."""

    opts: Opts
    rooms: list[str | int]

    def names(self) -> tuple[Room, ...]:
        """The rooms."""
        return tuple(map(_room, self.rooms))


class Disconnection(_Data):
    """Sockets that are to be disconnected."""

    opts: Opts
    close: bool = False


class Fetch(_Data):
    """A question for sockets."""

    opts: Opts
    request_id: str


class FetchedSocket(msgspec.Struct):
    """A socket of another node."""

    id: str
    handshake: dict[str, Any]
    rooms: list[str | int]
    data: Any = None

    def plain(self) -> dict[str, Any]:
        """As the official adapters write it."""
        return {"id": self.id, "handshake": self.handshake, "rooms": self.rooms, "data": self.data}


class Fetched(_Data):
    """The answer."""

    request_id: str
    sockets: list[FetchedSocket]


class KeptSession(msgspec.Struct):
    """A session that waits for its client."""

    sid: str
    pid: str
    rooms: list[str | int]
    data: Any = None
    offset: str | None = None
    """Of the last event that was sent to the client; official nodes do not say."""
    position: str | None = None
    """Of the last entry of the log that its node had passed when the client left."""


class ServerSideEmit(_Data):
    """An event for the servers; with an id, an answer of each is wanted."""

    packet: list[Any]
    request_id: str | None = None

    def check(self) -> None:
        if not self.packet or not isinstance(self.packet[0], str):
            raise PacketError(f"expected an event's name, got {self.packet[:1]!r:.100}")


class Answer(_Data):
    """What a client, or a server, answers."""

    request_id: str
    packet: Any = None

    def plain(self) -> dict[str, Any]:
        return {"requestId": self.request_id, "packet": self.packet}


class ClientCount(_Data):
    """How many clients of a node have been asked for an acknowledgement."""

    request_id: str
    client_count: int

    def check(self) -> None:
        if self.client_count < 0:
            raise PacketError(f"expected a number of clients, got {self.client_count}")


Data = Broadcast | Membership | Disconnection | Fetch | Fetched | ServerSideEmit | Answer | ClientCount


class Message(msgspec.Struct):
    """One message between nodes."""

    kind: Kind
    nsp: str
    uid: str
    """The sender: an id of the namespace's adapter on its node."""
    data: Data | None = None

    def plain(self) -> dict[str, Any]:
        """As the official adapters write it."""
        head: dict[str, Any] = {"type": int(self.kind)}
        if self.data is not None:
            head["data"] = self.data.plain()
        return {**head, "uid": self.uid, "nsp": self.nsp}


_DATA: Final[dict[Kind, type[_Data]]] = {
    Kind.BROADCAST: Broadcast,
    Kind.SOCKETS_JOIN: Membership,
    Kind.SOCKETS_LEAVE: Membership,
    Kind.DISCONNECT_SOCKETS: Disconnection,
    Kind.FETCH_SOCKETS: Fetch,
    Kind.FETCH_SOCKETS_RESPONSE: Fetched,
    Kind.SERVER_SIDE_EMIT: ServerSideEmit,
    Kind.SERVER_SIDE_EMIT_RESPONSE: Answer,
    Kind.BROADCAST_CLIENT_COUNT: ClientCount,
    Kind.BROADCAST_ACK: Answer,
}

#: Those that answer a question, and go to who asked it.
RESPONSES: Final = frozenset(
    {
        Kind.FETCH_SOCKETS_RESPONSE,
        Kind.SERVER_SIDE_EMIT_RESPONSE,
        Kind.BROADCAST_CLIENT_COUNT,
        Kind.BROADCAST_ACK,
    }
)


class _Envelope(msgspec.Struct):
    type: int
    uid: str
    nsp: str
    data: Any = None


def parse(value: Any, nsp: str | None = None) -> Message:
    """A message from what a broker brought, decoded.

    Args:
        value: a mapping, if it is a message.
        nsp: the namespace where it does not say one itself: that of the channel.

    Raises:
        PacketError: it is no message of a cluster.
    """
    if isinstance(value, dict) and nsp is not None and value.get("nsp") is None:
        value = {**value, "nsp": nsp}
    envelope = convert(value, _Envelope)
    return make(envelope.type, envelope.nsp, envelope.uid, envelope.data)


def make(kind: int, nsp: str, uid: str, data: Any) -> Message:
    """A message of its parts, the data not yet checked.

    Raises:
        PacketError: these are no message's.
    """
    if not 0 < len(uid) <= _ID:
        raise PacketError(f"expected the sender's id, got {uid!r:.200}")
    try:
        kind = Kind(kind)
    except ValueError:
        raise PacketError(f"expected a type from 1 to {max(Kind):d}, got {kind!r}") from None
    shape = _DATA.get(kind)
    if shape is None:
        return Message(kind, nsp, uid)
    parsed: Any = convert(data, shape)
    parsed.check()
    return Message(kind, nsp, uid, parsed)


def convert(value: Any, shape: Any) -> Any:
    """A value in the shape that it is to have.

    Raises:
        PacketError: it has another.
    """
    try:
        return msgspec.convert(value, shape, strict=True)
    except (ValueError, RecursionError) as error:
        raise PacketError(f"no message of a cluster: {error}") from None


def _room(name: str | int) -> Room:
    """JavaScript's servers may have numbers for rooms."""
    return name if isinstance(name, str) else str(name)


def _shown(value: Any) -> Any:
    if isinstance(value, (Opts, EventPacket)):
        return value.plain()
    if isinstance(value, list):
        return [each.plain() if isinstance(each, FetchedSocket) else each for each in value]
    return value
