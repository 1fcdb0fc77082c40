"""What every carrier owes the session above it, shown over a real socket.

A carrier's own test gives `run` an `Opener`; `CASES` are the names to choose from. A carrier of one's own is held to
the same by the same two lines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from socketeer.options import Backpressure
from socketeer.protocol.frame import Message
from tests.engine.carriers.line import Audience, Opener, Packet, Settings
from tests.support.raw import BINARY, CLOSE, CONTINUATION, DEADLINE, PING, PONG, TEXT, Frame, Wire, frame

Case = Callable[[Opener], Awaitable[None]]

CASES: Final[dict[str, Case]] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def run(name: str, opener: Opener, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Run one case on a loop of its own."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_run(CASES[name], opener))


async def _run(case: Case, opener: Opener) -> None:
    caught: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context))
    await case(opener)
    assert caught == []


# --- incoming --------------------------------------------------------------------------------------

#: Frames and the messages that they make: every length of a header, fragments, control frames in between.
STREAM = b"".join(
    [
        frame(b"4hello"),
        frame(b""),
        frame(b"\x00\xff", BINARY),
        frame(b"", BINARY),
        frame("h\u00e9\u20ac\U0001f600".encode()),
        frame(b"x" * 125),
        frame(b"y" * 126),
        frame(b"z" * 700, BINARY),
        frame(b"4on", fin=False),
        frame(b"", CONTINUATION, fin=False),
        frame(b"ce", CONTINUATION),
        frame(b"\x01", BINARY, fin=False),
        frame(b"\x02", CONTINUATION),
        frame(b"\xc3", fin=False),
        frame(b"", PONG),
        frame(b"\xa9", CONTINUATION),
        frame(b"last"),
    ]
)
MESSAGES: Final[list[Packet]] = [
    "4hello",
    "",
    b"\x00\xff",
    b"",
    "h\u00e9\u20ac\U0001f600",
    "x" * 125,
    "y" * 126,
    b"z" * 700,
    "4once",
    b"\x01\x02",
    "\u00e9",
    "last",
]


@case
async def frames_in_one_piece(opener: Opener) -> None:
    async with opener(Settings()) as line:
        await line.wire.send(STREAM)
        await line.audience.hears(*MESSAGES)
        await line.echo()


@case
async def frames_byte_by_byte(opener: Opener) -> None:
    async with opener(Settings()) as line:
        await line.wire.send(STREAM, step=1)
        await line.audience.hears(*MESSAGES)
        await line.echo()


@case
async def frames_cut_anywhere(opener: Opener) -> None:
    """What is whole is delivered at once, whatever of the next frame hangs on behind it."""
    first, second = frame(b"4first"), frame(b"s" * 200, BINARY)
    async with opener(Settings()) as line:
        expected: list[Packet] = []
        for cut in range(len(second)):
            await line.wire.send(first + second[:cut])
            expected.append("4first")
            await line.audience.hears(*expected)
            await line.wire.send(second[cut:])
            expected.append(b"s" * 200)
            await line.audience.hears(*expected)


@case
async def an_answer_does_not_wait_for_the_rest_of_the_next_frame(opener: Opener) -> None:
    async with opener(Settings()) as line:
        line.audience.answer = lambda packet: line.carrier.send(Message(b"4answer"))
        rest = frame(b"4second")
        await line.wire.send(frame(b"4first") + rest[:3])
        assert await line.wire.frame() == Frame(TEXT, b"4answer")
        await line.wire.send(rest[3:])
        assert await line.wire.frame() == Frame(TEXT, b"4answer")


@case
async def pings_are_answered_even_between_fragments(opener: Opener) -> None:
    async with opener(Settings()) as line:
        await line.wire.send(frame(b"4on", fin=False) + frame(b"tick", PING))
        assert await line.wire.frame() == Frame(PONG, b"tick")
        await line.wire.send(frame(b"ce", CONTINUATION))
        await line.audience.hears("4once")


@case
async def the_longest_message_is_allowed(opener: Opener) -> None:
    async with opener(Settings(max_size=1000)) as line:
        await line.wire.send(frame(b"x" * 1000) + frame(b"y" * 1000, BINARY))
        await line.wire.send(frame(b"z" * 600, fin=False) + frame(b"z" * 400, CONTINUATION))
        await line.audience.hears("x" * 1000, b"y" * 1000, "z" * 1000)


TOO_LONG: Final = {
    "text": frame(b"x" * 1001),
    "binary": frame(b"x" * 1001, BINARY),
    "multi-byte text": frame("\u00e9".encode() * 501),
    "fragments": frame(b"x" * 600, fin=False) + frame(b"x" * 401, CONTINUATION),
}


@case
async def a_byte_more_ends_it_with_1009(opener: Opener) -> None:
    for sent in TOO_LONG.values():
        async with opener(Settings(max_size=1000)) as line:
            await line.wire.send(sent + frame(b"4late"))
            await line.closes(1009)
            await line.audience.loses("transport error")
            assert line.audience.heard == []


@case
async def text_that_is_not_utf8_ends_it_with_1007(opener: Opener) -> None:
    for sent in (frame(b"4\xff"), frame(b"4\xe2\x82", fin=False) + frame(b"", CONTINUATION)):
        async with opener(Settings()) as line:
            await line.wire.send(sent + frame(b"4late"))
            await line.closes(1007)
            await line.audience.loses("transport error", "transport close")
            assert line.audience.heard == []


@case
async def a_message_that_cannot_be_handled_ends_it_with_1011(opener: Opener) -> None:
    def fail(packet: Packet) -> None:
        raise ValueError("of the test")

    async with opener(Settings()) as line:
        line.audience.answer = fail
        await line.wire.send(frame(b"4first") + frame(b"4second"))
        await line.closes(1011)
        await line.audience.loses("transport error")
        assert line.audience.heard == ["4first"]


# --- outgoing --------------------------------------------------------------------------------------


@case
async def messages_leave_in_order_with_their_attachments(opener: Opener) -> None:
    async with opener(Settings()) as line:
        line.carrier.send(Message(b"4first"))
        line.carrier.send(Message(b"452-[]", [b"\x01", b""]))
        line.carrier.send(Message(b"", [b"\x02", b"\x03"]))
        line.carrier.send(Message("4\u00e9\u20ac".encode()))
        for size in (125, 126, 65_535, 65_536):
            line.carrier.send(Message(b"x" * size))
        expected = [
            Frame(TEXT, b"4first"),
            Frame(TEXT, b"452-[]"),
            Frame(BINARY, b"\x01"),
            Frame(BINARY, b""),
            Frame(BINARY, b"\x02"),
            Frame(BINARY, b"\x03"),
        ]
        expected.append(Frame(TEXT, "4\u00e9\u20ac".encode()))
        expected += [Frame(TEXT, b"x" * size) for size in (125, 126, 65_535, 65_536)]
        assert [await line.wire.frame() for _ in expected] == expected


@case
async def one_message_may_go_to_many(opener: Opener) -> None:
    message = Message(b"451-[]", [b"\x01"])
    async with opener(Settings()) as one, opener(Settings()) as other:
        for line in (one, other, one):
            line.carrier.send(message)
            assert await line.wire.frame() == Frame(TEXT, b"451-[]")
            assert await line.wire.frame() == Frame(BINARY, b"\x01")


@case
async def it_knows_what_it_holds(opener: Opener) -> None:
    async with opener(Settings()) as line:
        assert (line.carrier.writable(), line.carrier.held()) == (True, 0)
        for text in ("4" * 10, "\u20ac" * 10):
            line.carrier.send(Message(text.encode(), [b"12345"]))
            assert not line.carrier.writable()
            assert len(text.encode()) + 5 <= line.carrier.held() <= len(text.encode()) + 5 + 20
            assert (await line.wire.frame()).payload == text.encode()
            await line.wire.frame()
            await line.carrier.drained()
            assert (line.carrier.writable(), line.carrier.held()) == (True, 0)


@case
async def a_client_that_does_not_read_is_waited_for(opener: Opener) -> None:
    marks = Backpressure(high_water=100_000, low_water=10_000, max_bytes=100_000_000)
    async with opener(Settings(backpressure=marks, receive_buffer=4096)) as line:
        await asyncio.wait_for(line.carrier.drained(), DEADLINE)
        line.wire.transport.pause_reading()
        sent = 0
        while line.carrier.held() < 1_000_000:
            line.carrier.send(Message(b"4" * 50_000))
            sent += 1
            await asyncio.sleep(0)
            assert sent < 1000, "it holds nothing, although nobody reads"
        assert not line.carrier.writable()
        waiting = [asyncio.create_task(line.carrier.drained()) for _ in range(2)]
        await asyncio.sleep(0)
        line.carrier.send(Message(b"4last"))
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        line.wire.transport.resume_reading()
        for _ in range(sent):
            assert (await line.wire.frame()).payload == b"4" * 50_000
        assert (await line.wire.frame()).payload == b"4last"
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*waiting)
        assert line.audience.lost == []
        await line.echo()


@case
async def a_client_that_never_reads_is_given_up(opener: Opener) -> None:
    marks = Backpressure(high_water=100_000, low_water=10_000, max_bytes=1_000_000)
    async with opener(Settings(backpressure=marks, receive_buffer=4096)) as line:
        line.wire.transport.pause_reading()
        sent = 0
        while not line.audience.lost:
            line.carrier.send(Message(b"4" * 50_000))
            sent += 1
            await asyncio.sleep(0)
            assert sent < 1000, "it holds more than it may"
        assert sent > 20, "it gave up too early"
        await line.audience.loses("transport error")
        assert line.audience.lost[0][1] == "more than max_bytes queued: the client does not read"
        async with asyncio.timeout(DEADLINE):
            await line.carrier.drained()
        line.carrier.send(Message(b"4late"))
        line.wire.reset()


@case
async def waiting_ends_with_the_connection(opener: Opener) -> None:
    marks = Backpressure(high_water=100_000, low_water=10_000, max_bytes=100_000_000)
    async with opener(Settings(backpressure=marks, receive_buffer=4096)) as line:
        line.wire.transport.pause_reading()
        while line.carrier.held() < 1_000_000:
            line.carrier.send(Message(b"4" * 50_000))
            await asyncio.sleep(0)
        waiting = asyncio.create_task(line.carrier.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        line.wire.reset()
        await line.audience.loses("transport close", "transport error")
        await asyncio.wait_for(waiting, DEADLINE)


# --- the end ---------------------------------------------------------------------------------------


@case
async def a_client_that_closes_is_answered_with_its_own_code(opener: Opener) -> None:
    for sent, code in ((b"", 1005), (b"\x03\xe8", 1000), (b"\x03\xe9bye", 1001), (b"\x13\x87", 4999)):
        async with opener(Settings()) as line:
            await line.wire.send(frame(b"4last") + frame(sent, CLOSE))
            found = await line.wire.frame()
            assert (found.opcode, found.close_code) == (CLOSE, code)
            assert await line.wire.rest() == b""
            await line.audience.loses("transport close")
            assert line.audience.heard == ["4last"]
            line.carrier.send(Message(b"4late"))
            line.carrier.close()
            line.carrier.abort()
            await line.gone()
            await line.audience.loses("transport close")


@case
async def a_client_that_vanishes_is_noticed(opener: Opener) -> None:
    for leave in (Wire.close, Wire.reset, Wire.finish):
        async with opener(Settings()) as line:
            await line.echo()
            leave(line.wire)
            await line.audience.loses("transport close", "transport error")
            line.carrier.send(Message(b"4late"))
            await line.gone()
            assert len(line.audience.lost) == 1


@case
async def closing_sends_what_is_queued_and_a_close_frame(opener: Opener) -> None:
    async with opener(Settings()) as line:
        line.carrier.send(Message(b"4first"))
        line.carrier.send(Message(b"451-[]", [b"\x01"]))
        line.carrier.close()
        line.carrier.send(Message(b"4late"))
        line.carrier.close()
        await line.wire.send(frame(b"4late"))
        expected = [Frame(TEXT, b"4first"), Frame(TEXT, b"451-[]"), Frame(BINARY, b"\x01")]
        assert [await line.wire.frame() for _ in expected] == expected
        found = await line.wire.frame()
        assert (found.opcode, found.close_code in (1000, 1005)) == (CLOSE, True)
        await line.wire.send(frame(found.payload, CLOSE))
        assert await line.wire.rest() == b""
        await line.gone()
        assert (line.audience.heard, line.audience.lost) == ([], [])


@case
async def closing_in_the_middle_of_a_read_delivers_nothing_more(opener: Opener) -> None:
    async with opener(Settings()) as line:

        def answer(packet: Packet) -> None:
            line.carrier.send(Message(b"4bye"))
            line.carrier.close()

        line.audience.answer = answer
        await line.wire.send(frame(b"4first") + frame(b"4second"))
        assert await line.wire.frame() == Frame(TEXT, b"4bye")
        assert (await line.wire.frame()).opcode == CLOSE
        await line.wire.send(frame(b"", CLOSE))
        await line.wire.rest()
        await line.gone()
        assert (line.audience.heard, line.audience.lost) == (["4first"], [])


@case
async def aborting_drops_what_is_queued(opener: Opener) -> None:
    async with opener(Settings()) as line:
        line.carrier.send(Message(b"4dropped"))
        line.carrier.abort()
        line.carrier.send(Message(b"4late"))
        await line.wire.send(frame(b"4late") + frame(b"", CLOSE))
        assert b"4dropped" not in await line.wire.rest()
        await line.gone()
        assert (line.audience.heard, line.audience.lost) == ([], [])
        assert line.carrier.held() == 0


@case
async def the_receiver_may_change_on_the_way(opener: Opener) -> None:
    """A probe hands its WebSocket to the session in the middle of a read."""
    async with opener(Settings()) as line:
        successor = Audience()

        def hand_over(packet: Packet) -> None:
            line.carrier.receiver = successor

        line.audience.answer = hand_over
        await line.wire.send(frame(b"5") + frame(b"4first") + frame(b"\x01", BINARY))
        await successor.hears("4first", b"\x01")
        assert line.audience.heard == ["5"]
        line.wire.close()
        await successor.loses("transport close", "transport error")
        assert line.audience.lost == []
