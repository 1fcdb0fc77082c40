r"""Engine.IO 4: packet types, long-polling payloads, the open handshake.

https://socket.io/docs/v4/engine-io-protocol/. A packet of text is its type character and its data;
a WebSocket carries one in each text frame, a long-polling payload several, parted by ``\x1e``.
A binary packet is always a message: a binary frame, or ``b`` and base64 in text.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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

#: Seconds: a heartbeat that is longer is none.
MAX_SECONDS = 10_000_000

#: Characters of a session id: it goes into each request's URL.
MAX_SID = 1_024

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
    rest = _behind_sid(tuple(upgrades), ping_interval, ping_timeout, max_payload)
    return Message(b'0{"sid":%b,%b' % (orjson.dumps(sid), rest))


@lru_cache(maxsize=64)
def _behind_sid(
    upgrades: tuple[str, ...], ping_interval: float, ping_timeout: float, max_payload: int
) -> bytes:
    """What the open packet says behind the id, which is the same for all sessions of a server."""
    handshake = {
        "upgrades": upgrades,
        "pingInterval": round(ping_interval * 1000),
        "pingTimeout": round(ping_timeout * 1000),
        "maxPayload": max_payload,
    }
    return orjson.dumps(handshake)[1:]


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the server says first. The times are seconds here and milliseconds on the wire."""

    sid: str
    upgrades: tuple[str, ...]
    ping_interval: float
    ping_timeout: float
    max_payload: int
    """Bytes of one long-polling body; 0 where the server does not say."""


#: How Engine.IO 3 begins over long-polling: the packet's length, a colon, the packet.
_V3_OPEN = re.compile(rb"\d+:0\{")


def read_open_packet(data: bytes) -> Handshake:
    """The handshake in the first packet of a session.

    Raises:
        PacketError: it is none, or what it says makes no sense.
    """
    said: Any = None
    if data[:1] == bytes((OPEN,)):
        with suppress(ValueError):
            said = orjson.loads(data[1:])
    if type(said) is not dict:
        hint = " (a server of Socket.IO 2? this client speaks to 3 and 4)" if _V3_OPEN.match(data) else ""
        raise PacketError(f"expected an Engine.IO open packet, got {data[:100]!r}{hint}")
    sid, upgrades, max_payload = said.get("sid"), said.get("upgrades", []), said.get("maxPayload", 0)
    times: list[Any] = [said.get(name) for name in ("pingInterval", "pingTimeout")]
    if (
        type(sid) is not str
        or not 0 < len(sid) <= MAX_SID
        or type(upgrades) is not list
        or not all(type(each) in (int, float) and 0 < each < MAX_SECONDS * 1000 for each in times)
        or type(max_payload) is not int
    ):
        raise PacketError(
            f"open packet: expected sid, upgrades, pingInterval and pingTimeout, got {data[:200]!r}"
        )
    interval, timeout = (each / 1000 for each in times)
    names = tuple(each for each in upgrades if type(each) is str)
    return Handshake(sid, names, interval, timeout, max(0, max_payload))


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
