"""The format of ``@socket.io/redis-streams-adapter`` 0.3: broadcasts in a stream, questions and answers beside it.

https://socket.io/docs/v4/redis-streams-adapter/. An entry of the stream has the fields ``uid``, ``nsp``, ``type`` and
``data``: JSON, or MessagePack in base64 where something binary is in it. What is not kept is published on channels, as
MessagePack. Two things are added which official nodes pass over: ``seq``, the number by which a node knows
its own entries again, and ``after`` in a question, the id of the entry that went before it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Any, Final

from socketeer.adapters.codec import decode, from_json, to_json
from socketeer.adapters.durable import Entry, parse_session, plain_session, start_of
from socketeer.adapters.messages import Kind, Message, make
from socketeer.errors import PacketError
from socketeer.protocol.msgpack import pack_plain, unpack_plain
from socketeer.server.adapter import StoredSession

#: A place in a stream: milliseconds, and a number among the entries of the same millisecond.
Id = tuple[int, int]

#: What Redis has 64 bits for.
_DIGITS: Final = 20
_LARGEST: Final = 2**64

#: Between the parts of an entry on its way to Redis. None of them but the last, the namespace, can hold it.
_BETWEEN: Final = b"\x00"


def stream_for(nsp: str, name: str, count: int) -> str:
    """The stream of a namespace, as official nodes compute it."""
    return name if count == 1 else f"{name}-{_remainder(_hash_code(nsp), count)}"


def stream_names(name: str, count: int) -> tuple[str, ...]:
    """All streams that there may be: official nodes divide as JavaScript does, so that there are negative numbers."""
    return (name,) if count == 1 else tuple(f"{name}-{number}" for number in range(1 - count, count))


def _remainder(value: int, count: int) -> int:
    return -(-value % count) if value < 0 else value % count


def _hash_code(text: str) -> int:
    """A signed number of 32 bits."""
    units = text.encode("utf-16-le", "surrogatepass")
    value = 0
    for at in range(0, len(units), 2):
        value = (value * 31 + int.from_bytes(units[at : at + 2], "little")) & 0xFFFFFFFF
    return value - 2**32 if value >= 2**31 else value


def parse_id(text: str) -> Id | None:
    """The place that an offset means; None if it is none."""
    milliseconds, dash, number = text.partition("-")
    if not dash or not _is_number(milliseconds) or not _is_number(number):
        return None
    found = int(milliseconds), int(number)
    return found if max(found) < _LARGEST else None


def _is_number(text: str) -> bool:
    return 0 < len(text) <= _DIGITS and text.isascii() and text.isdecimal()


# --- entries ------------------------------------------------------------------------------------------


def pack_entry(message: Message, number: int = 0, *, only_plaintext: bool = False) -> bytes:
    """An entry on its way to Redis; :func:`fields_of` takes it apart.

    Raises:
        TypeError: something in it cannot be sent.
    """
    data = b""
    if message.data is not None:
        plain = message.data.plain()
        text = to_json(plain)
        if text is None and only_plaintext:
            raise TypeError("cannot send something binary (only_plaintext)")
        data = b64encode(pack_plain(plain)) if text is None else text
    parts = (str(int(message.kind)), message.uid, str(number))
    return _BETWEEN.join((*(part.encode() for part in parts), data, message.nsp.encode()))


def fields_of(packed: bytes) -> list[bytes]:
    """Names and values for ``XADD``."""
    kind, uid, number, data, nsp = packed.split(_BETWEEN, 4)
    fields = [b"uid", uid, b"nsp", nsp, b"type", kind]
    if data:
        fields += [b"data", data]
    if number != b"0":
        fields += [b"seq", number]
    return fields


def named(fields: Iterable[bytes]) -> dict[bytes, bytes]:
    """The fields of an entry as Redis tells them: names and values by turns."""
    each = iter(fields)
    return dict(zip(each, each, strict=False))


def parse_entry(offset: str, fields: dict[bytes, bytes], nsp: str) -> Entry:
    """An entry of the stream.

    Raises:
        PacketError: no node has put it there.
    """
    try:
        uid, kind = fields[b"uid"].decode(), fields[b"type"].decode()
        number = fields.get(b"seq", b"0").decode()
    except (KeyError, ValueError):
        raise PacketError(f"expected the fields of an entry, got {list(fields)!r:.200}") from None
    place = parse_id(offset)
    if place is None:
        raise PacketError(f"expected the id of an entry, got {offset!r:.100}")
    if not _is_number(kind) or not _is_number(number):
        raise PacketError(f"expected numbers, got {kind!r:.50} and {number!r:.50}")
    data = fields.get(b"data", b"")
    message = make(int(kind), nsp, uid, _parse_data(data) if data else None)
    return Entry(offset, place, message, int(number), len(data))


def _parse_data(data: bytes) -> Any:
    if data[:1] == b"{":
        return from_json(data)
    return _from_base64(data)


def _from_base64(data: bytes) -> Any:
    try:
        packed = b64decode(data, validate=True)
    except ValueError:
        raise PacketError(f"expected base64, got {data[:50]!r}") from None
    return unpack_plain(packed)


# --- beside the stream --------------------------------------------------------------------------------


def pack_aside(message: Message) -> bytes:
    """A question or an answer.

    Raises:
        TypeError: something in it cannot be sent.
    """
    return pack_plain(message.plain())


def stamped(packed: bytes, after: str) -> bytes:
    """A question with the id of the entry that went before it."""
    # A map of few entries has their number in its first byte.
    return bytes((packed[0] + 1,)) + packed[1:] + pack_plain("after") + pack_plain(after)


def parse_aside(payload: bytes) -> tuple[Any, Id | None]:
    """What came on a channel, not yet checked, and after which entry it is to be heard.

    Raises:
        PacketError: it is nothing that a node has sent.
    """
    value = decode(payload)
    after = value.get("after") if isinstance(value, dict) else None
    return value, parse_id(after) if isinstance(after, str) else None


#: What is heard in order with the entries of the stream; answers are not.
QUESTIONS: Final = frozenset({Kind.BROADCAST, Kind.FETCH_SOCKETS, Kind.SERVER_SIDE_EMIT})


# --- sessions -----------------------------------------------------------------------------------------


def pack_session(session: StoredSession, position: str | None = None) -> bytes:
    """A session as official nodes keep it.

    Raises:
        TypeError: something in ``socket.data`` cannot be sent.
    """
    return b64encode(pack_plain(plain_session(session, position)))


def unpack_session(packed: bytes, pid: str, offset: str) -> tuple[StoredSession, str | None]:
    """The session that was asked for, and its :func:`~socketeer.adapters.durable.start_of`.

    Raises:
        PacketError: it is none.
    """
    value = _from_base64(packed)
    session, start = parse_session(value, pid), start_of(value, offset)
    if start is not None and parse_id(start) is None:
        raise PacketError(f"expected the id of an entry, got {start!r:.100}")
    return session, start


def entries_of(reply: Any) -> Sequence[tuple[str, dict[bytes, bytes]]]:
    """The entries that Redis has answered with, each with its id."""
    return [(each[0].decode(), named(each[1] or ())) for each in reply or ()]
