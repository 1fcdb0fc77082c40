"""The carrier with permessage-deflate: the contract, and compressed messages both ways."""

from __future__ import annotations

import asyncio
import contextlib
import random
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

import pytest

from socketeer.engine.carriers.deflate import DeflateCarrier
from socketeer.engine.carriers.picows import Flusher, take_over
from socketeer.options import Limits, PerMessageDeflate
from socketeer.protocol.deflate import Codecs
from socketeer.protocol.extensions import negotiate
from socketeer.protocol.frame import Message
from tests.engine.carriers.contract import CASES, run
from tests.engine.carriers.line import Audience, Line, Settings
from tests.engine.carriers.loops import LOOPS
from tests.engine.fakes import settle
from tests.support.deflate import TAIL, Unzipper, Zipper, bomb, compressed, deflated, opened, pieces
from tests.support.peers import WebSocket
from tests.support.raw import BINARY, CLOSE, CONTINUATION, DEADLINE, PING, PONG, TEXT, Frame, Headers, frame

OFFER: Final = "permessage-deflate; client_max_window_bits"
CONTEXT: Final = PerMessageDeflate(
    threshold=0, server_no_context_takeover=False, client_no_context_takeover=False
)
ALL: Final = PerMessageDeflate(threshold=0)
TEXT_OF_1000: Final = b"4" + bytes(range(32, 127)) * 11
NOISE: Final = random.Random(7).randbytes(3000)


class Watched(DeflateCarrier):
    """Tells when its connection has gone."""

    __slots__ = ("gone",)
    gone: asyncio.Event

    def on_ws_disconnected(self, transport: object) -> None:
        super().on_ws_disconnected(transport)  # type: ignore[arg-type]
        self.gone.set()


class Greeter(asyncio.Protocol):
    """Reads a handshake, agrees, and hands the connection over."""

    def __init__(self, codecs: Codecs, settings: Settings, flusher: Flusher, audience: Audience) -> None:
        self.codecs, self.settings, self.flusher, self.audience = codecs, settings, flusher, audience
        self.received = b""
        self.carrier: Watched

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods alone

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.received.endswith(b"\r\n\r\n"):
            return
        lines = [line.partition(": ") for line in self.received.decode().split("\r\n")]
        headers = {name.lower(): value for name, _, value in lines}
        agreement = negotiate(headers["sec-websocket-extensions"], self.codecs.options)
        assert agreement is not None
        settings = self.settings
        self.carrier = Watched(
            settings.max_size,
            settings.limits,
            settings.backpressure,
            self.flusher,
            self.codecs.codec(agreement),
        )
        self.carrier.gone = asyncio.Event()
        self.carrier.receiver = self.audience
        answer = [("Sec-WebSocket-Extensions", agreement.header())]
        take_over(self.transport, self.carrier, headers["sec-websocket-key"], answer, settings.max_size)


@dataclass
class Deflating(Line):
    """A line that has agreed on compression."""

    agreed: str

    async def read(self) -> bytes:
        """What the next frame holds: compressed, and by itself."""
        found = await self.wire.frame()
        assert found.rsv1, found
        return opened(found)


@contextlib.asynccontextmanager
async def opened_by(
    options: PerMessageDeflate, settings: Settings, offer: str = OFFER
) -> AsyncIterator[Deflating]:
    loop = asyncio.get_running_loop()
    audience = Audience()
    greeter = Greeter(Codecs(options, settings.max_size), settings, Flusher(loop), audience)
    server = await loop.create_server(lambda: greeter, "127.0.0.1", 0)
    try:
        headers: Headers = [("Sec-WebSocket-Extensions", offer)]
        wire, response = await WebSocket.shake(
            server.sockets[0].getsockname()[1], headers=headers, receive_buffer=settings.receive_buffer
        )
        assert response.status == 101
        agreed = response.header("sec-websocket-extensions")
        assert agreed is not None
        wire.deflate = True
        carrier = greeter.carrier
        try:
            yield Deflating(
                wire, carrier, audience, lambda: asyncio.wait_for(carrier.gone.wait(), DEADLINE), agreed
            )
        finally:
            wire.close()
            carrier.abort()
            await asyncio.wait_for(carrier.gone.wait(), DEADLINE)
    finally:
        server.close()
        await asyncio.wait_for(server.wait_closed(), DEADLINE)


def open_line(
    options: PerMessageDeflate = ALL,
    offer: str = OFFER,
    *,
    max_size: int = 10_000,
    limits: Limits | None = None,
) -> contextlib.AbstractAsyncContextManager[Deflating]:
    return opened_by(options, Settings(max_size=max_size, limits=limits or Limits()), offer)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, loop: str) -> None:
    """Everything that is owed without compression, over a connection that could compress."""
    run(name, partial(opened_by, PerMessageDeflate(threshold=1 << 40)), LOOPS[loop])


# --- incoming --------------------------------------------------------------------------------------

#: Compressed messages in one frame and in fragments, among others that are not.
STREAM = b"".join(
    [
        compressed(b"4hello"),
        frame(b"4plain"),
        compressed("h\u00e9\u20ac".encode()),
        compressed(b"\x00\xff", BINARY),
        compressed(b""),
        frame(b"", rsv=4),
        pieces(deflated(b"4" + b"on" * 300), 3),
        frame(b"4o", fin=False) + frame(b"n", CONTINUATION),
        pieces(deflated(b"\x01" * 700), 1, BINARY),
        frame(deflated(b"4first"), rsv=4, fin=False) + frame(b"x", PING) + frame(b"", CONTINUATION),
        frame(b"", rsv=4, fin=False) + frame(deflated(b"4second"), CONTINUATION),
        frame(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", rsv=4),
        compressed(NOISE, BINARY),
        frame(b"last"),
    ]
)
MESSAGES: Final[list[str | bytes]] = [
    *("4hello", "4plain", "h\u00e9\u20ac", b"\x00\xff", "", "", "4" + "on" * 300, "4on", b"\x01" * 700),
    *("4first", "4second", "Hello", NOISE, "last"),
]


@pytest.mark.parametrize("options", [ALL, CONTEXT], ids=["alone", "context"])
@pytest.mark.parametrize("step", [1, 7, 1 << 16])
async def test_compressed_messages_among_others(options: PerMessageDeflate, step: int) -> None:
    async with open_line(options) as line:
        await line.wire.send(STREAM, step=step)
        await line.audience.hears(*MESSAGES)
        assert await line.wire.frame() == Frame(PONG, b"x")


async def test_messages_that_refer_to_those_before() -> None:
    async with open_line(CONTEXT) as line:
        assert line.agreed == "permessage-deflate"
        zipper = Zipper()
        payloads = [zipper.deflated(TEXT_OF_1000) for _ in range(3)]
        assert len(payloads[1]) < len(payloads[0]) / 5
        await line.wire.send(frame(payloads[0], rsv=4) + frame(b"4plain") + pieces(payloads[1], 4))
        await line.wire.send(frame(payloads[2], rsv=4))
        text = TEXT_OF_1000.decode()
        await line.audience.hears(text, "4plain", text, text)


async def test_a_reference_to_what_is_forgotten() -> None:
    async with open_line(ALL) as line:
        zipper = Zipper()
        await line.wire.send(b"".join(frame(zipper.deflated(TEXT_OF_1000), rsv=4) for _ in range(2)))
        await line.closes(1007)
        await line.audience.loses("transport error")
        assert line.audience.heard == [TEXT_OF_1000.decode()]


HELLO = deflated(b"4hello")
VIOLATIONS = {
    "on a continuation": frame(HELLO, rsv=4, fin=False) + frame(b"\x00", CONTINUATION, rsv=4),
    "on a plain message's continuation": frame(b"4", fin=False) + frame(HELLO, CONTINUATION, rsv=4),
    "on a continuation of nothing": frame(HELLO, CONTINUATION, rsv=4),
    "on a text within a message": frame(b"4", fin=False) + frame(HELLO, rsv=4),
    "on a ping": frame(b"", PING, rsv=4),
    "on a pong": frame(b"", PONG, rsv=4),
    "on a close": frame(b"\x03\xe8", CLOSE, rsv=4),
    "with RSV2": frame(HELLO, rsv=6),
    "with RSV3": frame(HELLO, rsv=5),
    "RSV2 alone": frame(b"4", rsv=2),
    "RSV3 alone": frame(b"4", rsv=1),
    "a text within a compressed message": frame(HELLO, rsv=4, fin=False) + frame(b"4"),
}


@pytest.mark.parametrize("sent", VIOLATIONS.values(), ids=VIOLATIONS)
@pytest.mark.parametrize("step", [1, 1000], ids=["byte by byte", "whole"])
async def test_violations_end_it_with_1002(sent: bytes, step: int) -> None:
    async with open_line() as line:
        await line.wire.send(sent, step=step)
        await line.closes(1002)
        await line.audience.loses("transport error")
        assert line.audience.heard == []


BROKEN = {
    "garbage": frame(b"\xff" * 20, rsv=4),
    "garbage in a fragment": frame(HELLO[:3], rsv=4, fin=False) + frame(b"\xff" * 20, CONTINUATION),
    "cut": frame(deflated(TEXT_OF_1000)[:-5], rsv=4),
    "not compressed": frame(b"4hello", rsv=4),
    "bytes behind the last block": frame(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00\x00\x00", rsv=4),
    "not UTF-8 once inflated": compressed(b'42["\xff"]'),
    "not UTF-8 across fragments": pieces(deflated(b"4\xe2\x82"), 2),
}


@pytest.mark.parametrize("options", [ALL, CONTEXT], ids=["alone", "context"])
@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN)
async def test_what_does_not_inflate_ends_it_with_1007(sent: bytes, options: PerMessageDeflate) -> None:
    async with open_line(options) as line:
        await line.wire.send(sent)
        await line.closes(1007)
        await line.audience.loses("transport error")
        assert line.audience.heard == []


TOO_LONG = {
    "once inflated": compressed(b"4" * 10_001),
    "once inflated, in fragments": pieces(bomb(10_001), 3),
    "bomb": frame(bomb(9_000_000), BINARY, rsv=4),
    "before it is inflated": frame(b"\xff" * 10_001, rsv=4),
    "before it is inflated, declared": frame(b"", rsv=4, length=1 << 40),
    "before it is inflated, in fragments": frame(b"\x00" * 6000, rsv=4, fin=False)
    + frame(b"\x00" * 6000, CONTINUATION, fin=False),
}


@pytest.mark.parametrize("sent", TOO_LONG.values(), ids=TOO_LONG)
async def test_what_is_too_long_ends_it_with_1009(sent: bytes) -> None:
    async with open_line(max_size=10_000) as line:
        await line.wire.send(sent)
        await line.closes(1009)
        await line.audience.loses("transport error")
        assert line.audience.heard == []


async def test_the_limits_themselves_are_allowed() -> None:
    payload = deflated(b"4" * 9999 + b"5")
    async with open_line(max_size=10_000, limits=Limits(max_fragments=len(payload))) as line:
        await line.wire.send(compressed(b"4" * 10_000) + pieces(payload, 1))
        await line.audience.hears("4" * 10_000, "4" * 9999 + "5")


async def test_the_fragments_of_a_compressed_message_are_limited() -> None:
    payload = deflated(TEXT_OF_1000)
    async with open_line(limits=Limits(max_fragments=len(payload) - 1)) as line:
        await line.wire.send(pieces(payload, 1))
        await line.closes(1008)
        assert line.audience.heard == []


# --- outgoing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("offer", [OFFER, "permessage-deflate; server_max_window_bits=8"])
@pytest.mark.parametrize("options", [ALL, CONTEXT], ids=["alone", "context"])
async def test_messages_are_compressed_in_their_order(options: PerMessageDeflate, offer: str) -> None:
    async with open_line(options, offer) as line:
        sent = [b"4" + b"%d " % number * 50 for number in range(100)]
        for text in sent:
            line.carrier.send(Message(text, [text[:20], b""]))
        context = Unzipper(8 if "server" in offer else 15)
        for text in sent:
            found = [await line.wire.frame() for _ in range(3)]
            assert [each.opcode for each in found] == [TEXT, BINARY, BINARY]
            assert found[0].rsv1
            inflate = opened if options is ALL else context.open
            assert [inflate(each) for each in found] == [text, text[:20], b""]
        line.carrier.close()
        assert (await line.wire.frame()).opcode == CLOSE


async def test_what_is_below_the_threshold_goes_as_it_is() -> None:
    async with open_line(PerMessageDeflate()) as line:
        for size in (1023, 1024):
            line.carrier.send(Message(b"4" * size, [b"x" * size]))
            for opcode, data in ((TEXT, b"4"), (BINARY, b"x")):
                found = await line.wire.frame()
                assert (found.opcode, found.rsv1) == (opcode, size >= 1024)
                assert opened(found) == data * size


async def test_a_message_that_refuses_compression_goes_as_it_is() -> None:
    async with open_line() as line:
        line.carrier.send(Message(TEXT_OF_1000, (), False))
        assert await line.wire.frame() == Frame(TEXT, TEXT_OF_1000)


async def test_plain_and_compressed_receivers_of_one_message() -> None:
    message = Message(TEXT_OF_1000)
    async with open_line() as one, open_line() as other, open_line(CONTEXT) as third:
        for line in (one, third, other, third):
            line.carrier.send(message)
        assert await one.read() == await other.read() == TEXT_OF_1000
        context, sizes = Unzipper(), []
        for _ in range(2):
            found = await third.wire.frame()
            sizes.append(len(found.payload))
            assert context.open(found) == TEXT_OF_1000
        assert sizes[1] < sizes[0] / 5
    assert message.deflated is not None
    assert len(message.deflated) == 1
    assert message.framed is None, "nobody asked for the plain frame"


async def test_a_closed_connection_compresses_nothing() -> None:
    async with open_line() as line:
        line.carrier.close()
        line.carrier.send(message := Message(TEXT_OF_1000))
        await settle()
        assert message.deflated is None


def test_the_tail_is_zlibs() -> None:
    stream = zlib.compressobj(wbits=-15)
    assert (stream.compress(b"x") + stream.flush(zlib.Z_SYNC_FLUSH)).endswith(TAIL)
