r"""Engine.IO 3, which clients of Socket.IO 2 speak: all of it that is not as in Engine.IO 4.

https://github.com/socketio/engine.io-protocol/blob/v3/README.md. The packet types are the same. What differs:

- The client pings and the server answers.
- A binary packet has its type in front: the byte ``04`` in a binary frame, the character ``4`` behind the ``b`` of
  its text form.
- A long-polling payload counts: ``<length>:<packet>`` in text, where a length is in JavaScript's characters (UTF-16
  code units). Where a packet is binary and the client takes binary, all packets of the payload are in binary form:
  ``00`` (text) or ``01`` (binary), the length in bytes as one byte for each decimal digit, ``ff``, the packet.
- JSONP: the payload as the argument of a function call, and as a field of a form.

Each decoder is linear in the size of what it gets, and raises :class:`~socketeer.errors.PacketError` for what is
malformed; the official one overlooks some of it.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import orjson

from socketeer.errors import PacketError
from socketeer.protocol.engineio import MESSAGE, decode_base64
from socketeer.protocol.frame import Message

PONG_PACKET = Message(b"3")

#: The type of a message in binary form.
_MESSAGE: Final = 4
_TYPE: Final = bytes((_MESSAGE,))

_IS_TEXT: Final = 0
_IS_BINARY: Final = 1
_END_OF_LENGTH: Final = b"\xff"

#: Digits of a length: more than any limit of a payload needs.
_MAX_DIGITS: Final = 15

#: Fields of a JSONP form. The client sends one.
_MAX_FORM_FIELDS: Final = 16


class Received(NamedTuple):
    """One packet of a payload."""

    binary: bool
    """Whether it is in binary form, as in a binary frame; otherwise it is in text form."""
    data: bytes


# --- binary packets --------------------------------------------------------------------------------


def typed(message: Message) -> Message:
    """The message with the type byte in front of each attachment, as WebSocket frames carry it; once for all."""
    return message.once(_typed) if message.attachments else message


def _typed(message: Message) -> Message:
    return Message(message.text, [_TYPE + each for each in message.attachments], message.compress)


def base64_packets(message: Message) -> list[bytes]:
    """The message as packets in text form, for a client that takes no binary."""
    packets = [message.text] if message.text else []
    packets += (b"b4" + b2a_base64(each, newline=False) for each in message.attachments)
    return packets


def decode_binary(data: bytes) -> bytes:
    """The data of a packet in binary form.

    Raises:
        PacketError: its first byte is not a message's type; no other packet is ever binary.
    """
    if data[:1] != _TYPE:
        raise PacketError(f"binary packet: expected a message, type byte 4, got {data[:1]!r}")
    return data[1:]


def decode_text_binary(packet: bytes) -> bytes:
    """The data of a packet in text form that starts with ``b``.

    Raises:
        PacketError: no message's type follows the ``b``, or no base64 follows that.
    """
    if packet[1:2] != bytes((MESSAGE,)):
        raise PacketError(f"binary packet: expected a message, 'b4', got {packet[:2]!r}")
    return decode_base64(packet[1:])


# --- payloads out ----------------------------------------------------------------------------------


def is_binary(messages: Iterable[Message]) -> bool:
    """Whether a payload of these messages is in binary form, for a client that takes binary."""
    return any(message.attachments for message in messages)


def encode_payload(messages: Iterable[Message]) -> bytes:
    """The messages as a payload of text; binary as base64."""
    return b"".join([message.once(_text_piece) for message in messages])


def encode_binary_payload(messages: Iterable[Message]) -> bytes:
    """The messages as a payload in binary form."""
    return b"".join([message.once(_binary_piece) for message in messages])


def _text_piece(message: Message) -> bytes:
    return b"".join([b"%d:%b" % (_characters(packet), packet) for packet in base64_packets(message)])


def _characters(packet: bytes) -> int:
    """How many characters JavaScript counts in this UTF-8: one outside the basic plane counts twice."""
    return len(packet) if packet.isascii() else len(packet.decode().encode("utf-16-le")) // 2


def _binary_piece(message: Message) -> bytes:
    pieces = [_counted(_IS_TEXT, message.text)] if message.text else []
    pieces += (_counted(_IS_BINARY, each) for each in typed(message).attachments)
    return b"".join(pieces)


def _counted(kind: int, packet: bytes) -> bytes:
    return bytes((kind, *map(int, str(len(packet))))) + _END_OF_LENGTH + packet


# --- payloads in -----------------------------------------------------------------------------------


def decode_payload(body: bytes, max_packets: int) -> list[Received]:
    """The packets of a payload of text, in order. An empty packet is passed over, as by the official server.

    Raises:
        PacketError: it is no UTF-8, is malformed, or holds more than ``max_packets``.
    """
    if not body:
        raise PacketError("long-polling payload: expected <length>:<packet>, got nothing")
    if body.isascii():
        return _decode_text(body, max_packets, 1)
    try:
        # Two bytes for each character that a length counts, so that a length is an offset.
        return _decode_text(body.decode().encode("utf-16-le"), max_packets, 2)
    except UnicodeDecodeError:
        # Not UTF-8 as it came, or cut in the middle of a character by a length.
        raise PacketError("long-polling payload: expected UTF-8") from None


def _decode_text(body: bytes, max_packets: int, width: int) -> list[Received]:
    """``width`` is the bytes of a character: 1 in ASCII, 2 in UTF-16."""
    colon = b":\0"[:width]
    packets: list[Received] = []
    at = count = 0
    while at < len(body):
        count += 1
        _check_count(count, max_packets)
        end = body.find(colon, at, at + (_MAX_DIGITS + 1) * width)
        digits = body[at:end] if end > at else b""
        if width == 2:
            digits = _narrow(digits)
        if not digits.isdigit():
            raise PacketError("long-polling payload: expected <length>:<packet>")
        start = end + width
        at = start + int(digits) * width
        packet = body[start:at]
        if at > len(body):
            raise PacketError("long-polling payload: a packet is shorter than its length")
        if packet:
            packets.append(Received(False, packet if width == 1 else packet.decode("utf-16-le").encode()))
    return packets


def _narrow(digits: bytes) -> bytes:
    """UTF-16 as ASCII; nothing where it is not ASCII, or where a colon was found between two characters."""
    return digits[::2] if len(digits) % 2 == 0 and not any(digits[1::2]) else b""


def decode_binary_payload(body: bytes, max_packets: int) -> list[Received]:
    """The packets of a payload in binary form, in order.

    Raises:
        PacketError: it is malformed, or holds more than ``max_packets``.
    """
    if not body:
        raise PacketError("long-polling payload: expected packets in binary form, got nothing")
    packets: list[Received] = []
    at = count = 0
    while at < len(body):
        count += 1
        _check_count(count, max_packets)
        kind = body[at]
        end = body.find(_END_OF_LENGTH, at + 1, at + _MAX_DIGITS + 2)
        digits = body[at + 1 : end] if end > at + 1 else b""
        if kind not in (_IS_TEXT, _IS_BINARY) or not digits or max(digits) > 9:
            raise PacketError("long-polling payload: expected 00 or 01, a length in digits, ff, a packet")
        start = end + 1
        at = start + int("".join(map(str, digits)))
        if at > len(body):
            raise PacketError("long-polling payload: a packet is shorter than its length")
        packet = body[start:at]
        if kind == _IS_BINARY:
            packets.append(Received(True, packet))
        elif packet:
            packets.append(Received(False, _utf8(packet)))
    return packets


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise PacketError(f"long-polling payload: expected at most {most} packets (max_payload_packets)")


def _utf8(packet: bytes) -> bytes:
    try:
        packet.decode()
    except UnicodeDecodeError:
        raise PacketError("long-polling payload: expected UTF-8") from None
    return packet


# --- JSONP -----------------------------------------------------------------------------------------

_ESCAPES = ((b"<", b"\\u003c"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
_NEWLINES = re.compile(r"\\?\\n")


def encode_jsonp(payload: bytes, index: str) -> bytes:
    """The script that hands a payload of text to the client's function number ``index``.

    Only the digits of ``index`` are used, so that a request cannot choose what is called.
    """
    quoted = orjson.dumps(payload.decode())
    # JSON is not quite JavaScript: two characters end a line there. And nothing in it may end a script element.
    for character, escape in _ESCAPES:
        quoted = quoted.replace(character, escape)
    digits = "".join(each for each in index if each in "0123456789")
    return b"___eio[%b](%b);" % (digits.encode(), quoted)


def decode_jsonp(body: bytes, max_packets: int) -> list[Received]:
    r"""The packets of a form whose field ``d`` is a payload of text.

    Browsers rewrite line ends in a form, so the client sends ``\n`` for one, and two backslashes and an ``n`` for
    what was ``\n`` already.

    Raises:
        PacketError: there is no such form, not exactly one such field, or no such payload in it.
    """
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FORM_FIELDS
        )
    except ValueError:  # no UTF-8, or too many fields
        raise PacketError("JSONP form: expected a field d, in UTF-8") from None
    payloads = [value for name, value in fields if name == "d"]
    if len(payloads) != 1:
        raise PacketError(f"JSONP form: expected one field d, got {len(payloads)}")
    payload = _NEWLINES.sub(lambda found: "\n" if len(found[0]) == 2 else "\\n", payloads[0])
    return decode_payload(payload.encode(), max_packets)
