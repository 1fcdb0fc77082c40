"""The connecting side's upgrade: it may break at any moment, and no message is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from socketeer import Server
from socketeer.engine.client_session import ClientSession
from socketeer.engine.transports import upgrade_client
from socketeer.protocol.frame import Message
from tests.engine.client_peers import Asked, Ear, Line, Opener, Scripted, open_packet, opener, scripted, until
from tests.support.raw import CLOSE
from tests.support.serving import serving


class Desk:
    """A server's half of one session, as far as polling goes; its WebSocket is the test's."""

    def __init__(self, websocket: Callable[[Desk, Line], Awaitable[None]]) -> None:
        self.websocket = websocket
        self.got: list[str | bytes] = []
        self.outgoing: list[bytes] = []
        self.news = asyncio.Event()
        self.upgraded = False
        self.probes = 0
        self.polls = 0

    def say(self, *packets: bytes) -> None:
        self.outgoing += packets
        self.news.set()

    async def __call__(self, server: Scripted, line: Line, asked: Asked) -> bool | None:
        if asked.headers.get("upgrade"):
            self.probes += 1
            await line.upgrade(asked)
            await self.websocket(self, line)
            return False
        if asked.method == "POST":
            assert not self.upgraded, "a POST behind the upgrade"
            self.got += [each.decode() for each in asked.body.split(b"\x1e")]
            await line.answer()
        elif "sid" not in asked.query:
            await line.answer(open_packet(upgrades=["websocket"]))
        else:
            assert not self.upgraded, "a poll behind the upgrade"
            self.polls += 1
            while not self.outgoing:
                self.news.clear()
                await self.news.wait()
            packets, self.outgoing = self.outgoing, []
            await line.answer(b"\x1e".join(packets))
        return None


@contextlib.asynccontextmanager
async def desk(
    websocket: Callable[[Desk, Line], Awaitable[None]], **options: Any
) -> AsyncIterator[tuple[Desk, Opener]]:
    it = Desk(websocket)
    async with scripted(it) as server, opener(server.url, **options) as one:
        yield it, one


async def answer_probe(line: Line) -> None:
    probe = await line.frame()
    assert probe is not None
    assert probe.payload == b"2probe"
    await line.text(b"3probe")


def message(text: str) -> Message:
    return Message(b"4" + text.encode())


async def both_ways(it: Desk, session: ClientSession, ear: Ear, mark: str) -> None:
    """Polling works: a message each way."""
    session.send(message(mark))
    await until(lambda: f"4{mark}" in it.got, f"{mark} at the server")
    it.say(f"4{mark}".encode())
    await until(lambda: mark in ear.messages, f"{mark} at the client")


async def test_an_upgrade() -> None:
    """While the last poll is on its way, both sides go on sending: all of it arrives once and in order."""
    release = asyncio.Event()

    async def websocket(it: Desk, line: Line) -> None:
        await answer_probe(line)
        await release.wait()
        it.say(b"6")
        found = await line.frame()
        assert found is not None
        assert found.payload == b"5"
        it.upgraded = True
        await line.text(b"4late")
        while (found := await line.frame()) is not None and found.opcode != CLOSE:
            it.got.append(found.payload.decode() if found.opcode == 1 else found.payload)

    async with desk(websocket) as (it, one):
        session = await one.open()
        told: list[str] = []
        session.on("upgrade", lambda transport: told.append(transport.name))
        session.send(message("1"))
        await until(lambda: it.got == ["41"], "the first message")
        await until(lambda: not session.transport.writable() or it.probes, "the probe")
        await until(lambda: session.upgrading is not None and session.transport._pausing, "the pause")  # type: ignore[attr-defined]
        session.send(message("2"))
        session.send(Message(b"451-[]", [b"\x00\xff"]))
        it.outgoing.append(b"4early")
        release.set()
        await until(lambda: len(it.got) == 4, "the messages")
        assert it.got == ["41", "42", "451-[]", b"\x00\xff"]
        await until(lambda: len(one.ear.messages) == 2, "the server's messages")
        assert one.ear.messages == ["early", "late"]
        assert (session.transport.name, told, one.ear.upgrades) == ("websocket", ["websocket"], 1)
        assert session.upgrading is None


async def refused(it: Desk, line: Line) -> None:
    """The connection ends before the probe's answer."""


async def wrong_answer(it: Desk, line: Line) -> None:
    await line.frame()
    await line.text(b"3prob")
    await line.gone()


async def binary_answer(it: Desk, line: Line) -> None:
    await line.frame()
    await line.binary(b"3probe")
    await line.gone()


async def lost_behind_the_answer(it: Desk, line: Line) -> None:
    """While the last poll is being waited for."""
    await answer_probe(line)


async def closed_behind_the_answer(it: Desk, line: Line) -> None:
    await answer_probe(line)
    await line.write(b"\x88\x00")
    await line.gone()


async def too_much(it: Desk, line: Line) -> None:
    await answer_probe(line)
    for _ in range(1000):
        await line.text(b"4not yet")
    await line.gone()


async def masked(it: Desk, line: Line) -> None:
    await answer_probe(line)
    await line.write(b"\x81\x86\x00\x00\x00\x003probe")
    await line.gone()


@pytest.mark.parametrize(
    "broken",
    [
        refused,
        wrong_answer,
        binary_answer,
        lost_behind_the_answer,
        closed_behind_the_answer,
        too_much,
        masked,
    ],
)
async def test_what_breaks_before_the_upgrade_packet_leaves_the_session_on_polling(
    broken: Callable[[Desk, Line], Awaitable[None]],
) -> None:
    async with desk(broken) as (it, one):
        session = await one.open()
        errors: list[Exception] = []
        session.on("upgrade_error", errors.append)
        session.send(message("before"))
        await until(lambda: errors, "the failure")
        assert session.upgrading is None
        await both_ways(it, session, one.ear, "after")
        await both_ways(it, session, one.ear, "and again")
        assert it.got == ["4before", "4after", "4and again"]
        assert one.ear.messages == ["after", "and again"]
        assert (session.transport.name, one.ear.closed) == ("polling", [])
        assert len(errors) == 1
        # One poll at a time: two would end the session at a real server.
        await until(lambda: it.polls == 3, "the poll after that")


async def test_a_probe_that_nobody_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade_client, "UPGRADE_TIMEOUT", 0.05)

    async def silent(it: Desk, line: Line) -> None:
        await line.gone()

    async with desk(silent) as (it, one):
        session = await one.open()
        errors: list[Exception] = []
        session.on("upgrade_error", errors.append)
        await until(lambda: errors, "the failure")
        assert "no answer to the probe" in str(errors[0])
        await both_ways(it, session, one.ear, "after")


async def test_a_connection_lost_right_behind_the_upgrade_packet_ends_the_session() -> None:
    """Nobody can tell what the server has got: the session is over, and nothing is sent twice."""

    async def cut(it: Desk, line: Line) -> None:
        await answer_probe(line)
        it.say(b"6")
        await line.frame()

    async with desk(cut) as (it, one):
        await one.open()
        assert (await one.ear.end())[0] == "transport close"
        assert it.got == []


async def test_closing_before_the_probes_answer_closes_by_polling() -> None:
    async def silent(it: Desk, line: Line) -> None:
        await line.gone()

    async with desk(silent) as (it, one):
        session = await one.open()
        await until(lambda: it.probes, "the probe")
        session.send(message("last"))
        session.close()
        assert (await one.ear.end())[0] == "forced close"
        assert it.got == ["4last", "1"]


async def test_closing_while_polling_rests_closes_by_the_websocket() -> None:
    frames: list[bytes] = []

    async def websocket(it: Desk, line: Line) -> None:
        await answer_probe(line)
        while (found := await line.frame()) is not None:
            frames.append(found.payload)
            if found.opcode == CLOSE:
                await line.write(b"\x88\x00")
                return

    async with desk(websocket) as (it, one):
        session = await one.open()
        await until(lambda: session.transport._pausing, "the pause")  # type: ignore[attr-defined]
        session.send(message("last"))
        session.close()
        assert one.ear.closed == []
        it.say(b"6")
        assert (await one.ear.end())[0] == "forced close"
        await until(lambda: len(frames) == 3, "the close frame")
        assert frames == [b"5", b"4last", b""]
        assert it.got == []


async def test_closing_while_polling_rests_and_the_websocket_is_lost() -> None:
    cut = asyncio.Event()

    async def websocket(it: Desk, line: Line) -> None:
        await answer_probe(line)
        await cut.wait()

    async with desk(websocket) as (it, one):
        session = await one.open()
        await until(lambda: session.transport._pausing, "the pause")  # type: ignore[attr-defined]
        session.send(message("last"))
        session.close()
        cut.set()
        assert (await one.ear.end())[0] == "forced close"
        assert it.got == ["4last", "1"]


async def test_the_end_of_the_session_ends_the_probe() -> None:
    gone = asyncio.Event()

    async def silent(it: Desk, line: Line) -> None:
        await line.gone()
        gone.set()

    async with desk(silent) as (it, one):
        await one.open()
        await until(lambda: it.probes, "the probe")
        it.say(b"1")
        assert await one.ear.end() == ("transport close", "closed by the server")
        async with asyncio.timeout(5):
            await gone.wait()


# --- against our own server, at any moment, with the WebSocket cut anywhere ------------------------


class Relay:
    """Passes bytes on to a server, and cuts WebSockets after so many of them."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.cut: tuple[str, int] | None = None

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await self._pass(reader, writer)
            tasks.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield
        server.close()
        for task in tuple(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tuple(tasks))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        first = await reader.read(65_536)
        websocket = b"upgrade: websocket" in first.lower()
        back.write(first)

        async def one_way(name: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            left = self.cut[1] if websocket and self.cut and self.cut[0] == name else None
            while data := await source.read(65_536):
                if left is not None and len(data) >= left:
                    sink.write(data[:left])
                    return
                left = None if left is None else left - len(data)
                sink.write(data)

        ways = [
            asyncio.ensure_future(one_way("up", reader, back)),
            asyncio.ensure_future(one_way("down", there, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            back.close()


def prefix(part: list[Any], whole: list[Any]) -> bool:
    return part == whole[: len(part)]


CUTS = st.none() | st.tuples(st.sampled_from(["up", "down"]), st.integers(0, 260))
STEPS = st.lists(st.tuples(st.sampled_from(["up", "down", "up binary"]), st.integers(0, 25)), max_size=40)


async def exchange(
    server: Server, port: int, cut: tuple[str, int] | None, steps: list[tuple[str, int]]
) -> None:
    """Send in both directions at every moment of an upgrade that is cut somewhere, or not at all."""
    got: list[Any] = []
    peers: list[Any] = []

    def welcome(socket: Any) -> None:
        peers.append(socket)
        socket.on("up", got.append)

    namespace = server.of("/exchange")
    namespace.on("connection", welcome)
    try:
        await _exchange(port, cut, steps, got, peers)
    finally:
        namespace.off("connection", welcome)


async def _exchange(
    port: int, cut: tuple[str, int] | None, steps: list[tuple[str, int]], got: list[Any], peers: list[Any]
) -> None:
    relay = Relay(port)
    relay.cut = cut
    sent: dict[str, list[Any]] = {"up": [], "down": []}
    async with relay.run(), opener(f"http://127.0.0.1:{relay.port}") as one:
        session = await one.open()
        session.send(Message(b"40/exchange,"))
        ear = one.ear
        await until(lambda: (ear.messages and peers) or ear.closed, "the namespace")
        for at, (way, turns) in enumerate(steps if peers else ()):
            if way == "down":
                peers[0].emit("down", at)
                sent["down"].append(f'2/exchange,["down",{at}]')
            elif way == "up":
                session.send(Message(f'42/exchange,["up",{at}]'.encode()))
                sent["up"].append(at)
            else:
                data = bytes([at])
                text = b'451-/exchange,["up",{"_placeholder":true,"num":0}]'
                session.send(Message(text, [data]))
                sent["up"].append(data)
            for _ in range(turns):
                await asyncio.sleep(0)
        await until(
            lambda: ear.closed or (len(got) >= len(sent["up"]) and len(ear.messages) > len(sent["down"])),
            "all",
        )
        await until(lambda: ear.closed or session.upgrading is None, "the end of the upgrade")
        assert prefix(got, sent["up"]), (got, sent)
        assert prefix(ear.messages[1:], sent["down"]), (ear.messages, sent)
        if not ear.closed:
            assert got == sent["up"]
            assert ear.messages[1:] == sent["down"]
        if cut is None:
            assert session.transport.name == "websocket"
            assert not ear.closed


def test_messages_of_any_moment_arrive_once_and_in_order() -> None:
    """As long as the session lasts all arrive; where the cut ends it, what has arrived is the beginning."""
    with asyncio.Runner() as runner:
        server = Server()
        stack = contextlib.AsyncExitStack()
        port = runner.run(stack.enter_async_context(serving(server)))

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(CUTS, STEPS)
        def hold(cut: tuple[str, int] | None, steps: list[tuple[str, int]]) -> None:
            runner.run(exchange(server, port, cut, steps))

        try:
            hold()
        finally:
            runner.run(stack.aclose())
