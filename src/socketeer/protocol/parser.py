"""The default parser: header, JSON and binary attachments of a Socket.IO 5 packet.

``<type>[<attachments>-][<namespace>,][<ack id>][JSON]``
(https://socket.io/docs/v4/socket-io-protocol/#packet-encoding). An outgoing packet becomes one
:class:`~socketeer.protocol.frame.Message`; the attachments are taken out by the hook that orjson
calls for what it cannot serialise, so nobody walks the payload first. An incoming packet with
attachments is held as a :class:`Partial` until the last of them is in.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import orjson

from socketeer.errors import PacketError
from socketeer.protocol.frame import Message, text_message
from socketeer.protocol.packet import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    RESERVED_EVENTS,
    Packet,
)
from socketeer.protocol.values import BINARY, plain_data

_loads = orjson.loads
_dumps = orjson.dumps

_ZERO: Final = 0x30
_NINE: Final = 0x39
_SLASH: Final = 0x2F

#: The largest acknowledgement id: as far as JavaScript counts exactly, and its digits.
_MAX_ID: Final = 2**53 - 1
_MAX_ID_DIGITS: Final = 16
#: Digits of a number of attachments: any limit that makes sense has fewer.
_MAX_COUNT_DIGITS = 9


class Partial:
    """A binary packet some of whose attachments have yet to come."""

    __slots__ = ("attachments", "expected", "packet")

    def __init__(self, packet: Packet, expected: int) -> None:
        self.packet = packet
        self.expected = expected
        self.attachments: list[bytes] = []

    def add(self, data: bytes) -> Packet | None:
        """Take the next attachment; the whole packet, once that was the last.

        Raises:
            PacketError: a placeholder points at an attachment that there is not.
        """
        self.attachments.append(data)
        if len(self.attachments) < self.expected:
            return None
        _fill(self.packet.data, self.attachments)
        return self.packet


def _fill(payload: list[Any], attachments: list[bytes]) -> None:
    """Put the attachments where their placeholders are.

    Without recursion: orjson lets JSON be deeper than Python's stack.
    """
    todo: list[Any] = [payload]
    while todo:
        container = todo.pop()
        # Only values are replaced, so a dict may be changed while it is gone through.
        for key, value in container.items() if type(container) is dict else enumerate(container):
            if type(value) is dict and value.get("_placeholder") is True:
                number = value.get("num")
                if type(number) is not int or not 0 <= number < len(attachments):
                    raise PacketError("illegal attachments")
                container[key] = attachments[number]
            elif type(value) is dict or type(value) is list:
                todo.append(value)


class Parser:
    """Encodes and decodes packets for one server or client. Not for use by several threads at once."""

    __slots__ = ("_attachments", "_hook", "max_attachments")

    def __init__(self, max_attachments: int = 10) -> None:
        self.max_attachments = max_attachments
        self._attachments: list[bytes] = []
        self._hook = self._extract  # made once, and not for each message

    # --- encoding -------------------------------------------------------------------------------

    def namespace_prefix(self, nsp: str) -> bytes:
        """What stands for the namespace in each of its packets; nothing for ``/``."""
        return b"" if nsp == "/" else nsp.encode() + b","

    def encode_event(
        self, prefix: bytes, ack_id: int | None, args: tuple[Any, ...] | list[Any], compress: bool = True
    ) -> Message:
        """An EVENT as a message. ``prefix`` is the namespace's, from :meth:`namespace_prefix`.

        Raises:
            TypeError: an argument cannot be sent as JSON and binary.
        """
        try:
            body = _dumps(args, self._hook)
        except TypeError as error:
            body = self._dump_again(args, error)
        if self._attachments:
            return self._with_attachments(BINARY_EVENT, prefix, ack_id, body, compress)
        if ack_id is None:
            return text_message((b"42" + prefix if prefix else b"42") + body, compress)
        return text_message(b"".join((b"42", prefix, str(ack_id).encode(), body)), compress)

    def encode_ack(self, prefix: bytes, ack_id: int, args: tuple[Any, ...] | list[Any]) -> Message:
        """An ACK as a message.

        Raises:
            TypeError: an argument cannot be sent as JSON and binary.
        """
        try:
            body = _dumps(args, self._hook)
        except TypeError as error:
            body = self._dump_again(args, error)
        if self._attachments:
            return self._with_attachments(BINARY_ACK, prefix, ack_id, body, True)
        return text_message(b"".join((b"43", prefix, str(ack_id).encode(), body)))

    def encode_control(self, type_: int, prefix: bytes, data: Any = None) -> Message:
        """A CONNECT, DISCONNECT or CONNECT_ERROR as a message; binary in ``data`` is not possible."""
        return Message(b"4%d%b%b" % (type_, prefix, b"" if data is None else _dumps(data)))

    def _with_attachments(
        self, type_: int, prefix: bytes, ack_id: int | None, body: bytes, compress: bool
    ) -> Message:
        attachments, self._attachments = self._attachments, []
        ack = b"" if ack_id is None else b"%d" % ack_id
        return Message(b"4%d%d-%b%b%b" % (type_, len(attachments), prefix, ack, body), attachments, compress)

    def _dump_again(self, args: tuple[Any, ...] | list[Any], error: TypeError) -> bytes:
        """For keys that are no strings orjson has an option, at a price.

        JavaScript turns any key into a string.
        """
        self._attachments = []
        if "Dict key must be" in str(error):
            try:
                return _dumps(args, self._hook, orjson.OPT_NON_STR_KEYS)
            except TypeError as again:
                self._attachments = []
                error = again
        raise TypeError(f"cannot send {error}") from None

    def _extract(self, value: Any) -> Any:
        """What orjson does not know: binary leaves a placeholder, the rest becomes plain data."""
        if isinstance(value, BINARY):
            self._attachments.append(bytes(value))
            return {"_placeholder": True, "num": len(self._attachments) - 1}
        return plain_data(value)

    # --- decoding -------------------------------------------------------------------------------

    def decode(self, data: bytes, at: int = 1) -> Packet | Partial:
        """The packet in ``data`` from position ``at`` on (1 passes over the Engine.IO type).

        Raises:
            PacketError: it is no valid packet, for the reasons and in the words of the official decoder.
        """
        start = event_at(data, at)
        if start:
            ack_id = int(data[at + 1 : start]) if start > at + 1 else None
            return Packet(EVENT, "/", event_payload(data, start), ack_id)
        return self._decode(data, at)

    def decode_binary(self, data: bytes) -> NoReturn:  # noqa: ARG002
        """Refuse binary that is no attachment: attachments go to their :class:`Partial`.

        Raises:
            PacketError: always.
        """
        raise PacketError("got binary data when not reconstructing a packet")

    def _decode(self, data: bytes, at: int) -> Packet | Partial:
        type_ = data[at] - _ZERO if at < len(data) else -1
        if not CONNECT <= type_ <= BINARY_ACK:
            raise PacketError(f"unknown packet type {bytes(data[at : at + 1])!r}")
        at += 1
        expected = 0
        if type_ >= BINARY_EVENT:
            expected, at = self._attachment_count(data, at)
        nsp, at = _namespace(data, at)
        ack_id, at = _ack_id(data, at)
        packet = Packet(type_, nsp, _payload(type_, data[at:]), ack_id)
        if not expected:
            return packet
        packet.type = EVENT if type_ == BINARY_EVENT else ACK
        return Partial(packet, expected)

    def _attachment_count(self, data: bytes, at: int) -> tuple[int, int]:
        dash = data.find(b"-", at, at + _MAX_COUNT_DIGITS + 1)
        digits = data[at:dash] if dash > at else b""
        if not digits.isdigit() or digits == b"0" * len(digits):
            raise PacketError("Illegal attachments")
        count = int(digits)
        if count > self.max_attachments:
            raise PacketError(f"too many attachments: expected at most {self.max_attachments}, got {count}")
        return count, dash + 1


def event_at(data: bytes, at: int) -> int:
    """For a packet at ``at``: where its payload begins, if it is an event of the main namespace, as most are; or else 0.

    The acknowledgement id stands before it, if one is asked for.
    """
    if data.startswith(b"2[", at):
        return at + 1
    if not data.startswith(b"2", at):
        return 0
    start = _after_digits(data, at + 1, _MAX_ID_DIGITS - 1)  # so the id is below _MAX_ID
    return start if data.startswith(b"[", start) else 0


def _after_digits(data: bytes, at: int, most: int) -> int:
    """The end of the digits that stand at ``at``, or of the first of too many."""
    limit = min(len(data), at + most)
    while at < limit and _ZERO <= data[at] <= _NINE:
        at += 1
    return at


def _namespace(data: bytes, at: int) -> tuple[str, int]:
    if at >= len(data) or data[at] != _SLASH:
        return "/", at
    end = data.find(b",", at)
    if end < 0:
        end = len(data)
    try:
        return data[at:end].decode(), end + 1
    except UnicodeDecodeError:
        raise PacketError("namespace: expected UTF-8") from None


def _ack_id(data: bytes, at: int) -> tuple[int | None, int]:
    end = _after_digits(data, at, _MAX_ID_DIGITS + 1)
    if end == at:
        return None, at
    if end - at > _MAX_ID_DIGITS:
        raise PacketError(f"acknowledgement id: expected at most {_MAX_ID_DIGITS} digits")
    ack_id = int(data[at:end])
    if ack_id > _MAX_ID:
        raise PacketError(f"acknowledgement id: expected at most {_MAX_ID}")
    return ack_id, end


def _json(data: bytes) -> Any:
    try:
        return _loads(data)
    except orjson.JSONDecodeError:
        raise PacketError("invalid payload") from None


def event_payload(data: bytes, at: int) -> list[Any]:
    """The payload of an EVENT, from ``at`` on: a name that is not reserved, or a number, and arguments.

    Raises:
        PacketError: it is none.
    """
    raw = data  # compiled, it is a pointer: to cut bytes costs more than to copy them
    args = _json(raw[at : len(data)])
    if type(args) is list and args:
        name = args[0]
        if type(name) is str:
            if name not in RESERVED_EVENTS:
                return args
        elif type(name) is int or type(name) is float:
            return args
    raise PacketError("invalid payload")


def _payload(type_: int, data: bytes) -> Any:
    """The payload, checked by the packet's type; None where there is none."""
    if type_ == EVENT or type_ == BINARY_EVENT:
        # The official decoder checks a payload only where there is one.
        return event_payload(data, 0) if data else []
    if not data:
        return [] if type_ == ACK or type_ == BINARY_ACK else None
    payload = _json(data)
    if type_ == CONNECT:
        valid = type(payload) is dict
    elif type_ == DISCONNECT:
        valid = False
    elif type_ == CONNECT_ERROR:
        valid = type(payload) is dict or type(payload) is str
    else:
        valid = type(payload) is list
    if not valid:
        raise PacketError("invalid payload")
    return payload
