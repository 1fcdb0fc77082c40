r"""Engine.IO 4: packet types, long-polling payloads, the open handshake.

https://socket.io/docs/v4/engine-io-protocol/. A packet of text is its type character and its data;
a WebSocket carries one in each text frame, a long-polling payload several, parted by ``\x1e``.
A binary packet is always a message: a binary frame, or ``b`` and base64 in text.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64

import orjson

from socketeer.errors import PacketError
from socketeer.protocol.frame import RECORD_SEPARATOR, Message

OPEN = 0x30
CLOSE = 0x31
PING = 0x32
PONG = 0x33
MESSAGE = 0x34
UPGRADE = 0x35
NOOP = 0x36
#: The first byte of a binary packet in text form.
BASE64 = 0x62

PROBE_PING = b"2probe"
PROBE_PONG = Message(b"3probe")
PING_PACKET = Message(b"2")
CLOSE_PACKET = Message(b"1")
NOOP_PACKET = Message(b"6")

#: Error codes of a refused request and their messages (engine.io, ``Server.errors``).
ERROR_MESSAGES = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}


def error_body(code: int, message: str) -> bytes:
    """The JSON that answers a refused request."""
    return orjson.dumps({"code": code, "message": message})


def open_packet(
    sid: str, upgrades: list[str], ping_interval: float, ping_timeout: float, max_payload: int
) -> Message:
    """The first packet of a session. The times are seconds here and milliseconds on the wire."""
    handshake = {
        "sid": sid,
        "upgrades": upgrades,
        "pingInterval": round(ping_interval * 1000),
        "pingTimeout": round(ping_timeout * 1000),
        "maxPayload": max_payload,
    }
    return Message(b"0" + orjson.dumps(handshake))


def decode_base64(data: bytes) -> bytes:
    """The data of a text packet that starts with ``b``.

    Strictly: with its padding, which every official client sends, and no character beside the alphabet.

    Raises:
        PacketError: it is not base64.
    """
    encoded = data[1:]
    try:
        if len(encoded) % 4:
            raise ValueError  # padding behind what is complete: not every Python refuses it
        return a2b_base64(encoded, strict_mode=True)
    except (Base64Error, ValueError):
        raise PacketError("binary packet: expected base64 after 'b'") from None


def decode_payload(body: bytes, max_packets: int) -> list[bytes]:
    """The packets of a long-polling body, in order, still encoded. Linear in its size.

    Raises:
        PacketError: it holds more packets than ``max_packets``.
    """
    packets = body.split(RECORD_SEPARATOR, max_packets)
    if len(packets) > max_packets:
        raise PacketError(
            f"long-polling payload: expected at most {max_packets} packets (max_payload_packets)"
        )
    return packets
