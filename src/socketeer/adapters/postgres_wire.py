"""The format of ``@socket.io/postgres-adapter`` 0.5: JSON in notifications, and what does not fit into them in a table.

What is binary or too long is MessagePack in a row of the table; its notification has the row's id for an
``attachmentId``. To the bus both are one payload: compact JSON, or the beginning of such a notification,
a line feed, which compact JSON never has, and the attachment.

A payload that does not begin as a JSON object is none of this format's, and arrives as it is. It travels as Base64 in
``{"bytes":"..."}``, or as an attachment. Official servers do not listen where such payloads go.
"""

from __future__ import annotations

import hashlib
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from socketeer.adapters.bus import Bus
from socketeer.adapters.codec import decode, from_json, to_json
from socketeer.adapters.messages import Message, parse
from socketeer.adapters.wire import Hear
from socketeer.errors import BrokerUnavailable, PacketError
from socketeer.protocol.msgpack import pack_plain

#: Bytes of a notification, at most: https://www.postgresql.org/docs/current/sql-notify.html
_LARGEST: Final = 7999

#: Bytes that :func:`repeated` may need of these.
_MARKS: Final = 16

#: Bytes of a notification that may have more marks.
LARGEST: Final = _LARGEST - _MARKS

#: Bytes of a channel's name, at most: names are identifiers.
_LONGEST_NAME: Final = 63

#: What holding a notification back costs beside its own bytes, about.
_OVERHEAD: Final = 300

_DIVIDER: Final = b"\n"
_OBJECT: Final = b"{"
_BYTES: Final = b'{"bytes":"'
_END: Final = b'"}'
_SPACES: Final = b" \t\r\n"


def channel_name(prefix: str, nsp: str) -> str:
    """The channel of a namespace.

    The official adapter has no namespaces with names of which PostgreSQL has no channel.
    """
    return possible(f"{prefix}#{nsp}")


@lru_cache(1024)
def possible(name: str) -> str:
    """The name of a channel as PostgreSQL has it.

    It has none with names of more than 63 bytes or with a NUL. Such a channel is named after a hash.
    """
    raw = name.encode("utf-8", "surrogatepass")
    if len(raw) <= _LONGEST_NAME and "\0" not in name and raw == name.encode("utf-8", "replace"):
        return name
    return f"socket.io-{hashlib.sha256(raw).hexdigest()[:48]}"


def divide(payload: bytes, threshold: int = LARGEST) -> tuple[str, bytes | None]:
    """What to notify of and None; or what its beginning is, up to the id, and the attachment.

    Args:
        payload: as it was published.
        threshold: bytes of a notification above which one that is not of this format becomes an attachment.
    """
    if not payload.startswith(_OBJECT):
        return _enveloped(payload, threshold)
    head, divider, attachment = payload.partition(_DIVIDER)
    if not divider:
        return head.decode(), None
    return f'{head[:-1].decode()},"attachmentId":"', attachment


def _enveloped(payload: bytes, threshold: int) -> tuple[str, bytes | None]:
    size = len(_BYTES) + (len(payload) + 2) // 3 * 4 + len(_END)
    if size > min(threshold, LARGEST):
        return '{"attachmentId":"', payload
    return (_BYTES + b2a_base64(payload, newline=False) + _END).decode(), None


def opened(payload: bytes) -> bytes:
    """What is in a notification's envelope; or the notification itself, if it has none.

    Raises:
        PacketError: there is something else in it.
    """
    if not payload.startswith(_BYTES):
        return payload
    text = payload.rstrip(_SPACES)
    if not text.endswith(_END, len(_BYTES)):
        raise PacketError("an envelope of bytes has no end")
    try:
        return a2b_base64(text[len(_BYTES) : -len(_END)], strict_mode=True)
    except Base64Error as error:
        raise PacketError(f"an envelope of bytes: {error}") from None


def repeated(text: str, times: int) -> str:
    """The same JSON in other bytes: PostgreSQL drops all but one of a transaction's equal notifications."""
    marks = ""
    while times:
        times, digit = divmod(times, len(_SPACES))
        marks += chr(_SPACES[digit])
    return text + marks


def attachment_id(payload: bytes) -> int | None:
    """The id of the attachment that a notification is about; None where it is a message itself.

    Raises:
        PacketError: it is an id that no row can have.
    """
    if b'"attachmentId"' not in payload:
        return None
    value = from_json(payload)
    number = value.get("attachmentId") if isinstance(value, dict) else None
    if number is None:
        return None
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 20:
        number = int(number)
    if type(number) is int and 0 < number < 2**63:
        return number
    raise PacketError(f"expected the id of an attachment, got {number!r:.100}")


class PostgresWire:
    """One namespace's messages on the channel ``<prefix>#<namespace>``, where answers travel, too.

    Args:
        bus: what moves the bytes, and fetches attachments.
        nsp: the namespace.
        prefix: of all channels.
        threshold: bytes above which a message travels as an attachment.
    """

    def __init__(self, bus: Bus, nsp: str, prefix: str, threshold: int) -> None:
        self.bus = bus
        self.nsp = nsp
        self.channel = channel_name(prefix, nsp)
        self._threshold = min(threshold, LARGEST)
        self._uid = ""
        self._hear: Hear | None = None

    def open(self, uid: str, hear: Hear) -> None:
        """Listen."""
        self._uid, self._hear = uid, hear
        self.bus.subscribe(self.channel, self.receive)

    def close(self) -> None:
        """Do not listen any more."""
        self._hear = None
        self.bus.unsubscribe(self.channel, self.receive)

    def send(self, message: Message) -> Awaitable[None]:
        """Tell all nodes."""
        return self.bus.publish(self.channel, self._encode(message))

    def answer(self, requester: str, message: Message) -> Awaitable[None]:  # noqa: ARG002 - all hear it
        """Tell the node that asked, which knows the question by its id."""
        return self.send(message)

    def _encode(self, message: Message) -> bytes:
        plain = message.plain()
        text = to_json(plain)
        if text is not None and len(text) <= self._threshold:
            return text
        head = to_json({"uid": message.uid, "type": int(message.kind)}) or b""
        return head + _DIVIDER + pack_plain(plain)

    async def server_count(self) -> int:
        """Nobody can tell: PostgreSQL does not say who listens.

        Raises:
            BrokerUnavailable: always. Nodes know each other by their heartbeats.
        """
        raise BrokerUnavailable(f"{self.bus.health.name}: it does not say who listens")

    def receive(self, payload: bytes) -> None:
        """Something has come; what is no message is counted and dropped."""
        try:
            # Official emitters do not name the namespace.
            message = parse(decode(payload), self.nsp)
        except PacketError as error:
            self.bus.health.reject(error, self.channel)
            return
        if message.nsp == self.nsp and message.uid != self._uid and self._hear is not None:
            self._hear(message)


class _Held:
    """A notification that waits for its attachment, or for those before it."""

    __slots__ = ("number", "payload", "size")

    def __init__(self, payload: bytes, number: int | None) -> None:
        self.number = number
        """Of the attachment that is still to come."""
        self.payload: bytes | None = payload
        """None once it has turned out that there is nothing to hand on."""
        self.size = len(payload) + _OVERHEAD


class Inbox:
    """Hands on what comes on each channel in its order, while attachments are being fetched.

    Args:
        deliver: gets a channel and a whole message.
        limit: bytes that may wait.
    """

    def __init__(self, deliver: Callable[[str, bytes], Any], limit: int) -> None:
        self._deliver = deliver
        self._limit = limit
        self._size = 0
        self._held: dict[str, deque[_Held]] = {}
        self._wanted: deque[tuple[str, _Held]] = deque()
        """Those whose attachments are still to come, with their channels, in order of arrival."""
        self._asked = 0
        """How many of them are being fetched."""

    @property
    def waiting(self) -> bool:
        """Whether there are attachments to fetch."""
        return bool(self._wanted)

    def take(self, channel: str, payload: bytes) -> bool:
        """A notification has come; it is handed on now or later.

        Returns:
            Whether it was taken: too much may be waiting.

        Raises:
            PacketError: it is none of this format.
        """
        number, line = attachment_id(payload), self._held.get(channel)
        if number is None:
            payload = opened(payload)
        if number is None and line is None:
            self._deliver(channel, payload)
            return True
        held = _Held(payload, number)
        if self._size + held.size > self._limit:
            return False
        self._size += held.size
        if line is None:
            line = self._held[channel] = deque()
        line.append(held)
        if number is not None:
            self._wanted.append((channel, held))
        return True

    def wanted(self, most: int) -> list[int]:
        """The ids of the attachments to fetch next, those of so many notifications."""
        self._asked = min(most, len(self._wanted))
        first = (self._wanted[place][1].number for place in range(self._asked))
        return list(dict.fromkeys(number for number in first if number is not None))

    def fetched(self, attachments: Mapping[int, bytes | None], missing: Callable[[str, int], Any]) -> None:
        """Attachments that were wanted have come.

        Args:
            attachments: by their ids; None for one that is not to be had. Those that are not named stay wanted.
            missing: is told of the channel and the id of what is not to be had.
        """
        later, channels = [], dict[str, None]()
        for _ in range(self._asked):
            channel, held = self._wanted.popleft()
            number = held.number
            if number is None or number not in attachments:
                later.append((channel, held))
                continue
            held.number, held.payload = None, attachments[number]
            channels[channel] = None
            if held.payload is None:
                missing(channel, number)
        self._asked = 0
        self._wanted.extendleft(reversed(later))
        for channel in channels:
            self._hand_on(channel)

    def _hand_on(self, channel: str) -> None:
        line = self._held[channel]
        while line and line[0].number is None:
            held = line.popleft()
            self._size -= held.size
            if held.payload is not None:
                self._deliver(channel, held.payload)
        if not line:
            del self._held[channel]

    def clear(self) -> int:
        """Forget what waits.

        Returns:
            How many there were.
        """
        count = sum(map(len, self._held.values()))
        self._held.clear()
        self._wanted.clear()
        self._size = self._asked = 0
        return count
