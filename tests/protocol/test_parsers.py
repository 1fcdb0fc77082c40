"""Which parser an option means."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer import OptionError, PacketParser, Server
from socketeer.protocol.msgpack import MsgpackParser
from socketeer.protocol.parser import Parser
from socketeer.protocol.parsers import choose_parser
from socketeer.server.server import BaseServer


def test_the_default() -> None:
    parser = choose_parser("default", 3)
    assert isinstance(parser, Parser)
    assert parser.max_attachments == 3
    assert isinstance(BaseServer().parser, Parser)


def test_by_name() -> None:
    assert isinstance(choose_parser("msgpack", 3), MsgpackParser)
    assert isinstance(Server(parser="msgpack").parser, MsgpackParser)


@pytest.mark.parametrize("parser", [Parser(), MsgpackParser()])
def test_an_object(parser: PacketParser) -> None:
    assert choose_parser(parser, 3) is parser
    assert BaseServer(parser=parser).sockets.parser is parser


class Halfway:
    def decode(self) -> None: ...

    def encode_event(self) -> None: ...


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("json", "expected 'default', 'msgpack' or a PacketParser, got 'json'$"),
        (None, "expected 'default', 'msgpack' or a PacketParser, got None$"),
        (object(), "got <object object at 0x[0-9a-f]+>$"),
        (Halfway(), "which lacks namespace_prefix, encode_ack, encode_control, decode_binary$"),
        (MsgpackParser, "expected an object, got the class MsgpackParser; make one of it$"),
        (Halfway, "which lacks namespace_prefix"),
    ],
)
def test_anything_else_is_refused_with_what_was_expected(option: Any, complaint: str) -> None:
    with pytest.raises(OptionError, match=f"^parser: .*{complaint}"):
        BaseServer(parser=option)
