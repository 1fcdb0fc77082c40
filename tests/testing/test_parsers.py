"""Both parsers hold to the contract, and parsers that are wrong in one way do not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from socketeer import Message, Packet, PacketError, PacketParser
from socketeer.protocol.msgpack import MsgpackParser
from socketeer.protocol.parser import Parser, Partial
from socketeer.testing import ParserContract


class TestDefaultParser(ParserContract):
    def make_parser(self) -> PacketParser:
        return Parser()


class TestMsgpackParser(ParserContract):
    def make_parser(self) -> PacketParser:
        return MsgpackParser()


# --- parsers with one fault each ----------------------------------------------------------------


class OnePartialForAll(Parser):
    """Keeps what belongs to a connection in itself."""

    __slots__ = ("pending",)

    def decode(self, data: bytes, at: int = 1) -> Any:
        found = super().decode(data, at)
        if isinstance(found, Packet):
            return found
        self.pending = getattr(self, "pending", None) or found
        return self.pending


class TakesAttachmentsOfOthers(Parser):
    """Leaves the attachments of what could not be sent to the next packet."""

    def encode_event(self, prefix: bytes, ack_id: int | None, args: Any, compress: bool = True) -> Message:
        kept = list(self._attachments)
        try:
            return super().encode_event(prefix, ack_id, args, compress)
        except TypeError:
            self._attachments = [*kept, b"left behind"]
            raise


class LosesIdZero(Parser):
    def encode_event(self, prefix: bytes, ack_id: int | None, args: Any, compress: bool = True) -> Message:
        return super().encode_event(prefix, ack_id or None, args, compress)


class LosesNamespaces(MsgpackParser):
    def namespace_prefix(self, nsp: str) -> bytes:
        return super().namespace_prefix("/" if nsp == "/chat" else nsp)


class ForgetsCompress(MsgpackParser):
    def encode_event(self, prefix: bytes, ack_id: int | None, args: Any, compress: bool = True) -> Message:
        return super().encode_event(prefix, ack_id, args)


class ChangesWhatItSends(Parser):
    def encode_ack(self, prefix: bytes, ack_id: int, args: Any) -> Message:
        message = super().encode_ack(prefix, ack_id, args)
        if isinstance(args, list):
            args.clear()
        return message


class LetsValueErrorsOut(Parser):
    def decode(self, data: bytes, at: int = 1) -> Any:
        if data[at : at + 1] == b"2":
            orjson.loads(data[at + 1 :])
        return super().decode(data, at)


class LetsNumbersBeNamespaces(MsgpackParser):
    def decode_binary(self, data: bytes) -> Packet:
        packet = super().decode_binary(data)
        return Packet(packet.type, 1, packet.data) if packet.nsp == "/bhat" else packet  # type: ignore[arg-type]


class AllowsReservedNames(MsgpackParser):
    def decode_binary(self, data: bytes) -> Packet:
        try:
            return super().decode_binary(data)
        except PacketError:
            if b"newListener" in data:
                return Packet(2, "/", ["newListener", 1])
            raise


class TakesDataWithDisconnect(Parser):
    def decode(self, data: bytes, at: int = 1) -> Packet | Partial:
        return super().decode(data[: at + 1] if data[at : at + 2] == b"1{" else data, at)


class SendsAnything(Parser):
    def encode_ack(self, prefix: bytes, ack_id: int, args: Any) -> Message:
        try:
            return super().encode_ack(prefix, ack_id, args)
        except TypeError:
            return super().encode_ack(prefix, ack_id, (str(type(args)),))


class LeavesBuffersAsTheyAre(MsgpackParser):
    def encode_event(self, prefix: bytes, ack_id: int | None, args: Any, compress: bool = True) -> Message:
        message = super().encode_event(prefix, ack_id, args, compress)
        return Message(b"", [bytearray(each) for each in message.attachments], compress)  # type: ignore[misc]


class SendsTheSeparator(Parser):
    def encode_event(self, prefix: bytes, ack_id: int | None, args: Any, compress: bool = True) -> Message:
        message = super().encode_event(prefix, ack_id, args, compress)
        return Message(message.text.replace(b"\\u001e", b"\x1e"), message.attachments, compress)


class CannotSendBinary(Parser):
    def encode_ack(self, prefix: bytes, ack_id: int, args: Any) -> Message:
        message = super().encode_ack(prefix, ack_id, args)
        if message.attachments:
            raise TypeError("no binary")
        return message


def faults(parser: type[PacketParser]) -> set[str]:
    """The cases of the contract that a parser fails."""

    class Contract(ParserContract):
        def make_parser(self) -> PacketParser:
            return parser()

    found = set()
    for name in vars(ParserContract):
        if name.startswith("test_"):
            try:
                getattr(Contract(), name)()
            except AssertionError:
                found.add(name.removeprefix("test_"))
            except Exception:  # noqa: BLE001 - a wrong parser may raise anything, too
                found.add(name.removeprefix("test_"))
    return found


@pytest.mark.parametrize(
    ("parser", "case"),
    [
        (OnePartialForAll, "connections_do_not_see_each_other"),
        (TakesAttachmentsOfOthers, "what_cannot_be_sent_raises_type_error"),
        (LosesIdZero, "events_come_back"),
        (LosesNamespaces, "control_packets_come_back"),
        (ForgetsCompress, "compress_goes_into_the_message"),
        (ChangesWhatItSends, "a_list_serves_as_well_as_a_tuple"),
        (LetsValueErrorsOut, "broken_input_raises_packet_error_and_nothing_else"),
        (LetsNumbersBeNamespaces, "broken_input_raises_packet_error_and_nothing_else"),
        (AllowsReservedNames, "names_that_no_peer_may_send"),
        (TakesDataWithDisconnect, "control_packets_with_wrong_data"),
        (SendsAnything, "what_cannot_be_sent_raises_type_error"),
        (LeavesBuffersAsTheyAre, "every_kind_of_buffer_arrives_as_bytes"),
        (SendsTheSeparator, "events_come_back"),
        (CannotSendBinary, "binary_at_any_depth_comes_back"),
    ],
)
def test_a_wrong_parser_fails(parser: type[PacketParser], case: str) -> None:
    assert case in faults(parser)


def test_who_says_that_it_sends_no_binary_must_refuse_it() -> None:
    class Contract(ParserContract):
        sends_binary = False

        def make_parser(self) -> PacketParser:
            return Parser()

    with pytest.raises(AssertionError, match="was sent: expected TypeError"):
        Contract().test_binary_at_any_depth_comes_back()


def test_a_contract_asks_for_a_parser() -> None:
    with pytest.raises(NotImplementedError, match="make_parser: return the parser"):
        ParserContract().test_events_come_back()
