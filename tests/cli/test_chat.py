"""The demo's chat, by clients on the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from socketeer.cli.chat import MAX_NAME, MAX_TEXT, NAMES, TERMINAL, Chat
from tests.support.peers import Polling, WebSocket
from tests.support.serving import serving

Told = list[tuple[str, str, str]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
async def port(told: Told) -> AsyncIterator[int]:
    async with serving(Chat(lambda *what: told.append(what)).io) as port:
        yield port


class Visitor:
    """A WebSocket client of the chat."""

    def __init__(self, peer: WebSocket) -> None:
        self.peer = peer
        self.id = ""

    @classmethod
    async def come(cls, port: int, name: object = None) -> Visitor:
        visitor = cls(await WebSocket.open(port))
        visitor.id = await visitor.peer.connect(auth=None if name is None else {"name": name})
        return visitor

    async def event(self) -> list[Any]:
        message = await self.peer.message()
        assert isinstance(message, str)
        assert message[0] == "2", message
        event: list[Any] = json.loads(message[1:])
        return event

    async def ask(self, *event: object) -> Any:
        await self.peer.send(f"421{json.dumps(event)}")
        message = await self.peer.message()
        assert isinstance(message, str)
        assert message.startswith("31["), message
        return json.loads(message[2:])[0]


async def test_two_visitors(port: int, told: Told) -> None:
    one = await Visitor.come(port)
    me = {"id": one.id, "name": NAMES[0], "transport": "websocket"}
    assert await one.event() == ["welcome", NAMES[0], [me]]

    two = await Visitor.come(port)
    other = {"id": two.id, "name": NAMES[1], "transport": "websocket"}
    assert await two.event() == ["welcome", NAMES[1], [me, other]]
    assert await one.event() == ["joined", other]

    assert await one.ask("chat message", "  One for all!  ") == 1
    event, message = await two.event()
    assert (event, message["id"], message["name"], message["text"]) == (
        "chat message",
        one.id,
        NAMES[0],
        "One for all!",
    )

    await two.peer.send('42["typing",true]')
    assert await one.event() == ["typing", two.id, True]

    assert await two.ask("rename", "Milady") == "Milady"
    assert await one.event() == ["renamed", two.id, "Milady"]

    await two.peer.bye()
    assert await one.event() == ["left", two.id, "Milady", "transport close"]

    people = [each for each in told if each[0] in {*NAMES, "Milady"}]
    assert [(who, what) for who, what, _ in people] == [
        (NAMES[0], "connected"),
        (NAMES[1], "connected"),
        (NAMES[0], "chat message"),
        (NAMES[1], "typing"),
        (NAMES[1], "renamed"),
        ("Milady", "disconnected"),
    ]
    assert people[2][2] == "'One for all!', to 1 other"
    await one.peer.bye()


@pytest.mark.parametrize(
    ("wished", "given"),
    [
        ("Planchet", "Planchet"),
        ("  Lord   de Winter ", "Lord de Winter"),
        ("x" * 300, "x" * MAX_NAME),
        ("", NAMES[0]),
        (7, NAMES[0]),
        ({"a": 1}, NAMES[0]),
    ],
)
async def test_a_name_that_is_brought_along(wished: object, given: str, port: int) -> None:
    one = await Visitor.come(port, wished)
    assert (await one.event())[1] == given
    two = await Visitor.come(port, wished)
    again = (await two.event())[1]
    assert again == (NAMES[1] if given == NAMES[0] else f"{given} 2")
    await one.peer.bye()
    await two.peer.bye()


async def test_everybody_gets_a_name_even_when_ours_are_used_up(port: int) -> None:
    visitors = [await Visitor.come(port) for _ in range(len(NAMES) + 2)]
    names = [(await each.event())[1] for each in visitors]
    assert names == [*NAMES, f"{NAMES[0]} 2", f"{NAMES[0]} 3"]
    for each in visitors:
        await each.peer.bye()


async def test_a_long_message_is_cut_and_an_empty_one_goes_nowhere(port: int) -> None:
    one, two = await Visitor.come(port), await Visitor.come(port)
    await two.event()
    await one.event()
    await one.event()
    await one.ask("chat message", "   ")
    await one.ask("chat message", "y" * 2000)
    assert (await two.event())[1]["text"] == "y" * MAX_TEXT
    await one.peer.bye()
    await two.peer.bye()


async def test_the_transport_moves_and_everybody_hears(port: int, told: Told) -> None:
    watcher = await Visitor.come(port)
    await watcher.event()
    polling = await Polling.open(port, headers=[("user-agent", "Mozilla/5.0 Firefox/150.0")])
    sid = await polling.connect()
    assert (await watcher.event())[1]["transport"] == "polling"

    probe = await WebSocket.open(port, sid=polling.sid)
    await probe.send("2probe")
    assert await probe.packet() == "3probe"
    await probe.send("5")
    assert await watcher.event() == ["moved", sid, "websocket"]
    assert (polling.sid, "opened", "over polling, from 127.0.0.1, Firefox") in told
    assert (polling.sid, "upgraded", "to websocket") in told
    await probe.bye()
    await watcher.event()
    assert (polling.sid, "closed", "transport close") in told
    await watcher.peer.bye()


async def test_a_refused_request_is_told(port: int, told: Told) -> None:
    with pytest.raises(AssertionError):
        await Polling.open(port, query="&sid=nobody")
    assert told == [("127.0.0.1", "refused", "Session ID unknown (code 1)")]


async def test_the_chat_of_the_terminal_is_another_one(port: int) -> None:
    page = await Visitor.come(port)
    await page.event()
    terminal = await WebSocket.open(port)
    await terminal.send(f"40{TERMINAL},")
    assert str(await terminal.message()).startswith(f"0{TERMINAL},")
    welcome = json.loads(str(await terminal.message()).removeprefix(f"2{TERMINAL},"))
    assert welcome[:2] == ["welcome", NAMES[0]]
    assert len(welcome[2]) == 1
    assert await page.ask("chat message", "nobody else here") == 0
    await terminal.bye()
    await page.peer.bye()
