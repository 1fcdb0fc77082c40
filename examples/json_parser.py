"""A parser of one's own: each packet is one JSON object, as with socket.io-json-parser. It takes no binary.

Clients need the same: ``io(url, {parser: require("socket.io-json-parser")})``.
"""

from typing import Any

import msgspec
import orjson

from socketeer import Message, Packet, PacketError, Server, Socket
from socketeer.protocol.packet import ACK, EVENT, RESERVED_EVENTS

Args = tuple[Any, ...] | list[Any]


class Wire(msgspec.Struct):
    type: int
    nsp: str
    data: Any = None
    id: int | None = None


class JsonParser:
    # --- what goes out: orjson raises TypeError for what it cannot send

    def namespace_prefix(self, nsp: str) -> bytes:
        return nsp.encode()

    def encode_event(self, prefix: bytes, ack_id: int | None, args: Args, compress: bool = True) -> Message:
        packet: dict[str, Any] = {"type": EVENT, "data": args, "nsp": prefix.decode()}
        if ack_id is not None:
            packet["id"] = ack_id
        return Message(b"4" + orjson.dumps(packet), (), compress)

    def encode_ack(self, prefix: bytes, ack_id: int, args: Args) -> Message:
        packet = {"type": ACK, "data": args, "id": ack_id, "nsp": prefix.decode()}
        return Message(b"4" + orjson.dumps(packet))

    def encode_control(self, type_: int, prefix: bytes, data: Any = None) -> Message:
        packet: dict[str, Any] = {"type": type_, "nsp": prefix.decode()}
        if data is not None:
            packet["data"] = data
        return Message(b"4" + orjson.dumps(packet))

    # --- what comes in: a valid packet, or PacketError

    def decode(self, data: bytes, at: int = 1) -> Packet:
        try:
            wire = msgspec.json.decode(data[at:], type=Wire)
        except (ValueError, RecursionError) as error:
            raise PacketError(f"not a packet: {error}") from None
        if not valid(wire):
            raise PacketError("invalid payload")
        return Packet(wire.type, wire.nsp, wire.data, wire.id)

    def decode_binary(self, data: bytes) -> Packet:
        raise PacketError("got binary, expected JSON")


def valid(wire: Wire) -> bool:
    if wire.id is not None and wire.id < 0:
        return False
    match wire.type, wire.data:
        case (0 | 1, None):  # CONNECT, DISCONNECT
            return True
        case (0, dict()) | (3, list()):  # CONNECT, ACK
            return True
        case (4, dict() | str()):  # CONNECT_ERROR
            return True
        case (2, [str(name), *_]):  # EVENT
            return name not in RESERVED_EVENTS
        case _:
            return False


io = Server(parser=JsonParser())


@io.on("connection")
async def connection(socket: Socket) -> None:
    @socket.on("chat message")
    async def chat(text: str) -> str:
        io.emit("chat message", text)
        return "delivered"


if __name__ == "__main__":
    io.run(port=3004)
