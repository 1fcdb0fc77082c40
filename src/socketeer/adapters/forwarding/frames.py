"""What nodes tell each other of the requests that they pass on, as bytes.

A frame is a head of 24 bytes (format, kind, who sends it, which tunnel, its number in that tunnel) and a body.
The bodies that open a tunnel or answer are MessagePack, the rest is raw.
docs/decisions/0012-no-sticky-sessions.md draws it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Annotated, Final, NamedTuple, TypeVar

import msgspec

from socketeer.errors import PacketError
from socketeer.protocol.ids import NODE_ID_LENGTH

#: The format, and its version.
FORMAT: Final = 0xF1

_HEAD: Final = Struct(">BB6sQQ")
HEAD_SIZE: Final = _HEAD.size
_NODE_ID: Final = re.compile(rb"[A-Za-z0-9_-]{%d}" % NODE_ID_LENGTH)
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{%d}[!-~]{14,122}" % NODE_ID_LENGTH)  # noqa: UP031 - braces

#: The tunnel of frames that belong to none.
NO_TUNNEL: Final = 0


class Kind(IntEnum):
    """What a frame says."""

    PROBE = 1
    """Are you there?"""
    ALIVE = 2
    BYE = 3
    """The node leaves: its tunnels have ended."""
    UNKNOWN = 4
    """There is no such tunnel here."""
    REQUEST = 16
    """Opens a tunnel: answer this request."""
    QUESTION = 17
    """Opens a tunnel: may a WebSocket join this session?"""
    SOCKET = 18
    """Opens a tunnel: a WebSocket that joins this session."""
    ACCEPTED = 32
    """The owner is at it, or agrees."""
    RESPONSE = 33
    REFUSED = 34
    DATA = 48
    """Records."""
    CREDIT = 49
    """So many bytes of records have been taken."""
    CLOSED = 50
    """This side has ended, in order."""
    LOST = 51
    """The client has gone."""
    RELEASE = 52
    """Have the poll answered now: the node that waits for it is about to end."""
    SYNC = 53
    """Messages may have been lost: this one's number tells."""
    SYNCED = 54


_KINDS: Final = {int(kind): kind for kind in Kind}
OPENING: Final = frozenset({Kind.REQUEST, Kind.QUESTION, Kind.SOCKET})
LOOSE: Final = frozenset({Kind.PROBE, Kind.ALIVE, Kind.BYE, Kind.UNKNOWN})
"""Kinds without a number."""


class Frame(NamedTuple):
    """One message of a node to another."""

    kind: Kind
    sender: str
    tunnel: int
    number: int
    body: bytes


def encode(kind: Kind, sender: str, tunnel: int, number: int, body: bytes = b"") -> bytes:
    """A frame as bytes."""
    return _HEAD.pack(FORMAT, kind, sender.encode(), tunnel, number) + body


def decode(payload: bytes) -> Frame:
    """The frame in a message.

    Raises:
        PacketError: it is none.
    """
    if len(payload) < HEAD_SIZE or payload[0] != FORMAT:
        raise PacketError(f"expected a frame of format {FORMAT:#x}, got {payload[:8]!r}")
    _, number_of_kind, sender, tunnel, number = _HEAD.unpack_from(payload)
    kind = _KINDS.get(number_of_kind)
    if kind is None or not _NODE_ID.fullmatch(sender):
        raise PacketError(f"expected a frame's kind and a node, got {payload[:8]!r}")
    return Frame(kind, sender.decode(), tunnel, number, payload[HEAD_SIZE:])


def owner_of(sid: str) -> str | None:
    """The node that a session's id names, if it is one of a cluster's."""
    return sid[:NODE_ID_LENGTH] if _SESSION_ID.fullmatch(sid) else None


# --- bodies ---------------------------------------------------------------------------------------

_Name = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[!-~]+$")]
_Value = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"^[ -~]*$")]


class Asked(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What the owner needs of a request: no more of it travels."""

    sid: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{6}[!-~]{14,122}$")]
    method: Annotated[str, msgspec.Meta(max_length=32)]
    protocol: Annotated[int, msgspec.Meta(ge=3, le=4)]
    base64: bool = False
    jsonp: bool = False
    headers: Annotated[dict[_Name, _Value], msgspec.Meta(max_length=8)] = {}
    body: bytes = b""
    follows: bool = False
    """Whether the body comes as records."""


class Answered(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A response."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)]
    headers: Annotated[dict[_Name, _Value], msgspec.Meta(max_length=32)] = {}
    streamed: bool = False
    body: bytes = b""
    follows: bool = False


class Refused(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Why the owner does not answer, in Engine.IO's terms."""

    code: Annotated[int, msgspec.Meta(ge=0, le=5)]
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    name: _Name | None = None


pack: Final = msgspec.msgpack.encode
B = TypeVar("B", Asked, Answered, Refused)


def unpack(kind: type[B], body: bytes) -> B:
    """A body that is no raw one.

    Raises:
        PacketError: it is not of that kind.
    """
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PacketError(f"expected {kind.__name__}: {error}") from None


def pack_number(number: int) -> bytes:
    """A number as the body of a CREDIT."""
    return number.to_bytes(4, "big")


def unpack_number(body: bytes) -> int:
    """The number in it.

    Raises:
        PacketError: it is none.
    """
    if len(body) != 4:
        raise PacketError(f"expected 4 bytes, got {len(body)}")
    return int.from_bytes(body, "big")


# --- records --------------------------------------------------------------------------------------

_RECORD: Final = Struct(">BI")
RECORD_HEAD: Final = _RECORD.size

#: A record's flags.
TEXT: Final = 0
BINARY: Final = 1
MORE: Final = 2
"""The rest of this message comes in the records that follow."""
PLAIN: Final = 4
"""Not to be compressed."""
_FLAGS: Final = BINARY | MORE | PLAIN


def record(flags: int, data: bytes) -> bytes:
    """One record: a message, or a part of one."""
    return _RECORD.pack(flags, len(data)) + data


def records(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The flags and the bytes of each record.

    Raises:
        PacketError: there is something else.
    """
    at, end = 0, len(body)
    while at < end:
        if end - at < RECORD_HEAD:
            raise PacketError("a record's head is cut off")
        flags, size = _RECORD.unpack_from(body, at)
        at += RECORD_HEAD
        if flags & ~_FLAGS or size > end - at:
            raise PacketError(f"expected a record, got flags {flags:#x} and {size} bytes")
        yield flags, body[at : at + size]
        at += size
