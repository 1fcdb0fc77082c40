"""What is asked of a client and what it hears, against our own server; the rest in test_connect.py."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
from rich.console import Console

from socketeer import Server
from socketeer.cli.conversation import MAX_NAME, MAX_NAMES, Conversation
from socketeer.cli.dialing import FAILED, NO_ACK, USAGE, Dial
from socketeer.cli.screen import PlainScreen
from tests.support.serving import serving


class Talk:
    """A conversation, and what it has shown."""

    def __init__(self, port: int) -> None:
        dial = Dial(f"localhost:{port}", transports=["websocket"], timeout=0.5)
        self.out, self.notes = io.StringIO(), io.StringIO()
        self.client = dial.client()
        screen = PlainScreen(Console(file=self.out), Console(file=self.notes))
        self.conversation = Conversation(self.client, screen, dial)

    async def say(self, line: str) -> bool:
        goes_on = await self.conversation.run(line)
        await self.conversation.settled()
        return goes_on


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    io = Server()

    @io.on("connection")
    def connection(socket: object) -> None:
        def flood(count: int) -> str:
            for number in range(count):
                socket.emit(f"event {number}")  # type: ignore[attr-defined]
            socket.emit("x" * (MAX_NAME + 1))  # type: ignore[attr-defined]
            return "done"

        socket.on("flood", flood)  # type: ignore[attr-defined]
        socket.on("add", lambda one, two: one + two)  # type: ignore[attr-defined]
        socket.on("two", lambda: (1, 2))  # type: ignore[attr-defined]
        socket.on("out", socket.disconnect)  # type: ignore[attr-defined]

    async with serving(io) as port:
        talk = Talk(port)
        await talk.client.connect()
        yield talk
        await talk.client.close()


async def test_acknowledgements(talk: Talk) -> None:
    await talk.say("add 1 2 ?")
    await talk.say("two ?")
    assert talk.out.getvalue() == "= add 3\n= two 1 2\n"
    assert talk.conversation.latency.startswith(", last acknowledgement ")
    assert talk.conversation.status == 0


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("x {", USAGE),
        ("/fly", USAGE),
        ("connect 1", USAGE),
        ("nobody ?", NO_ACK),
        ("/wait never", NO_ACK),
        ("out ?", FAILED),
    ],
)
async def test_the_first_failure_is_kept(talk: Talk, line: str, status: int) -> None:
    assert await talk.say(line)
    assert talk.conversation.status == status
    await talk.say("x {")
    assert talk.conversation.status == status


async def test_names_are_remembered_within_bounds(talk: Talk) -> None:
    await talk.say(f"flood {MAX_NAMES + 10} ?")
    names = list(talk.conversation.names)
    assert len(names) == MAX_NAMES
    assert max(map(len, names)) <= MAX_NAME
    assert names[-1] == f"event {MAX_NAMES + 9}"
    await talk.say("event 509")
    assert 'note: the event "event 509" is typed in quotes' not in talk.notes.getvalue()
    await talk.say("event word")
    assert "is typed in quotes" not in talk.notes.getvalue()


async def test_waiting_counts_each_event_once(talk: Talk) -> None:
    await talk.say("flood 1 ?")
    await talk.say('/wait "event 0"')
    assert talk.conversation.status == 0
    waiting = talk.conversation.begin('/wait "event 0"')
    await asyncio.sleep(0)
    assert not waiting.done()
    await talk.conversation.run("flood 1")
    assert await waiting
    assert talk.conversation.status == 0


async def test_commands(talk: Talk) -> None:
    assert not await talk.say("/quit")
    assert await talk.say("/help")
    assert "/show [NUMBER]" in talk.notes.getvalue()
    assert await talk.say("/ping")
    assert "round trip" in talk.notes.getvalue()
    await talk.say("/disconnect")
    assert talk.conversation.state() == "not connected: /connect"
    await talk.say("/connect")
    await talk.client.connect()
    assert talk.conversation.state().startswith("websocket")


async def test_the_end_by_the_server_is_noticed(talk: Talk) -> None:
    await talk.say("out")
    await asyncio.wait_for(talk.conversation.broken, 5)
    assert "io server disconnect" in talk.notes.getvalue()
    assert talk.conversation.status == FAILED
