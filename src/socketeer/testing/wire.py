"""One end of a connection for a parser under test, and what must be true of every message and packet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from socketeer.protocol.frame import RECORD_SEPARATOR, Message
from socketeer.protocol.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED_EVENTS, Packet
from socketeer.protocol.parsers import PacketParser, PartialPacket


class Receiver:
    """One connection: takes messages part by part, as they come from a peer.

    Attributes:
        packets: what has come, whole.
    """

    def __init__(self, parser: PacketParser) -> None:
        self.packets: list[Packet] = []
        self._parser = parser
        self._partial: PartialPacket | None = None

    def take(self, text: bool, data: bytes) -> None:
        """One message of the peer; text starts with Engine.IO's ``4``."""
        if self._partial is not None:
            assert not text, "a message of text comes before a packet is whole"
            found: Packet | PartialPacket | None = self._partial.add(data)
            if found is None:
                return
        else:
            found = self._parser.decode(data) if text else self._parser.decode_binary(data)
        if isinstance(found, Packet):
            self._partial = None
            self.packets.append(found)
        else:
            self._partial = found

    @property
    def waiting(self) -> bool:
        """Whether a packet is not whole yet."""
        return self._partial is not None


def parts(message: Message) -> list[tuple[bool, bytes]]:
    """The messages that a peer gets, each with whether it is text."""
    text = [(True, message.text)] if message.text else []
    return text + [(False, bytes(each)) for each in message.attachments]


def check_message(message: Message) -> None:
    """It can be carried by every transport."""
    assert message.text or message.attachments, "a message is empty"
    assert type(message.text) is bytes, "text must be bytes"
    assert message.text[:1] in (b"", b"4"), "text must start with Engine.IO's 4"
    assert RECORD_SEPARATOR not in message.text, "text holds the separator of long-polling payloads"
    message.text.decode()
    assert all(type(each) is bytes for each in message.attachments), "attachments must be bytes"


def check_packet(packet: Packet) -> None:
    """It is one that the server may be given, wherever it came from."""
    data = packet.data
    valid = {
        CONNECT: data is None or type(data) is dict,
        DISCONNECT: data is None,
        EVENT: type(data) is list and (not data or _is_name(data[0])),
        ACK: type(data) is list,
        CONNECT_ERROR: data is None or type(data) in (dict, str),
    }
    assert valid.get(packet.type, False), f"no valid packet: {packet!r:.300}"
    assert type(packet.nsp) is str, f"namespace: expected a string, got {packet.nsp!r:.100}"
    assert packet.id is None or (type(packet.id) is int and packet.id >= 0), f"id: got {packet.id!r:.100}"


def _is_name(name: Any) -> bool:
    return name not in RESERVED_EVENTS if type(name) is str else type(name) in (int, float)


def broken(data: bytes, keep: int) -> Iterator[bytes]:
    """The same cut short everywhere, with each byte changed, with bytes behind it; the first ``keep`` stay."""
    for at in range(keep, len(data)):
        yield data[:at]
        for byte in (0x00, 0x22, 0x2D, 0x39, 0x5B, 0x81, 0xC0, 0xC1, 0xC7, 0xD4, 0xDD, 0xFF, data[at] ^ 1):
            yield data[:at] + bytes((byte,)) + data[at + 1 :]
    for tail in (b"\x00", b" ", b"x", b"\xff", data):
        yield data + tail
