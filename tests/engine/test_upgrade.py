"""Any order of what both sides may do around an upgrade: each message comes once, and in order.

The client is the official one, let loose: it polls when it has no poll, posts when it has no post, probes, and sends
its `5` once it has been answered and its poll and post are over. The server emits when it likes, and time passes.
"""

from __future__ import annotations

import asyncio
import base64

from hypothesis import given, settings
from hypothesis import strategies as st

from socketeer.engine.http.message import Response
from socketeer.protocol.frame import Message
from tests.engine.fakes import Desk, FakeCarrier, Packet, Poller, Upload, settle

STEPS = [
    "emit",
    "emit binary",
    "poll",
    "post",
    "begin post",
    "end post",
    "probe",
    "2probe",
    "5",
    "wait",
    "turn",
    "lose",
]


class Client:
    """One client, what it has sent and what it has got."""

    def __init__(self, desk: Desk, poller: Poller, patient: bool) -> None:
        self.desk = desk
        self.poller = poller
        self.patient = patient
        """Whether it lets its poll end before its `5`, as the official client does."""
        self.poll: asyncio.Task[Response] | None = None
        self.post: tuple[asyncio.Task[Response], Upload] | None = None
        self.probe: FakeCarrier | None = None
        self.upgraded = False
        self.emitted: list[Packet] = []
        self.polled: list[Packet] = []
        self.sent: list[bytes] = []

    async def do(self, step: str) -> None:
        match step:
            case "emit":
                self.emit()
            case "emit binary":
                self.emit(b"\x01" * (len(self.emitted) % 5))
            case "poll" if self.poll is None and not self.upgraded:
                self.poll = await self.poller.begin()
            case "post":
                await self.say()
            case "begin post" if self.post is None and not self.upgraded:
                upload = Upload()
                upload.put(self.next())
                self.post = asyncio.create_task(self.poller.post(upload)), upload
            case "end post":
                await self.end_post()
            case "probe" if self.probe is None:
                self.probe = await self.poller.probe()
            case "2probe" if self.probe is not None and not self.upgraded:
                self.probe.says("2probe")
            case "5":
                await self.upgrade()
            case "wait":
                self.desk.clock.advance(0.125)
            case "turn":
                await settle()
            case "lose" if self.probe is not None and not self.upgraded:
                self.probe.vanishes()
                self.probe = None
            case _:
                pass  # this client would not do that now
        self.read()

    def emit(self, *attachments: bytes) -> None:
        text = b"4%d" % len(self.emitted)
        self.emitted += [text.decode(), *attachments]
        self.poller.session.send(Message(text, list(attachments)))

    def next(self) -> bytes:
        self.sent.append(b"4%d" % len(self.sent))
        return self.sent[-1]

    async def say(self) -> None:
        if self.upgraded and self.probe is not None:
            self.probe.says(self.next().decode())
        elif self.post is None:
            assert (await self.poller.post(self.next() + b"\x1e" + self.next())).body == b"ok"

    async def end_post(self) -> None:
        if self.post is not None:
            posting, upload = self.post
            upload.end()
            assert (await posting).body == b"ok"
            self.post = None

    async def upgrade(self) -> None:
        if self.probe is None or self.upgraded or "3probe" not in self.probe.sent:
            return
        await self.end_post()
        if self.patient and self.poll is not None:
            self.desk.clock.advance(0.125)
            await settle()
            self.read()
            assert self.poll is None, "the server did not let the last poll end"
        self.upgraded = True
        self.probe.says("5")
        assert self.poller.session.transport.name == "websocket"

    def read(self) -> None:
        """Take what the poll was answered, if it was."""
        if self.poll is not None and self.poll.done():
            response = self.poll.result()
            assert response.status == 200
            packets = response.body.decode().split("\x1e")
            self.polled += [
                base64.b64decode(each[1:]) if each[:1] == "b" else each for each in packets if each != "6"
            ]
            assert "6" not in packets or len(packets) == 1
            self.poll = None

    async def finish(self) -> None:
        """Get everything that is still to come."""
        await self.end_post()
        await settle()
        self.read()
        if not self.upgraded:
            self.emit()
            await settle()
            self.read()
            if self.got != self.emitted:
                self.poll = await self.poller.begin()
                self.read()
        elif self.poll is not None:
            raise AssertionError("a poll was left without an answer")

    @property
    def got(self) -> list[Packet]:
        over = self.probe.sent if self.probe is not None else []
        return self.polled + [packet for packet in over if packet != "3probe"]


async def play(steps: list[str], patient: bool) -> None:
    desk = Desk()
    poller = await desk.polling()
    client = Client(desk, poller, patient)
    for step in steps:
        await client.do(step)
    await client.finish()
    assert client.got == client.emitted
    assert poller.listener.heard == client.sent
    assert poller.listener.upgrades == (["websocket"] if client.upgraded else [])
    assert poller.listener.closed == []
    assert poller.session.transport.held() == 0


#: A whole upgrade, with anything in between.
anything = st.lists(st.sampled_from(STEPS), max_size=6)
upgrades = st.tuples(
    anything, st.just(["probe"]), anything, st.just(["2probe"]), anything, st.just(["5"]), anything
).map(lambda parts: [step for part in parts for step in part])


@settings(max_examples=300)
@given(upgrades, st.booleans())
def test_messages_come_once_and_in_order_whenever_the_upgrade_comes(steps: list[str], patient: bool) -> None:
    asyncio.run(play(steps, patient))


@given(st.lists(st.sampled_from(STEPS), max_size=30), st.booleans())
def test_messages_come_once_and_in_order_whatever_happens(steps: list[str], patient: bool) -> None:
    asyncio.run(play(steps, patient))


async def test_the_client_of_these_tests_notices_what_is_lost() -> None:
    desk = Desk()
    client = Client(desk, await desk.polling(), patient=True)
    for step in ("emit", "probe", "2probe", "5", "emit binary"):
        await client.do(step)
    assert client.got == client.emitted == ["40", "41", b"\x01"]
    assert client.probe is not None
    client.probe.sent.remove("40")
    assert client.got != client.emitted
