"""Long-polling, the connecting side: what goes into a POST, and how a session ends."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from socketeer.options import Backpressure, Limits
from socketeer.protocol.frame import Message
from tests.engine.client_peers import Asked, Line, Scripted, open_packet, opener, scripted, until


class Post:
    """A server that takes POSTs when it is let, and says what it is told."""

    def __init__(self, **handshake: Any) -> None:
        self.handshake = handshake
        self.bodies: list[bytes] = []
        self.outgoing: list[bytes] = []
        self.takes = asyncio.Event()
        self.takes.set()
        self.at_once = 0
        self.most_at_once = 0

    @property
    def packets(self) -> list[bytes]:
        return [packet for body in self.bodies for packet in body.split(b"\x1e")]

    async def __call__(self, server: Scripted, line: Line, asked: Asked) -> bool | None:
        if "sid" not in asked.query:
            await line.answer(open_packet(**self.handshake))
        elif asked.method == "POST":
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
            self.bodies.append(asked.body)
            await self.takes.wait()
            self.at_once -= 1
            await line.answer()
        elif self.outgoing:
            await line.answer(self.outgoing.pop(0))
        else:
            await line.gone()
            return False
        return None


def message(text: str | bytes) -> Message:
    return Message(b"4" + (text.encode() if isinstance(text, str) else text))


async def test_all_of_a_turn_leave_in_one_post_and_what_comes_meanwhile_in_the_next() -> None:
    desk = Post()
    desk.takes.clear()
    async with scripted(desk) as server, opener(server.url) as one:
        session = await one.open()
        assert session.writable()
        for each in ("1", "2", "3"):
            session.send(message(each))
        assert not session.writable()
        await until(lambda: desk.bodies, "the POST")
        session.send(message("4"))
        session.send(Message(b"451-[]", [b"\xfb\xff"]))
        assert not session.writable()
        desk.takes.set()
        await until(lambda: len(desk.bodies) == 2, "the second POST")
        assert desk.bodies == [b"41\x1e42\x1e43", b"44\x1e451-[]\x1eb+/8="]
        await until(session.writable, "the end of the second POST")
        assert desk.most_at_once == 1


async def test_no_body_is_larger_than_the_server_takes() -> None:
    """A message too large by itself goes alone, as the official client sends it; one with attachments in parts."""
    desk = Post(maxPayload=100)
    texts = [str(at) * (at % 31) for at in range(200)]
    async with scripted(desk) as server, opener(server.url) as one:
        session = await one.open()
        for text in texts:
            session.send(message(text))
        session.send(message("x" * 300))
        session.send(Message(b"453-[]", [b"a" * 60, b"b" * 60, b"c" * 60]))
        session.send(message("end"))
        await until(lambda: desk.packets[-1:] == [b"4end"], "all")
        attachments = [b"b" + base64.b64encode(each * 60) for each in (b"a", b"b", b"c")]
        expected = [b"4" + text.encode() for text in texts] + [
            b"4" + b"x" * 300,
            b"453-[]",
            *attachments,
            b"4end",
        ]
        assert desk.packets == expected
        assert sorted({len(body) for body in desk.bodies if len(body) > 100}) == [301]
        # As few as there can be, one after the other: no two neighbours would have fitted into one.
        for left, right in zip(desk.bodies, desk.bodies[1:], strict=False):
            assert len(left) + 1 + len(right.split(b"\x1e")[0]) > 100
        assert desk.most_at_once == 1


@pytest.mark.parametrize("limit", [0, -5])
async def test_a_server_that_names_no_limit_gets_everything_at_once(limit: int) -> None:
    desk = Post(maxPayload=limit)
    async with scripted(desk) as server, opener(server.url) as one:
        session = await one.open()
        for _ in range(1000):
            session.send(message("x" * 100))
        await until(lambda: len(desk.packets) == 1000, "all")
        assert len(desk.bodies) == 1


async def test_what_the_server_does_not_take_is_bounded() -> None:
    """Also what was taken from the queue for a POST, and was too much for it."""
    desk = Post(maxPayload=50)
    desk.takes.clear()
    marks = Backpressure(high_water=1_000, low_water=100, max_bytes=2_000)
    async with scripted(desk) as server, opener(server.url, backpressure=marks) as one:
        session = await one.open()
        for _ in range(40):
            session.send(message("x" * 40))
        await until(lambda: desk.bodies, "the POST")
        assert session.transport.held() == 39 * 41
        assert one.ear.closed == []
        for _ in range(20):
            session.send(message("x" * 40))
        reason, description = await one.ear.end()
        assert reason == "transport error"
        assert "max_bytes" in str(description)


async def test_awaiting_ends_when_the_queue_has_been_taken_or_the_session_ends() -> None:
    desk = Post()
    desk.takes.clear()
    async with scripted(desk) as server, opener(server.url, backpressure=Backpressure(10, 5, 10_000)) as one:
        session = await one.open()
        session.send(message("first"))
        await until(lambda: desk.bodies, "the POST")
        session.send(message("x" * 100))
        waiting = asyncio.ensure_future(session.transport.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        desk.takes.set()
        await asyncio.wait_for(waiting, 5)
        await until(lambda: len(desk.bodies) == 2 and not desk.at_once, "the answer to the second POST")
        desk.takes.clear()
        session.send(message("again"))
        await until(lambda: len(desk.bodies) == 3, "the POST")
        session.send(message("x" * 100))
        waiting = asyncio.ensure_future(session.transport.drained())
        await asyncio.sleep(0)
        session.fail("ping timeout")
        await asyncio.wait_for(waiting, 5)


async def test_closing_sends_what_is_queued_and_then_a_close_packet_alone() -> None:
    desk = Post(maxPayload=10)
    desk.takes.clear()
    async with scripted(desk) as server, opener(server.url) as one:
        session = await one.open()
        session.send(message("first"))
        await until(lambda: desk.bodies, "the POST")
        session.send(message("second"))
        session.send(message("third"))
        session.close()
        session.send(message("too late"))
        assert one.ear.closed == []
        desk.takes.set()
        assert await one.ear.end() == ("forced close", None)
        assert desk.bodies == [b"4first", b"4second", b"4third", b"1"]
        assert one.ended == [session]


async def test_a_server_that_forgets_the_session_while_it_closes() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        if "sid" not in asked.query:
            await line.answer(open_packet())
        elif asked.method == "POST":
            await line.answer(b"", 400)
        else:
            await line.gone()
            return False
        return None

    async with scripted(script) as server, opener(server.url) as one:
        session = await one.open()
        session.close()
        assert await one.ear.end() == ("forced close", None)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_error_ends_the_session_and_says_which(method: str) -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        if "sid" not in asked.query:
            await line.answer(open_packet())
        elif asked.method == method:
            await line.answer(b'{"code":1,"message":"Session ID unknown"}', 400)
        elif asked.method == "POST":
            await line.answer()
        else:
            await line.gone()
            return False
        return None

    async with scripted(script) as server, opener(server.url) as one:
        session = await one.open()
        session.send(message("x"))
        reason, description = await one.ear.end()
        assert reason == "transport error"
        assert f"{method} was answered with status 400" in str(description)
        assert "Session ID unknown" in str(description)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "transport error"),
        (b"4one\x1e\x1e4two", "transport error"),
        (b"4one\x1e7\x1e4two", "transport error"),
        (b"4one\x1eb*\x1e4two", "parse error"),
        (b"4one\x1e1\x1e4two", "transport close"),
        (b"\x1e".join([b"4x"] * 101), "parse error"),
        (b"\xff\xfe", "transport error"),
        (b"<html>", "transport error"),
    ],
)
async def test_what_a_poll_may_bring(body: bytes, reason: str) -> None:
    desk = Post()
    desk.outgoing = [b"4zero", body]
    async with scripted(desk) as server, opener(server.url, limits=Limits(max_payload_packets=100)) as one:
        await one.open()
        assert (await one.ear.end())[0] == reason
        assert one.ear.messages in (["zero"], ["zero", "one"])


async def test_a_server_that_says_nothing_is_noticed() -> None:
    """Half-open: the poll is never answered, and neither is the POST."""
    desk = Post(pingInterval=60, pingTimeout=40)
    desk.takes.clear()
    async with scripted(desk) as server, opener(server.url) as one:
        session = await one.open()
        start = asyncio.get_running_loop().time()
        session.send(message("x"))
        assert await one.ear.end() == ("ping timeout", None)
        assert 0.09 < asyncio.get_running_loop().time() - start < 1
        await until(lambda: len(server.lines) <= 1, "the poll's end")  # the POST's script still waits
        desk.takes.set()
