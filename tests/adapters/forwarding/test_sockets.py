"""WebSockets that land on a node which does not own their session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.adapters.forwarding import sockets as sockets_module
from socketeer.adapters.forwarding.frames import Kind
from socketeer.adapters.forwarding.tunnel import WINDOW
from socketeer.engine.request import RequestRefused
from socketeer.options import Backpressure
from socketeer.protocol.frame import Message
from tests.adapters.forwarding.stage import Node, cluster, joined, until
from tests.engine.fakes import FakeCarrier, make_request

SMALL = Backpressure(high_water=1000, low_water=100, max_bytes=1_000_000)


def over(*nodes: Node) -> bool:
    return not any(node.tunnels for node in nodes)


async def test_an_upgrade_takes_the_session_over() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        poll = asyncio.create_task(poller.get(b))
        await until(lambda: a.tunnels)
        ws = await poller.upgrade(b)
        ws.says("2probe")
        await until(lambda: ws.sent == ["3probe"])
        assert (await poll).body == b"6"
        ws.says("5", '420["echo","\u00e9"]')
        await until(lambda: ws.sent[1:])
        assert ws.sent[1] == '430["\u00e9"]'
        a.io.emit("news", b"\x00\xff")
        await until(lambda: b"\x00\xff" in ws.sent)
        assert ws.sent[2] == '451-["news",{"_placeholder":true,"num":0}]'
        ws.says('451-["echo",{"_placeholder":true,"num":0}]', b"\x01")
        await until(lambda: a.heard[1:])
        assert a.heard[1:] == [b"\x01"]
        assert (a.tunnels, b.tunnels, poller.session.upgraded) == (1, 1, True)


async def test_messages_stay_in_order_and_those_of_one_turn_share_a_frame() -> None:
    async with cluster() as (a, b):
        ws = await (await joined(a)).upgraded(b)
        published = a.bus.health.published
        for number in range(1000):
            a.io.local.emit("n", number)
        await until(lambda: len(ws.sent) == 1000)
        assert ws.sent == [f'42["n",{number}]' for number in range(1000)]
        assert a.bus.health.published - published < 10
        ws.says(*[f'42["echo",{number}]' for number in range(1000)])
        await until(lambda: len(a.heard) == 1000)
        assert a.heard == list(range(1000))


async def test_large_messages_go_both_ways() -> None:
    async with cluster() as (a, b):
        ws = await (await joined(a)).upgraded(b)
        for _ in range(4):
            text, binary = "x" * 900_000, bytes(3 * WINDOW)
            a.io.local.emit("news", text, binary)
            await until(lambda: len(ws.sent) == 3)
            assert ws.sent[0] == f'451-["news","{text}",{{"_placeholder":true,"num":0}}]'
            assert ws.sent[2] == binary
            ws.sent.clear()
            ws.says(f'42["echo","{text}"]')
            await until(lambda: a.heard)
            assert a.heard.pop() == text


async def test_whether_to_compress_goes_with_a_message() -> None:
    async with cluster() as (a, b):
        ws = await (await joined(a)).upgraded(b)
        got: list[Message] = []
        ws.send = got.append  # type: ignore[method-assign,assignment]
        a.io.local.compress(False).emit("n", b"1")
        a.io.local.emit("n", b"2")
        await until(lambda: len(got) == 4)
        assert [each.compress for each in got] == [False, False, True, True]


@pytest.mark.parametrize("reason", ["transport close", "transport error"])
async def test_a_websocket_that_goes_ends_the_session_for_the_same_reason(reason: str) -> None:
    async with cluster() as (a, b):
        ws = await (await joined(a)).upgraded(b)
        ws.says('42["echo","last words"]')
        ws.vanishes(reason)
        await until(lambda: a.reasons)
        assert (a.reasons, a.heard, over(a, b)) == ([reason], ["last words"], True)


async def test_a_probe_that_goes_leaves_the_session_on_polling() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        ws = await poller.upgrade(b)
        ws.says("2probe")
        await until(lambda: ws.sent)
        ws.vanishes()
        await until(lambda: over(a, b))
        assert (await poller.post(b, b'42["echo",1]')).status == 200
        assert (a.heard, poller.session.upgrading) == ([1], None)


async def test_a_session_that_ends_closes_its_websocket_behind_what_it_has_sent() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        ws = await poller.upgraded(b)
        a.io.local.emit("last", "x" * 500_000)
        poller.session.close()
        await until(lambda: ws.closed)
        assert (len(ws.sent), ws.closed, over(a, b)) == (1, ["close"], True)


async def test_others_may_be_served_between_a_handshake_and_its_answer() -> None:
    async with cluster() as (a, b):
        poller, other = await joined(a), await joined(a)
        request = make_request(f"EIO=4&transport=websocket&sid={poller.sid}")
        joining, _ = await b.engine.admit(request)
        assert (await other.post(b, b'42["echo",1]')).status == 200
        ws = FakeCarrier()
        b.engine.open_websocket(request, joining, ws)
        ws.says("2probe")
        await until(lambda: ws.sent == ["3probe"])
        assert a.bus.health.rejected == 0


async def test_a_second_upgrade_is_closed() -> None:
    async with cluster(3) as (a, b, c):
        poller = await joined(a)
        first = await poller.upgraded(b)
        second = await poller.upgrade(c)
        await until(lambda: second.closed)
        assert first.closed == []


async def test_an_owner_that_allows_no_upgrade_refuses() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        poller.session.close(discard=True)
        with pytest.raises(RequestRefused) as caught:
            await poller.upgrade(b)
        assert (caught.value.code, caught.value.status) == (1, 400)
        assert over(a, b)


async def test_a_session_that_ends_between_question_and_answer() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        request = make_request(f"EIO=4&transport=websocket&sid={poller.sid}")
        joining, _ = await b.engine.admit(request)
        poller.session.close(discard=True)
        ws = FakeCarrier()
        b.engine.open_websocket(request, joining, ws)
        await until(lambda: ws.closed)
        assert over(a, b)


async def test_a_websocket_of_a_bus_that_went_meanwhile_is_closed() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        request = make_request(f"EIO=4&transport=websocket&sid={poller.sid}")
        joining, _ = await b.engine.admit(request)
        b.bus.health.away("of the test")
        ws = FakeCarrier()
        b.engine.open_websocket(request, joining, ws)
        assert ws.closed == ["close"]
        b.bus.health.up()


class Slow(FakeCarrier):
    """A client that reads when the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.read = asyncio.Event()

    def send(self, message: Message) -> None:
        super().send(message)
        if not self.read.is_set():
            self.bytes_held += message.size()

    async def drained(self) -> None:
        await self.read.wait()
        self.bytes_held = 0


async def slow(a: Node, b: Node) -> tuple[Any, Slow]:
    poller = await joined(a)
    request = make_request(f"EIO=4&transport=websocket&sid={poller.sid}")
    joining, _ = await b.engine.admit(request)
    ws = Slow()
    b.engine.open_websocket(request, joining, ws)
    ws.says("2probe", "5")
    await until(lambda: poller.session.transport.name == "websocket")
    return poller, ws


async def test_what_a_slow_client_does_not_read_waits_at_the_owner() -> None:
    async with cluster(backpressure=Backpressure(max_bytes=4_000_000)) as (a, b):
        poller, ws = await slow(a, b)
        sent = [f'42["n",{number},"{"x" * 10_000}"]' for number in range(300)]
        for number in range(300):
            a.io.local.emit("n", number, "x" * 10_000)
        assert not poller.session.writable()
        await until(lambda: ws.bytes_held > WINDOW)
        transport = poller.session.transport
        await until(lambda: transport.held() < 3_000_000)
        assert ws.bytes_held < 2 * WINDOW
        assert transport.held() > 2_000_000
        draining = asyncio.create_task(transport.drained())
        await asyncio.sleep(0)
        assert not draining.done()
        ws.read.set()
        await until(lambda: ws.sent[-1:] == sent[-1:])
        assert ws.sent[1:] == sent
        await draining
        assert poller.session.writable()


async def test_a_client_that_never_reads_is_let_go() -> None:
    async with cluster(backpressure=SMALL) as (a, b):
        _, ws = await slow(a, b)
        for _ in range(3):
            a.io.local.emit("n", "x" * 500_000)
        await until(lambda: a.reasons == ["transport error"])
        await until(lambda: ws.closed)
        assert over(a, b)


async def test_a_session_that_ends_does_not_wait_for_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets_module, "CLOSE_TIMEOUT", 0.05)
    async with cluster() as (a, b):
        poller, ws = await slow(a, b)
        a.io.local.emit("n", "x" * 900_000)
        a.io.local.emit("n", "x" * 900_000)
        poller.session.close()
        await until(lambda: ws.closed)
        assert (a.reasons, over(a, b)) == (["forced close"], True)


async def test_what_the_owner_does_not_take_waits_where_it_landed_and_not_without_bound() -> None:
    async with cluster(backpressure=SMALL) as (a, b):
        ws = await (await joined(a)).upgraded(b)
        assert b.io._forwarding is not None
        (peer,) = b.io._forwarding._peers
        (bridge,) = peer.tunnels.values()
        bridge.out._room = 0
        ws.says('42["echo","' + "x" * 500_000 + '"]')
        assert ws.closed == []
        ws.says('42["echo","' + "x" * 500_000 + '"]')
        assert ws.closed == ["abort"]
        await until(lambda: a.reasons == ["transport error"])


@pytest.mark.parametrize("kind", [Kind.RESPONSE, Kind.RELEASE])
async def test_a_frame_that_belongs_to_something_else_ends_it_and_is_counted(kind: Kind) -> None:
    async with cluster() as (a, b):
        ws = await (await joined(a)).upgraded(b)
        assert a.io._forwarding is not None
        (peer,) = a.io._forwarding._peers
        (carrier,) = peer.tunnels.values()
        carrier.tell(kind)
        await until(lambda: ws.closed and a.reasons)
        assert (b.bus.health.rejected, a.reasons) == (1, ["transport error"])


async def test_what_a_handler_does_not_survive_ends_its_websocket(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        ws = await poller.upgraded(b)

        def fail(data: bytes) -> None:
            raise LookupError("of the test")

        poller.session.transport.carrier.receiver = type(  # type: ignore[attr-defined]
            "Failing", (), {"receive_text": staticmethod(fail), "carrier_lost": poller.session.carrier_lost}
        )
        ws.says('42["echo",1]')
        await until(lambda: ws.closed)
        assert a.reasons == ["transport error"]
        assert "a message could not be handled" in caplog.text
