"""What the contract checks by: that it lets the right through, and stops the wrong."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer import Message, Packet
from socketeer.protocol.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT
from socketeer.protocol.parser import Parser
from socketeer.testing.wire import Receiver, broken, check_message, check_packet, parts


def test_a_receiver_puts_packets_together() -> None:
    parser = Parser()
    receiver = Receiver(parser)
    message = parser.encode_event(b"", 1, ("x", b"1", b"2"))
    for number, (text, data) in enumerate(parts(message)):
        assert text == (number == 0)
        receiver.take(text, data)
        assert receiver.waiting == (number < 2)
    assert receiver.packets == [Packet(EVENT, "/", ["x", b"1", b"2"], 1)]
    receiver.take(*parts(message)[0])
    with pytest.raises(AssertionError, match="before a packet is whole"):
        receiver.take(*parts(message)[0])


@pytest.mark.parametrize("message", [Message(b"4x"), Message(b"4", [b"1"]), Message(b"", [b"1", b""])])
def test_a_message_that_can_be_carried(message: Message) -> None:
    check_message(message)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (Message(b""), "empty"),
        (Message("4x"), "text must be bytes"),  # type: ignore[arg-type]
        (Message(b"x"), "start with Engine.IO's 4"),
        (Message(b"4\x1e"), "separator"),
        (Message(b"", [bytearray(b"1")]), "attachments must be bytes"),  # type: ignore[list-item]
    ],
)
def test_a_message_that_cannot_be_carried(message: Message, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_message(message)


def test_a_message_that_is_no_utf8_cannot_be_carried() -> None:
    with pytest.raises(UnicodeDecodeError):
        check_message(Message(b"4\xff"))


VALID: list[tuple[int, Any]] = [
    (CONNECT, None),
    (CONNECT, {}),
    (DISCONNECT, None),
    (EVENT, ["x"]),
    (EVENT, [1]),
    (EVENT, [0.5]),
    (EVENT, []),
    (ACK, []),
    (CONNECT_ERROR, "x"),
    (CONNECT_ERROR, {}),
    (CONNECT_ERROR, None),
]


@pytest.mark.parametrize(("type_", "data"), VALID)
def test_a_packet_that_is_valid(type_: int, data: Any) -> None:
    check_packet(Packet(type_, "/", data))
    check_packet(Packet(type_, "/", data, 0))


INVALID: list[tuple[int, Any]] = [
    (CONNECT, []),
    (CONNECT, "x"),
    (DISCONNECT, {}),
    (EVENT, None),
    (EVENT, ("x",)),
    (EVENT, ["connect"]),
    (EVENT, [True]),
    (EVENT, [None]),
    (ACK, {}),
    (ACK, None),
    (CONNECT_ERROR, []),
    (5, ["x"]),
    (-1, None),
]


@pytest.mark.parametrize(("type_", "data"), INVALID)
def test_a_packet_that_is_not_valid(type_: int, data: Any) -> None:
    with pytest.raises(AssertionError, match="no valid packet"):
        check_packet(Packet(type_, "/", data))


@pytest.mark.parametrize(("nsp", "ack_id"), [(1, None), (None, None), ("/", -1), ("/", True), ("/", 1.0)])
def test_a_packet_with_a_wrong_namespace_or_id(nsp: Any, ack_id: Any) -> None:
    with pytest.raises(AssertionError, match=r"namespace|id"):
        check_packet(Packet(EVENT, nsp, ["x"], ack_id))


def test_broken_is_cut_changed_and_lengthened() -> None:
    found = list(broken(b"4ab", keep=1))
    assert {b"4", b"4a", b"4\xffb", b"4a\x00", b"4ab\xff", b"4ab4ab"} <= set(found)
    assert all(each.startswith(b"4") for each in found)
