"""The format of ``@socket.io/redis-adapter`` 8.3: broadcasts, requests and responses, each on channels of their own.

Broadcasts are MessagePack; the rest is JSON, or MessagePack where something binary may be in it. Answers
do not say who sends them.
"""

from __future__ import annotations

from collections.abc import Awaitable
from enum import IntEnum
from typing import Any

from socketeer.adapters.bus import Bus
from socketeer.adapters.codec import decode, encode
from socketeer.adapters.messages import EMITTER, SOMEBODY, Broadcast, Kind, Message, make
from socketeer.adapters.wire import Hear
from socketeer.errors import MessageTooLarge, PacketError
from socketeer.protocol.msgpack import pack_plain, unpack_plain
from socketeer.server.adapter import Adapter, Target


class _Type(IntEnum):
    """What a request is."""

    SOCKETS = 0
    ALL_ROOMS = 1
    REMOTE_JOIN = 2
    REMOTE_LEAVE = 3
    REMOTE_DISCONNECT = 4
    REMOTE_FETCH = 5
    SERVER_SIDE_EMIT = 6
    BROADCAST = 7
    BROADCAST_CLIENT_COUNT = 8
    BROADCAST_ACK = 9


_REQUESTS = {
    Kind.SOCKETS_JOIN: _Type.REMOTE_JOIN,
    Kind.SOCKETS_LEAVE: _Type.REMOTE_LEAVE,
    Kind.DISCONNECT_SOCKETS: _Type.REMOTE_DISCONNECT,
    Kind.FETCH_SOCKETS: _Type.REMOTE_FETCH,
    Kind.SERVER_SIDE_EMIT: _Type.SERVER_SIDE_EMIT,
    Kind.BROADCAST: _Type.BROADCAST,
}
_KINDS: dict[int, Kind] = {type_: kind for kind, type_ in _REQUESTS.items()}


class ClassicWire:
    """One namespace's messages in this format.

    Args:
        bus: what moves the bytes; a channel that ends in ``*`` is a pattern.
        nsp: the namespace.
        key: what all channels begin with.
        specific: whether answers go to a channel of the node that asked.
    """

    def __init__(self, bus: Bus, nsp: str, key: str, *, specific: bool = False) -> None:
        self.bus = bus
        self.nsp = nsp
        self.local: Adapter | None = None
        """Whose rooms this node tells of to nodes that ask for their names."""
        self._specific = specific
        self._channel = f"{key}#{nsp}#"
        self._requests = f"{key}-request#{nsp}#"
        self._responses = f"{key}-response#{nsp}#"
        self._uid = ""
        self._hear: Hear | None = None

    def open(self, uid: str, hear: Hear) -> None:
        """Listen."""
        self._uid, self._hear = uid, hear
        for channel, receive in self._channels():
            self.bus.subscribe(channel, receive)

    def close(self) -> None:
        """Do not listen any more."""
        self._hear = None
        for channel, receive in self._channels():
            self.bus.unsubscribe(channel, receive)

    def _channels(self) -> list[tuple[str, Any]]:
        return [
            (f"{self._channel}*", self.on_broadcast),
            (self._requests, self.on_request),
            (self._responses, self.on_response),
            (f"{self._responses}{self._uid}#", self.on_response),
        ]

    async def server_count(self) -> int:
        """Those that have subscribed to requests."""
        return await self.bus.subscribers(self._requests)

    # --- what goes ----------------------------------------------------------------------------------

    def send(self, message: Message) -> Awaitable[None]:
        """Tell all nodes."""
        data = message.data
        if isinstance(data, Broadcast):
            return self._broadcast(message.uid, data)
        body = {} if data is None else data.plain()
        request: dict[str, Any] = {"uid": message.uid}
        if "requestId" in body:
            request["requestId"] = body.pop("requestId")
        request["type"] = int(_REQUESTS[message.kind])
        if "opts" in body:
            opts = body.pop("opts")
            request["opts"] = {"rooms": opts["rooms"], "except": opts["except"]}
        if "packet" in body:
            request["data"] = body.pop("packet")
        return self.bus.publish(self._requests, encode(request | body))

    def _broadcast(self, uid: str, data: Broadcast) -> Awaitable[None]:
        packet = {**data.packet.plain(), "nsp": self.nsp}
        opts = data.opts.plain()
        if data.request_id is None:
            rooms = data.opts.rooms
            channel = f"{self._channel}{rooms[0]}#" if len(rooms) == 1 else self._channel
            return self.bus.publish(channel, pack_plain([uid, packet, opts]))
        request = {
            "uid": uid,
            "requestId": data.request_id,
            "type": int(_Type.BROADCAST),
            "packet": packet,
            "opts": opts,
        }
        return self.bus.publish(self._requests, pack_plain(request))

    def answer(self, requester: str, message: Message) -> Awaitable[None]:
        """Tell the node that asked, and without ``specific`` all others too."""
        body = {} if message.data is None else message.data.plain()
        request_id = body.get("requestId")
        response: dict[str, Any]
        if message.kind is Kind.BROADCAST_ACK:
            response = {"type": int(_Type.BROADCAST_ACK), "requestId": request_id, "packet": body["packet"]}
            return self._respond(requester, pack_plain(response))
        if message.kind is Kind.SERVER_SIDE_EMIT_RESPONSE:  # always to all, in the official adapter
            response = {"type": int(_Type.SERVER_SIDE_EMIT), "requestId": request_id, "data": body["packet"]}
            return self.bus.publish(self._responses, encode(response))
        if message.kind is Kind.BROADCAST_CLIENT_COUNT:
            response = {"type": int(_Type.BROADCAST_CLIENT_COUNT), **body}
        else:
            response = body
        return self._respond(requester, encode(response))

    def _respond(self, requester: str, payload: bytes) -> Awaitable[None]:
        specific = self._specific and requester != EMITTER
        return self.bus.publish(f"{self._responses}{requester}#" if specific else self._responses, payload)

    # --- what comes ---------------------------------------------------------------------------------

    def on_broadcast(self, payload: bytes) -> None:
        """An event for clients."""
        try:
            message = self._event(unpack_plain(payload))
        except PacketError as error:
            self.bus.health.reject(error, self._channel)
            return
        self._heard(message)

    def _event(self, value: Any) -> Message | None:
        if not isinstance(value, list) or len(value) < 3 or not isinstance(value[1], dict):
            raise PacketError("expected a list of sender, packet and options")
        uid, packet, opts = value[:3]
        if uid == self._uid or (packet.get("nsp") or "/") != self.nsp:
            return None
        return make(Kind.BROADCAST, self.nsp, _text(uid), {"packet": packet, "opts": opts})

    def on_request(self, payload: bytes) -> None:
        """Something for nodes."""
        try:
            request = _mapping(decode(payload))
            if request.get("uid") != self._uid:
                self._heard(self._request(request))
        except (PacketError, MessageTooLarge) as error:  # or what it asks for is too large
            self.bus.health.reject(error, self._requests)

    def _request(self, request: dict[str, Any]) -> Message | None:
        type_, uid = request.get("type"), _text(request.get("uid", EMITTER))
        if not isinstance(type_, int):
            raise PacketError(f"expected a request's type, got {type_!r:.100}")
        if type_ in {_Type.SOCKETS, _Type.ALL_ROOMS}:
            self._tell_names(type_, uid, request)
            return None
        kind = _KINDS.get(type_)
        if kind is None:
            raise PacketError(f"expected a request's type from 0 to 7, got {type_}")
        if "opts" not in request and "sid" in request:
            request = self._modern(uid, request)
        if kind is Kind.SERVER_SIDE_EMIT:
            request = {"packet": request.get("data"), "requestId": request.get("requestId")}
        return make(kind, self.nsp, uid, request)

    def _modern(self, uid: str, request: dict[str, Any]) -> dict[str, Any]:
        """A request of nodes of long ago, for one socket; who has it answers."""
        sid, room = _text(request["sid"]), request.get("room")
        if self.local is not None and any(self.local.socket_rooms(sid)):
            self._respond(uid, encode({"requestId": request.get("requestId")}))
        return {
            "opts": {"rooms": [sid]},
            "rooms": [] if room is None else [room],
            "close": request.get("close") is True,
        }

    def _tell_names(self, type_: int, uid: str, request: dict[str, Any]) -> None:
        """The names of this node's rooms, or of its sockets in some: only JavaScript's nodes ask."""
        if self.local is None:
            return
        response: dict[str, Any] = {"requestId": request.get("requestId")}
        if type_ == _Type.ALL_ROOMS:
            response["rooms"] = list(self.local.rooms)
        else:
            rooms = request.get("rooms")
            wanted = tuple(map(str, rooms)) if isinstance(rooms, list) else ()
            response["sockets"] = list(self.local.select(Target(wanted)))
        self._respond(uid, encode(response))

    def on_response(self, payload: bytes) -> None:
        """An answer, perhaps to somebody else's question."""
        try:
            response = _mapping(decode(payload))
            type_ = response.get("type")
            if type_ == _Type.SERVER_SIDE_EMIT:
                kind = Kind.SERVER_SIDE_EMIT_RESPONSE
                response = {"requestId": response.get("requestId"), "packet": response.get("data")}
            elif type_ == _Type.BROADCAST_CLIENT_COUNT:
                kind = Kind.BROADCAST_CLIENT_COUNT
            elif type_ == _Type.BROADCAST_ACK:
                kind = Kind.BROADCAST_ACK
            elif "sockets" in response:
                kind = Kind.FETCH_SOCKETS_RESPONSE
                if not _described(response["sockets"]):
                    return
            else:
                return
            self._heard(make(kind, self.nsp, SOMEBODY, response))
        except PacketError as error:
            self.bus.health.reject(error, self._responses)

    def _heard(self, message: Message | None) -> None:
        if message is not None and self._hear is not None:
            self._hear(message)


def _described(sockets: Any) -> bool:
    """Whether these are sockets; an answer to :attr:`_Type.SOCKETS` has their ids only."""
    return not (isinstance(sockets, list) and sockets and isinstance(sockets[0], str))


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PacketError(f"expected a mapping, got {value!r:.100}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PacketError(f"expected an id, got {value!r:.100}")
    return value
