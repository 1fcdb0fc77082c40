"""The carrier on plain ASGI: the contract under a real server, and what servers may do to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from socketeer.engine.carriers import asgi
from socketeer.engine.carriers.asgi import AsgiCarrier, Event
from socketeer.options import Backpressure
from socketeer.protocol.frame import Message
from tests.engine.carriers.contract import CASES, run
from tests.engine.carriers.line import Audience, Line, Settings
from tests.engine.carriers.loops import LOOPS
from tests.engine.fakes import DEADLINE, settle
from tests.support.peers import WebSocket


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Line]:
    """A client of uvicorn's own WebSocket protocol, whose application is the carrier."""
    loop = asyncio.get_running_loop()
    audience = Audience()
    ready: asyncio.Future[AsgiCarrier] = loop.create_future()
    gone = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        carrier = AsgiCarrier(receive, send, settings.max_size, settings.backpressure)
        carrier.receiver = audience
        ready.set_result(carrier)
        try:
            await carrier.run()
        finally:
            gone.set()

    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        log_config=None,
        lifespan="off",
    )
    config.load()
    protocol = cast(Any, config.http_protocol_class)
    state = ServerState()
    server = await loop.create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        port = server.sockets[0].getsockname()[1]
        wire, response = await WebSocket.shake(port, receive_buffer=settings.receive_buffer)
        assert response.status == 101
        try:
            carrier = await asyncio.wait_for(ready, DEADLINE)
            yield Line(wire, carrier, audience, lambda: asyncio.wait_for(gone.wait(), DEADLINE))
        finally:
            if not wire.transport.is_closing():
                wire.reset()
            await asyncio.wait_for(gone.wait(), DEADLINE)
            while state.tasks:
                await asyncio.wait(state.tasks, timeout=DEADLINE)
    finally:
        server.close()
        await asyncio.wait_for(server.wait_closed(), DEADLINE)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, loop: str) -> None:
    run(name, opened, LOOPS[loop])


# --- what servers may do ---------------------------------------------------------------------------


class Server:
    """An ASGI server that does as it is told, and the application that it runs."""

    def __init__(self, **options: Any) -> None:
        self.incoming: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self.sent: list[Event] = []
        self.taking = asyncio.Event()
        self.taking.set()
        self.failure: Exception | None = None
        self.audience = Audience()
        marks = Backpressure(**options)
        self.carrier = AsgiCarrier(self._receive, self._send, 1000, marks)
        self.carrier.receiver = self.audience
        self.application = asyncio.create_task(self.carrier.run())

    async def _receive(self) -> Event:
        event = await self.incoming.get()
        if isinstance(event, Exception):
            raise event
        return event

    async def _send(self, event: Event) -> None:
        await self.taking.wait()
        if self.failure is not None:
            raise self.failure
        self.sent.append(event)

    async def ends(self) -> None:
        """The application returns, and leaves nothing running."""
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait((self.application,))
        await settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_text_and_binary_in_either_spelling() -> None:
    server = Server()
    for event in (
        {"type": "websocket.receive", "text": "4h\u00e9"},
        {"type": "websocket.receive", "text": "", "bytes": None},
        {"type": "websocket.receive", "text": None, "bytes": b"\x01"},
        {"type": "websocket.receive", "bytes": b""},
    ):
        server.incoming.put_nowait(event)
    await server.audience.hears("4h\u00e9", "", b"\x01", b"")
    server.carrier.close()
    await server.ends()


async def test_what_is_sent_goes_out_in_order_one_after_another() -> None:
    server = Server()
    server.carrier.send(Message(b"451-[]", [b"\x01"]))
    server.carrier.send(Message("4\u00e9".encode()))
    await settle()
    assert server.sent == [
        {"type": "websocket.send", "text": "451-[]"},
        {"type": "websocket.send", "bytes": b"\x01"},
        {"type": "websocket.send", "text": "4\u00e9"},
    ]
    server.carrier.close()
    await server.ends()
    assert server.sent[3:] == [{"type": "websocket.close", "code": 1000}]


async def test_an_idle_carrier_has_no_writer() -> None:
    server = Server()
    await settle()
    tasks = asyncio.all_tasks()
    server.carrier.send(Message(b"4hello"))
    await settle()
    assert asyncio.all_tasks() == tasks
    server.carrier.close()
    await server.ends()


async def test_bytes_are_counted_until_the_server_takes_them() -> None:
    server = Server(high_water=8, low_water=4, max_bytes=100)
    server.taking.clear()
    for _ in range(4):
        server.carrier.send(Message("\u20ac".encode()))
    waiting = asyncio.create_task(server.carrier.drained())
    await settle()
    assert (server.carrier.held(), server.carrier.writable(), waiting.done()) == (12, False, False)
    server.taking.set()
    await asyncio.wait_for(waiting, DEADLINE)
    await settle()
    assert (server.carrier.held(), server.carrier.writable()) == (0, True)
    # Again and again: what was counted in is counted out.
    for _ in range(100):
        server.carrier.send(Message("\u20ac".encode(), [b"12"]))
        await settle()
        assert server.carrier.held() == 0
    server.carrier.close()
    await server.ends()


async def test_up_to_the_most_bytes_a_client_is_kept() -> None:
    server = Server(high_water=8, low_water=4, max_bytes=100)
    server.taking.clear()
    server.carrier.send(Message(b"4" * 100))
    assert server.audience.lost == []
    server.carrier.send(Message(b"4"))
    assert server.audience.reasons == ["transport error"]
    assert server.carrier.held() == 0
    server.taking.set()
    await server.ends()
    assert server.sent == [{"type": "websocket.close", "code": 1000}]


async def test_a_server_whose_send_fails_has_lost_its_client() -> None:
    server = Server()
    server.failure = RuntimeError("whatever it likes")
    server.carrier.send(Message(b"4hello"))
    server.carrier.send(Message(b"4hello"))
    await server.ends()
    assert server.audience.lost == [("transport error", "send failed")]
    assert (server.carrier.held(), server.sent) == (0, [])


async def test_a_server_whose_receive_fails_has_lost_its_client() -> None:
    server = Server()
    server.incoming.put_nowait(RuntimeError("whatever it likes"))
    await server.ends()
    with pytest.raises(RuntimeError, match="whatever"):
        server.application.result()
    assert server.audience.lost == [("transport error", "connection lost")]


@pytest.mark.parametrize("blocked", [False, True])
async def test_a_server_that_cancels_its_application_has_lost_its_client(blocked: bool) -> None:
    server = Server(high_water=1, low_water=0)
    if blocked:
        server.taking.clear()
        server.carrier.send(Message(b"4hello"))
    await settle()
    server.application.cancel()
    await server.ends()
    assert server.application.cancelled()
    assert server.audience.lost == [("transport error", "connection lost")]
    await asyncio.wait_for(server.carrier.drained(), DEADLINE)


async def test_a_server_that_never_takes_the_close_frame_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi, "CLOSE_TIMEOUT", 0.01)
    server = Server()
    server.taking.clear()
    server.carrier.send(Message(b"4hello"))
    server.carrier.close()
    await server.ends()
    assert server.audience.lost == []


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006])
async def test_events_after_the_end_are_passed_over(code: int) -> None:
    server = Server()
    server.incoming.put_nowait({"type": "websocket.disconnect", "code": code})
    server.incoming.put_nowait({"type": "websocket.receive", "text": "4late"})
    await server.ends()
    assert server.audience.lost == [("transport close", "closed by the peer")]
    assert server.audience.heard == []
    server.carrier.send(Message(b"4late"))
    server.carrier.close()
    server.carrier.abort()
    await settle()
    assert server.sent == []


async def test_it_counts_bytes_and_not_characters() -> None:
    server = Server()
    server.incoming.put_nowait({"type": "websocket.receive", "text": "\u20ac" * 333})
    server.incoming.put_nowait({"type": "websocket.receive", "text": "\u20ac" * 334})
    await server.ends()
    assert server.audience.heard == ["\u20ac" * 333]
    assert server.audience.lost == [("transport error", "message above 1000 bytes (max_http_buffer_size)")]
    assert server.sent == [{"type": "websocket.close", "code": 1009}]
