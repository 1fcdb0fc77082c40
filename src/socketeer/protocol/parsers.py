"""What a parser is, and which one the option ``parser`` means.

A parser stands between Socket.IO packets and Engine.IO messages
(https://socket.io/docs/v4/custom-parser/). Both sides of a connection must use the same. One object serves
all connections of a server, so what belongs to one connection (a packet some of whose messages have yet to
come) is a :class:`PartialPacket`, which the connection keeps.

:class:`socketeer.testing.ParserContract` holds a parser to all of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from socketeer.errors import OptionError
from socketeer.protocol.frame import Message
from socketeer.protocol.msgpack import MsgpackParser
from socketeer.protocol.packet import Packet
from socketeer.protocol.parser import Parser


class PartialPacket(Protocol):
    """A packet of which more binary messages have yet to come. Its connection keeps it until it is whole.

    Meanwhile no text may come, the server's ``limits.attachment_timeout`` runs, and only namespaces that
    the client has joined may have one. All of that is the connection's business.
    """

    @property
    def packet(self) -> Packet:
        """What is known of it already: its type and its namespace are right."""
        ...

    def add(self, data: bytes) -> Packet | None:
        """Take the next binary message; the whole packet, once that was the last.

        Raises:
            PacketError: it is none that can follow.
        """
        ...


@runtime_checkable
class PacketParser(Protocol):
    """What the option ``parser`` takes: an object that encodes and decodes the packets of one server.

    Packet types are numbers, with names in :mod:`socketeer.protocol.packet`; a parser gets and gives those
    from 0 to 4. Whatever bytes a peer sends, a decoding method returns a valid packet or raises
    :class:`~socketeer.PacketError`, which closes that connection. Valid is:

    ================  ====================================================================
    CONNECT           ``data`` is a dict, or None where there was none
    DISCONNECT        ``data`` is None
    EVENT             ``data`` is a list: the name (a string, or a number) and the arguments;
                      the name is none of :data:`~socketeer.protocol.packet.RESERVED_EVENTS`
    ACK               ``data`` is a list
    CONNECT_ERROR     ``data`` is a dict, a string, or None where there was none
    ``id``            None, or from 0 up
    ================  ====================================================================
    """

    def namespace_prefix(self, nsp: str) -> bytes:
        """What stands for a namespace in each of its packets, in this parser's own form.

        It is made once for each namespace and handed back to the encoding methods.
        """
        ...

    def encode_event(
        self, prefix: bytes, ack_id: int | None, args: tuple[Any, ...] | list[Any], compress: bool = True
    ) -> Message:
        """An EVENT as a message; ``args`` are the name and the arguments.

        ``Message(b"4" + text)`` is a message of text, ``Message(b"4" + text, [binary, ...])`` one with binary
        messages behind it, ``Message(b"", [binary])`` one of binary only. ``compress`` goes into it.

        Raises:
            TypeError: an argument cannot be sent.
        """
        ...

    def encode_ack(self, prefix: bytes, ack_id: int, args: tuple[Any, ...] | list[Any]) -> Message:
        """An ACK as a message.

        Raises:
            TypeError: an argument cannot be sent.
        """
        ...

    def encode_control(self, type_: int, prefix: bytes, data: Any = None) -> Message:
        """A CONNECT, DISCONNECT or CONNECT_ERROR as a message; with ``data`` None, without data.

        Raises:
            TypeError: ``data`` cannot be sent.
        """
        ...

    def decode(self, data: bytes, at: int = 1) -> Packet | PartialPacket:
        """The packet in a text message, from position ``at`` on: before it stands Engine.IO's ``4``.

        Raises:
            PacketError: it is no valid packet.
        """
        ...

    def decode_binary(self, data: bytes) -> Packet | PartialPacket:
        """The packet in a binary message that belongs to no :class:`PartialPacket`.

        Raises:
            PacketError: it is no valid packet, or binary cannot come here.
        """
        ...


_METHODS: Sequence[str] = (
    "namespace_prefix",
    "encode_event",
    "encode_ack",
    "encode_control",
    "decode",
    "decode_binary",
)


def choose_parser(option: object, max_attachments: int) -> PacketParser:
    """The parser that an option means: ``"default"``, ``"msgpack"``, or an object that is one.

    Raises:
        OptionError: it means none.
    """
    if option == "default":
        return Parser(max_attachments)
    if option == "msgpack":
        return MsgpackParser()
    if isinstance(option, PacketParser) and not isinstance(option, type):
        return option
    missing = [name for name in _METHODS if not callable(getattr(option, name, None))]
    if isinstance(option, type) and not missing:
        raise OptionError(f"parser: expected an object, got the class {option.__name__}; make one of it")
    lacks = f", which lacks {', '.join(missing)}" if 0 < len(missing) < len(_METHODS) else ""
    raise OptionError(f"parser: expected 'default', 'msgpack' or a PacketParser, got {option!r}{lacks}")
