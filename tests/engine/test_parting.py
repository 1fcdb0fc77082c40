"""Goodbyes: what a server that is slow, silent or gone sees of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.engine import parting
from socketeer.engine.client_session import ClientSession
from socketeer.engine.parting import say_goodbye
from socketeer.protocol.frame import Message
from tests.engine.client_peers import Asked, Line, Scripted, open_packet, opener, scripted, until
from tests.support.raw import CLOSE, PING, PONG, TEXT, frame


class Reader:
    """The server's end of one WebSocket: reads, and answers pings once it is told to."""

    def __init__(self) -> None:
        self.read: list[Any] = []
        self.answering = asyncio.Event()
        self.sessions: list[ClientSession] = []

    async def __call__(self, server: Scripted, line: Line, asked: Asked) -> bool:
        await line.upgrade(asked)
        await line.text(open_packet())
        while (found := await line.frame()) is not None:
            self.read.append(found.payload.decode() if found.opcode == TEXT else found.opcode)
            if found.opcode == PING:
                await self.answering.wait()
                await line.write(frame(found.payload, PONG, mask=None))
            elif found.opcode == CLOSE:
                await line.write(frame(b"", CLOSE, mask=None))
                break
        return False


def send(session: ClientSession, *texts: str) -> None:
    """Send messages; one that begins with a capital is a goodbye."""
    for text in texts:
        message = Message(f"4{text}".encode())
        if text[0].isupper():
            say_goodbye(session, message)
        else:
            session.send(message)


async def test_a_goodbye_waits_for_the_answer_to_a_ping_and_what_follows_waits_behind_it() -> None:
    server = Reader()
    async with scripted(server) as running, opener(running.url, transports=("websocket",)) as one:
        session = await one.open()
        send(session, "a", "A", "B", "c")
        session.close()
        await until(lambda: PING in server.read)
        assert server.read == ["4a", PING]
        assert session.is_open()
        server.answering.set()
        assert await one.ear.end() == ("forced close", None)
        await until(lambda: CLOSE in server.read)
        assert server.read == ["4a", PING, "4A", "4B", "4c", CLOSE]


async def test_what_was_sent_behind_one_goodbye_is_read_before_the_next() -> None:
    server = Reader()
    server.answering.set()
    async with scripted(server) as running, opener(running.url, transports=("websocket",)) as one:
        session = await one.open()
        send(session, "A", "b", "B", "c")
        assert session.parting is not None
        await session.parting.wait()
        send(session, "d")
        await until(lambda: "4d" in server.read)
        assert server.read == [PING, "4A", "4b", PING, "4B", "4c", "4d"]
        assert session.parting is None


async def test_a_server_that_leaves_pings_unanswered_gets_it_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parting, "PATIENCE", 0.05)
    server = Reader()
    async with scripted(server) as running, opener(running.url, transports=("websocket",)) as one:
        session = await one.open()
        send(session, "A", "b", "B")
        session.close()
        assert await one.ear.end() == ("forced close", None)
        server.answering.set()
        await until(lambda: CLOSE in server.read)
        assert server.read == [PING, "4A", "4b", "4B", CLOSE]


@pytest.mark.parametrize("closing", [False, True])
async def test_the_end_of_the_connection_ends_it(closing: bool) -> None:
    server = Reader()
    async with scripted(server) as running, opener(running.url, transports=("websocket",)) as one:
        session = await one.open()
        send(session, "A")
        if closing:
            session.close()
        held = session.parting
        assert held is not None
        session.fail("transport close", "lost")
        await held.wait()
        # Whatever breaks is part of the closing, once that was asked for.
        assert await one.ear.end() == (("forced close", None) if closing else ("transport close", "lost"))
        send(session, "B")
        assert session.parting is None


async def test_closing_at_once_gives_up_what_is_held_back() -> None:
    server = Reader()
    async with scripted(server) as running, opener(running.url, transports=("websocket",)) as one:
        session = await one.open()
        send(session, "a", "A")
        await until(lambda: PING in server.read)
        session.close(discard=True)
        assert await one.ear.end() == ("forced close", None)
        server.answering.set()
        await until(lambda: server.read[-1] == CLOSE)
        assert server.read == ["4a", PING, CLOSE]
