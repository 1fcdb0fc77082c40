"""The msgpack parser: each packet is one binary message, wire-compatible with socket.io-msgpack-parser 3.

A packet is the map ``{type, data, nsp[, id]}`` in MessagePack, as notepack.io 2.2 writes and reads it
(https://github.com/socketio/socket.io-msgpack-parser). That version has extensions of its own, all of type 0:
one byte is JavaScript's ``undefined``, eight are a ``Date``, and with a length of its own it is an
``ArrayBuffer``. The envelope is read by msgspec, which checks it and passes over what it does not know; payloads
are written and read by ormsgpack, for the reasons in docs/decisions/0007-msgpack.md.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, NoReturn

import msgspec
import orjson
import ormsgpack

from socketeer.errors import PacketError
from socketeer.protocol.frame import Message
from socketeer.protocol.packet import CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED_EVENTS, Packet
from socketeer.protocol.values import BINARY, plain_data

_pack = ormsgpack.packb
_unpack = ormsgpack.unpackb
_PASSED_ON: Final = ormsgpack.OPT_PASSTHROUGH_DATETIME

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_KEPT: Final = (*BINARY, datetime, date, time)

#: The extension types that are read: notepack's own, and MessagePack's timestamp.
_NOTEPACK: Final = 0
_TIMESTAMP: Final = -1
_UNDEFINED: Final = b"\xd4\x00\x00"


class _Envelope(msgspec.Struct, gc=False):
    """A packet but for its payload, which stays as it is."""

    type: Annotated[int, msgspec.Meta(ge=CONNECT, le=CONNECT_ERROR)]
    nsp: str
    data: msgspec.Raw = msgspec.Raw()
    id: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | msgspec.UnsetType = msgspec.UNSET


_open = msgspec.msgpack.Decoder(_Envelope).decode


class MsgpackParser:
    """Encodes and decodes packets as the official msgpack parser does, with these differences.

    - The reserved event names (``connect``, ``disconnect``, ...), an EVENT without a name, and acknowledgement
      ids below 0 or beyond 2**53 are refused, as the default parser does; so are types and ids written as floats.
      The official parser checks none of these; no official client sends them.
    - Map keys that are no strings, and extensions of other types than 0 and -1, are refused.
    - MessagePack's own timestamps (type -1) are read as dates. What is sent is what official clients read:
      an aware ``datetime`` becomes a ``Date``, any other date or time its ISO text, as with the default parser.

    NaN and infinities arrive as such. It holds no state: one may serve any number of connections.
    """

    __slots__ = ()

    # --- encoding -------------------------------------------------------------------------------

    def namespace_prefix(self, nsp: str) -> bytes:
        """The key ``nsp`` and its value, which end each packet."""
        return b"\xa3nsp" + _pack(nsp)

    def encode_event(
        self, prefix: bytes, ack_id: int | None, args: tuple[Any, ...] | list[Any], compress: bool = True
    ) -> Message:
        """An EVENT as a message.

        Raises:
            TypeError: an argument cannot be sent.
        """
        body = _encode(args)
        if ack_id is None:
            packet = b"\x83\xa4type\x02\xa4data" + body + prefix
        else:
            packet = b"\x84\xa4type\x02\xa4data" + body + b"\xa2id" + _pack(ack_id) + prefix
        return Message(b"", (packet,), compress)

    def encode_ack(self, prefix: bytes, ack_id: int, args: tuple[Any, ...] | list[Any]) -> Message:
        """An ACK as a message.

        Raises:
            TypeError: an argument cannot be sent.
        """
        packet = b"\x84\xa2id" + _pack(ack_id) + b"\xa4type\x03\xa4data" + _encode(args) + prefix
        return Message(b"", (packet,))

    def encode_control(self, type_: int, prefix: bytes, data: Any = None) -> Message:
        """A CONNECT, DISCONNECT or CONNECT_ERROR as a message.

        Raises:
            TypeError: ``data`` cannot be sent.
        """
        if data is None:  # an absent key: nil would be JavaScript's null, which official decoders refuse here
            return Message(b"", (b"\x82\xa4type%c%b" % (type_, prefix),))
        return Message(b"", (b"\x83\xa4type%c\xa4data%b%b" % (type_, _encode(data), prefix),))

    # --- decoding -------------------------------------------------------------------------------

    def decode(self, data: bytes, at: int = 1) -> NoReturn:  # noqa: ARG002
        """Refuse a text message: there is none in this format.

        Raises:
            PacketError: always.
        """
        raise PacketError("got text, expected binary: the parser is msgpack")

    def decode_binary(self, data: bytes) -> Packet:
        """The packet in a binary message.

        Raises:
            PacketError: it is no valid packet.
        """
        try:
            envelope = _open(data)
        except RecursionError:
            raise PacketError("invalid packet: nested too deep") from None
        except ValueError as error:  # msgspec's errors, and of Unicode
            raise PacketError(f"invalid packet: {error}") from None
        type_ = envelope.type
        payload = _decode(bytes(envelope.data))
        if type_ == EVENT:
            valid = type(payload) is list and _is_event(payload)
        elif type_ == CONNECT:
            valid = type(payload) is dict or payload is _NOTHING
        elif type_ == DISCONNECT:
            valid = payload is _NOTHING
        elif type_ == CONNECT_ERROR:
            valid = type(payload) is dict or type(payload) is str
        else:
            valid = type(payload) is list
        if not valid:
            raise PacketError("invalid payload")
        ack_id = envelope.id
        return Packet(
            type_,
            envelope.nsp,
            None if payload is _NOTHING else payload,
            None if ack_id is msgspec.UNSET else ack_id,
        )


#: No payload at all, which is not the same as nil.
_NOTHING: Final = object()


def _is_event(args: list[Any]) -> bool:
    if not args:
        return False
    name = args[0]
    return name not in RESERVED_EVENTS if type(name) is str else type(name) is int or type(name) is float


def _decode(data: bytes) -> Any:
    """A payload, of which msgspec has made sure that it is one whole value."""
    if data in (b"", _UNDEFINED):
        return _NOTHING
    if b"\xc7\x01\x00" in data or b"\xc7\x08\x00" in data:
        data = _buffers_as_binary(data)
    try:
        return _unpack(data, ext_hook=_read_extension)
    except ValueError as error:
        what = str(error).replace(
            "ext_hook failed", f"expected extensions of type {_NOTEPACK} or {_TIMESTAMP} and dates in range"
        )
        raise PacketError(f"invalid payload: {what}") from None


def _read_extension(type_: int, data: bytes) -> Any:
    """What an extension stands for; ormsgpack turns any error into a ValueError of its own.

    An ArrayBuffer of 1 or 8 bytes never comes here.
    """
    if type_ == _NOTEPACK:
        if len(data) == 1:
            return None
        if len(data) == 8:
            return _EPOCH + timedelta(milliseconds=int.from_bytes(data, "big", signed=True))
        return data
    if type_ == _TIMESTAMP:
        return msgspec.msgpack.decode(b"\xc7%c\xff%b" % (len(data), data))
    raise ValueError


#: First bytes behind which the length stands, and the length's own size. The others' size is in _SIZES.
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS: Final = (0xC7, 0xC8, 0xC9)
_SIZES: Final = bytes(
    [1] * 0xA0
    + [1 + size for size in range(32)]
    + [1] * 10  # nil, false, true; those in _LENGTHS
    + [5, 9, 2, 3, 5, 9, 2, 3, 5, 9]  # floats and integers
    + [3, 4, 6, 10, 18]  # extensions of a fixed size
    + [1, 1, 1, 3, 5, 3, 5]  # those in _LENGTHS; the heads of arrays and maps
    + [1] * 32
)


def _buffers_as_binary(data: bytes) -> bytes:
    """The same with each ArrayBuffer as binary.

    A hook for extensions is not told in which form one came, and of an ArrayBuffer of one byte and
    ``undefined``, or of one of eight bytes and a ``Date``, the form is the only difference.
    """
    pieces = []
    kept = at = 0
    while at < len(data):
        first = data[at]
        width = _LENGTHS.get(first)
        if width is None:
            at += _SIZES[first]
            continue
        content = at + 1 + width
        size = int.from_bytes(data[at + 1 : content], "big")
        if first in _EXTENSIONS:
            if data[content] == _NOTEPACK:
                pieces += [data[kept:at], bytes((first - 3,)), data[at + 1 : content]]
                kept = content + 1
            size += 1
        at = content + size
    return b"".join([*pieces, data[kept:]])


# --- between nodes ----------------------------------------------------------------------------------


def pack_plain(value: Any) -> bytes:
    """Any value as MessagePack without extensions: dates are ISO text, as in JSON.

    Raises:
        TypeError: something in it cannot be sent.
    """
    try:
        return _pack(value, plain_data, ormsgpack.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise TypeError(f"cannot send {error}") from None


#: Passes over one value, and refuses what follows it.
_WHOLE: Final = msgspec.msgpack.Decoder(msgspec.Raw).decode


def unpack_plain(data: bytes) -> Any:
    """One MessagePack value, with the extensions that notepack.io and @msgpack/msgpack write.

    Raises:
        PacketError: it is none.
    """
    try:
        _WHOLE(data)
    except RecursionError:
        raise PacketError("invalid payload: nested too deep") from None
    except ValueError as error:
        raise PacketError(f"invalid payload: {error}") from None
    value = _decode(data)
    return None if value is _NOTHING else value


# --- Python's values ----------------------------------------------------------------------------


def _encode(value: Any) -> bytes:
    try:
        return _pack(value, _plain, _PASSED_ON)
    except TypeError:
        pass
    # Once more, for what ormsgpack leaves to others and is not worth looking for each time.
    try:
        return _pack(_mended(value), _plain_mended, _PASSED_ON | ormsgpack.OPT_PASSTHROUGH_DATACLASS)
    except TypeError as error:
        raise TypeError(f"cannot send {error}") from None
    except RecursionError:
        raise TypeError("cannot send what is nested too deep") from None


def _plain(value: Any) -> Any:
    """What ormsgpack does not know, or is told not to."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        milliseconds = (value - _EPOCH) // _MILLISECOND
        return ormsgpack.Ext(_NOTEPACK, milliseconds.to_bytes(8, "big", signed=True))
    if isinstance(value, (date, time)):
        return value.isoformat()
    return plain_data(value, _KEPT)


def _mended(value: Any) -> Any:
    """The same with keys as JavaScript has them, strings, and with views that are gathered."""
    if isinstance(value, dict):
        return {key if type(key) is str else _key(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list) or type(value) is tuple:
        return [_mended(item) for item in value]
    return bytes(value) if type(value) is memoryview else value


def _key(key: Any) -> str:
    """The string that the default parser makes of a key."""
    (name,) = orjson.loads(orjson.dumps({key: None}, option=orjson.OPT_NON_STR_KEYS))
    return str(name)


def _plain_mended(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        shown = (field.name for field in fields(value) if not field.name.startswith("_"))
        return {name: _mended(getattr(value, name)) for name in shown}
    return _mended(_plain(value))
