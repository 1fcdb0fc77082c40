"""What every parser must do, as tests.

They run under pytest, or any runner that makes an object of the class and calls its ``test_`` methods::

    from socketeer.testing import ParserContract

    class TestMine(ParserContract):
        def make_parser(self):
            return MyParser()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from socketeer.errors import PacketError
from socketeer.protocol.frame import Message
from socketeer.protocol.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED_EVENTS, Packet
from socketeer.protocol.parsers import PacketParser
from socketeer.testing.wire import Receiver, broken, check_message, check_packet, parts

NAMESPACES = ("/", "/chat", "/a/b-c_1", "/d\u00e9j\u00e0 vu \U0001f600")
ACK_IDS = (None, 0, 7, 255, 70_000, 2**53 - 1)

#: Arguments that JSON can carry.
ARGUMENTS: Sequence[tuple[Any, ...]] = (
    (),
    ("",),
    ("hello", "caf\u00e9 \u20ac \U0001f600", "a,b-[{\"'\\", "\x00\x1e\x7f", "x" * 70_000),
    (None, True, False),
    (0, 1, -1, 127, 128, -33, 65_536, -(2**31) - 1, 2**53 - 1, -(2**53) + 1),
    (0.5, -1.25, 1e300, 5e-324),
    ([], {}, [[[]]], {"a": {"b": [{"c": None}]}}),
    ({"": 1, "__proto__": 2, "num": 0, "type": 5, "nsp": "/other"}, [3, "4-"]),
    tuple(range(20)),
    (list(range(300)), {str(number): number for number in range(300)}),
)

#: Arguments with binary in them.
BINARY: Sequence[tuple[Any, ...]] = (
    (b"",),
    (b"\x00\x01\xfe\xff",),
    (b"x" * 70_000,),
    ("text", b"1", 7, {"x": b"2"}, None, [b"3"]),
    ({"a": [{"b": {"c": [[b"deep"]]}}]},),
    tuple(bytes([number]) for number in range(10)),
)

#: Bytes that no parser takes for a packet, or at least not for a harmful one.
JUNK: Sequence[bytes] = (
    b"",
    b"\x00",
    b"\xff" * 40,
    b"4",
    b"hello",
    bytes(range(256)),
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"\x91" * 100_000,
    b"\xdd\xff\xff\xff\xff" * 10,
    b"\xc3\x28",
)


def _same(got: Packet, expected: Packet) -> None:
    # By what they show, so that True is not 1, and a bytearray not bytes.
    assert repr(got) == repr(expected), f"expected {expected!r:.300}, got {got!r:.300}"


class ParserContract:
    """Subclass it, and say how a parser is made. Every case is a ``test_`` method with plain asserts."""

    sends_binary = True
    """Set this to False if the parser cannot send binary; then it must refuse it."""

    def make_parser(self) -> PacketParser:
        """A new parser, as the option ``parser`` would get it."""
        raise NotImplementedError("make_parser: return the parser to be tested")

    # --- there and back -------------------------------------------------------------------------

    def test_events_come_back(self) -> None:
        """Events of several namespaces, with and without acknowledgement ids."""
        parser = self.make_parser()
        for nsp in NAMESPACES:
            prefix = parser.namespace_prefix(nsp)
            assert type(prefix) is bytes, "namespace_prefix must be bytes"
            for ack_id in ACK_IDS:
                for args in ARGUMENTS:
                    message = parser.encode_event(prefix, ack_id, ("event", *args))
                    _same(self._receive(parser, message), Packet(EVENT, nsp, ["event", *args], ack_id))

    def test_acks_come_back(self) -> None:
        """Acknowledgements of several namespaces."""
        parser = self.make_parser()
        for nsp in NAMESPACES:
            prefix = parser.namespace_prefix(nsp)
            for ack_id in ACK_IDS[1:]:
                assert ack_id is not None
                for args in ARGUMENTS:
                    message = parser.encode_ack(prefix, ack_id, args)
                    _same(self._receive(parser, message), Packet(ACK, nsp, list(args), ack_id))

    def test_control_packets_come_back(self) -> None:
        """CONNECT, DISCONNECT and CONNECT_ERROR, with and without data."""
        parser = self.make_parser()
        controls: list[tuple[int, Any]] = [
            (CONNECT, None),
            (CONNECT, {}),
            (CONNECT, {"sid": "ojIckSD2jqNzOqIrAGzL", "auth": {"token": [1, None, "\u00e9"]}}),
            (DISCONNECT, None),
            (CONNECT_ERROR, {"message": "not authorized", "data": {"code": 4001}}),
            (CONNECT_ERROR, "not authorized"),
        ]
        for nsp in NAMESPACES:
            prefix = parser.namespace_prefix(nsp)
            for type_, data in controls:
                message = parser.encode_control(type_, prefix, data)
                _same(self._receive(parser, message), Packet(type_, nsp, data))

    def test_a_list_serves_as_well_as_a_tuple(self) -> None:
        """The name and the arguments may come as either, and are not changed."""
        parser = self.make_parser()
        prefix = parser.namespace_prefix("/")
        args = ["event", [1], {"a": 1}]
        given = list(args)
        _same(self._receive(parser, parser.encode_event(prefix, None, given)), Packet(EVENT, "/", args))
        _same(self._receive(parser, parser.encode_ack(prefix, 3, given)), Packet(ACK, "/", args, 3))
        assert given == args, "encoding has changed what it was given"

    def test_compress_goes_into_the_message(self) -> None:
        """Whoever emits may ask that nothing be compressed for it."""
        parser = self.make_parser()
        prefix = parser.namespace_prefix("/")
        assert parser.encode_event(prefix, None, ("event",)).compress is True
        assert parser.encode_event(prefix, None, ("event",), False).compress is False
        assert parser.encode_event(prefix, 1, ("event",), False).compress is False
        if self.sends_binary:
            assert parser.encode_event(prefix, None, ("event", b"1"), False).compress is False

    # --- binary ---------------------------------------------------------------------------------

    def test_binary_at_any_depth_comes_back(self) -> None:
        """In events and in acknowledgements; without binary, it is refused."""
        parser = self.make_parser()
        for nsp in NAMESPACES:
            prefix = parser.namespace_prefix(nsp)
            for args in BINARY:
                if not self.sends_binary:
                    _refuses(args, parser.encode_event, prefix, None, ("event", *args))
                    _refuses(args, parser.encode_ack, prefix, 1, args)
                    continue
                for ack_id in (None, 0, 12):
                    event = parser.encode_event(prefix, ack_id, ("event", *args))
                    _same(self._receive(parser, event), Packet(EVENT, nsp, ["event", *args], ack_id))
                ack = parser.encode_ack(prefix, 12, args)
                _same(self._receive(parser, ack), Packet(ACK, nsp, list(args), 12))

    def test_every_kind_of_buffer_arrives_as_bytes(self) -> None:
        """What may change or be shared is copied: later changes do not reach the message."""
        if not self.sends_binary:
            return
        parser = self.make_parser()
        prefix = parser.namespace_prefix("/")
        changing = bytearray(b"abcdef")
        values = (changing, memoryview(changing), memoryview(changing)[1:4], memoryview(changing)[::2])
        message = parser.encode_event(prefix, None, ("event", *values))
        changing[:] = b"------"
        expected = Packet(EVENT, "/", ["event", b"abcdef", b"abcdef", b"bcd", b"ace"])
        _same(self._receive(parser, message), expected)

    # --- connections ----------------------------------------------------------------------------

    def test_packets_in_a_row(self) -> None:
        """Nothing of one packet is left when the next one comes."""
        parser = self.make_parser()
        receiver = Receiver(parser)
        sent = self._conversation(parser, "x")
        for message, _ in sent:
            for part in parts(message):
                receiver.take(*part)
        assert len(receiver.packets) == len(sent)
        for got, (_, expected) in zip(receiver.packets, sent, strict=True):
            _same(got, expected)

    def test_connections_do_not_see_each_other(self) -> None:
        """One parser serves them all, while it encodes for others."""
        parser = self.make_parser()
        connections = [(Receiver(parser), self._conversation(parser, name)) for name in "abc"]
        # Each connection is one part further than the one after it.
        queues = [
            [None] * late + [part for message, _ in sent for part in parts(message)]
            for late, (_, sent) in enumerate(connections)
        ]
        prefix = parser.namespace_prefix("/noise")
        for turn in range(max(map(len, queues))):
            for (receiver, _), queue in zip(connections, queues, strict=True):
                if turn < len(queue) and (part := queue[turn]) is not None:
                    receiver.take(*part)
                    parser.encode_event(prefix, turn, ("noise", b"n" if self.sends_binary else "n"))
        for receiver, sent in connections:
            assert len(receiver.packets) == len(sent), "packets were lost between connections"
            for got, (_, expected) in zip(receiver.packets, sent, strict=True):
                _same(got, expected)

    def _conversation(self, parser: PacketParser, name: str) -> list[tuple[Message, Packet]]:
        nsp = f"/{name}"
        prefix = parser.namespace_prefix(nsp)
        sent = [(parser.encode_control(CONNECT, prefix, {"by": name}), Packet(CONNECT, nsp, {"by": name}))]
        for number in range(12):
            args: list[Any] = [name, number]
            if self.sends_binary:
                args += [name.encode() * each for each in range(number % 4)]
            sent.append((parser.encode_event(prefix, number, args), Packet(EVENT, nsp, args, number)))
            sent.append((parser.encode_ack(prefix, number, args), Packet(ACK, nsp, args, number)))
        return [*sent, (parser.encode_control(DISCONNECT, prefix), Packet(DISCONNECT, nsp, None))]

    # --- what must be refused -------------------------------------------------------------------

    def test_names_that_no_peer_may_send(self) -> None:
        """They would reach listeners of local events; and a name is a string or a number."""
        parser = self.make_parser()
        prefix = parser.namespace_prefix("/")
        names: tuple[Any, ...] = (*sorted(RESERVED_EVENTS), None, True, {}, [], ["x"])
        for name in names:
            self._is_refused(parser, parser.encode_event(prefix, None, (name, 1)), f"an event named {name!r}")
        self._is_refused(parser, parser.encode_event(prefix, 1, ()), "an event without a name")

    def test_control_packets_with_wrong_data(self) -> None:
        """A CONNECT takes an object, a DISCONNECT nothing."""
        parser = self.make_parser()
        prefix = parser.namespace_prefix("/")
        for type_, data in ((CONNECT, [1]), (CONNECT, "x"), (DISCONNECT, {"a": 1}), (CONNECT_ERROR, [1])):
            self._is_refused(
                parser, parser.encode_control(type_, prefix, data), f"type {type_} with {data!r}"
            )

    def test_broken_input_raises_packet_error_and_nothing_else(self) -> None:
        """Junk, and every packet cut short, with a byte changed, with bytes behind it."""
        parser = self.make_parser()
        for junk in JUNK:
            self._survives(parser, [(True, b"4" + junk)])
            self._survives(parser, [(False, junk)])
        for message in self._samples(parser):
            whole = parts(message)
            for at, (text, data) in enumerate(whole):
                for changed in broken(data, keep=1 if text else 0):
                    self._survives(parser, [*whole[:at], (text, changed), *whole[at + 1 :]])
                self._survives(parser, [*whole[:at], (not text, data)])
                self._survives(parser, [*whole[:at], *whole[at + 1 :]])

    def _samples(self, parser: PacketParser) -> Iterator[Message]:
        for nsp in ("/", "/chat"):
            prefix = parser.namespace_prefix(nsp)
            yield parser.encode_control(CONNECT, prefix, {"token": "x"})
            yield parser.encode_control(DISCONNECT, prefix)
            yield parser.encode_control(CONNECT_ERROR, prefix, {"message": "no"})
            yield parser.encode_event(prefix, 12, ("event", 300, -1.5, "\u00e9", [None, {"a": True}]))
            yield parser.encode_ack(prefix, 70_000, ("x" * 40, {"key": [1]}))
            if self.sends_binary:
                yield parser.encode_event(prefix, None, ("event", b"1", {"x": [b"23"]}))

    def test_what_cannot_be_sent_raises_type_error(self) -> None:
        """And leaves nothing behind that would reach the next packet."""
        parser = self.make_parser()
        prefix = parser.namespace_prefix("/")
        circle: list[Any] = []
        circle.append(circle)
        usual = len(parts(parser.encode_event(prefix, None, ("after", 1))))
        deep: Any = []
        for _ in range(100_000):
            deep = [deep]
        for value in (object(), print, 1j, "\ud800", {(1, 2): 3}, circle, deep):
            before = b"before" if self.sends_binary else "before"
            for call, *given in (
                (parser.encode_event, prefix, None, ("event", before, {"a": [value]})),
                (parser.encode_ack, prefix, 1, (before, value)),
                (parser.encode_control, CONNECT_ERROR, prefix, {"data": value}),
            ):
                _refuses(value, call, *given)
                after = parser.encode_event(prefix, None, ("after", 1))
                _same(self._receive(parser, after), Packet(EVENT, "/", ["after", 1]))
                assert len(parts(after)) == usual, "what could not be sent goes out with the next packet"

    # --- tools ----------------------------------------------------------------------------------

    def _receive(self, parser: PacketParser, message: Message) -> Packet:
        """The one packet that a message is."""
        check_message(message)
        receiver = Receiver(parser)
        pieces = parts(message)
        for number, part in enumerate(pieces, 1):
            assert not receiver.packets, "a packet was whole before its last part"
            receiver.take(*part)
            assert receiver.waiting == (number < len(pieces)), "a packet is not whole after its last part"
        (packet,) = receiver.packets
        check_packet(packet)
        return packet

    def _is_refused(self, parser: PacketParser, message: Message, what: str) -> None:
        receiver = Receiver(parser)
        try:
            for part in parts(message):
                receiver.take(*part)
        except PacketError:
            return
        raise AssertionError(f"{what} was not refused")

    def _survives(self, parser: PacketParser, pieces: Sequence[tuple[bool, bytes]]) -> None:
        """Valid packets or a PacketError come of it."""
        receiver = Receiver(parser)
        for text, data in pieces:
            if receiver.waiting and text:
                return  # its connection ends here
            try:
                receiver.take(text, data)
            except PacketError:
                return
            except BaseException as error:
                kind = "text" if text else "binary"
                raise AssertionError(
                    f"{kind} {data!r:.200}: expected PacketError, got {error!r:.200}"
                ) from error
            for packet in receiver.packets:
                check_packet(packet)


def _refuses(value: Any, encode: Callable[..., Message], *given: Any) -> None:
    try:
        encode(*given)
    except TypeError:
        return
    except BaseException as error:
        raise AssertionError(f"cannot send {value!r:.100}: expected TypeError, got {error!r:.200}") from error
    raise AssertionError(f"{type(value).__name__} was sent: expected TypeError")
