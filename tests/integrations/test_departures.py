"""After everybody has left nothing of them is left, without a collection and ten times over: what a connection held."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from socketeer import Client, Server
from socketeer.engine.carriers.asgi import AsgiCarrier
from socketeer.engine.carriers.lane import BUILT
from socketeer.engine.carriers.picows_client import PicowsClientCarrier
from socketeer.engine.client_session import ClientSession
from socketeer.engine.http.message import Request
from socketeer.engine.session import Session
from socketeer.engine.transports.polling import PollingTransport
from socketeer.engine.transports.websocket import WebSocketTransport
from socketeer.integrations.handover import TakenOver
from socketeer.integrations.uvicorn_direct import DirectRequest
from socketeer.messaging.connection import Connection
from socketeer.server.handshake import Handshake
from socketeer.server.socket import Socket
from socketeer.testing.inprocess import WireClient, make_request
from tests.support.serving import serving

#: What a connection of a server's is made of: these, and no subclass that a client has.
PARTS: tuple[type, ...] = (
    *(Session, Socket, Handshake, Connection, Request, DirectRequest, PollingTransport, WebSocketTransport),
    *(TakenOver, AsgiCarrier),
)
if BUILT:
    from socketeer.integrations.handover import TakenOverLane

    PARTS = (*PARTS, TakenOverLane)
#: What clients have as well, which is a collection's, or goes with the next connection.
SHARED = (Connection, Request, WebSocketTransport)

DEADLINE = 20.0


def parts() -> Counter[str]:
    """What there is of connections: the servers', where one side cannot be told from the other."""
    return Counter(
        type(each).__name__
        for each in gc.get_objects()
        if type(each) in PARTS and not (type(each) in SHARED and is_clients(each))
    )


def is_clients(each: Any) -> bool:
    """Whether it is a client's."""
    if isinstance(each, Connection):
        return isinstance(each.session, ClientSession)
    if isinstance(each, WebSocketTransport):
        return isinstance(each.carrier, PicowsClientCarrier)
    return "sec-websocket-key" not in dict(each.raw_headers) and each.address == "127.0.0.1"


async def gone(before: Counter[str]) -> None:
    """Wait until there is no more than before: the loop has something to do still when a connection ends."""
    try:
        async with asyncio.timeout(DEADLINE):
            while parts() - before:  # noqa: ASYNC110 - nobody tells when an object is freed
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"left over: {parts() - before}") from None


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The collector does nothing by itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def listening(io: Server, form: str) -> None:
    """A server with handlers that know their socket."""

    async def late() -> None:
        await asyncio.sleep(0)

    if form == "namespace":
        io.event("echo", lambda socket, text: socket.emit("echo", text))
        return

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.join("everybody")

        @socket.on("echo")
        def echo(text: str) -> None:
            socket.emit("echo", text)

        @socket.on("leave")
        def leave() -> None:
            socket.disconnect(close=True)

        @socket.on("disconnect")
        async def disconnect(reason: str) -> None:
            await late()
            socket.data["reason"] = reason

        @socket.use
        def watched(args: Any) -> None:
            socket.data["last"] = args[0]

        socket.conn.on("close", lambda *_: socket.data.clear())


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("form", ["namespace", "socket"])
@pytest.mark.parametrize("end", ["client leaves", "line breaks", "server disconnects", "server closes"])
async def test_in_process(form: str, end: str) -> None:
    io = Server()
    listening(io, form)
    before = parts()
    for _ in range(10):
        client = WireClient(io)
        socket = client.connect()
        client.session.receive_text(b'42["echo","hello"]')
        if end == "client leaves":
            client.session.receive_text(b"41")
            client.vanish()
        elif end == "line breaks":
            client.vanish("transport error", "broken")
        elif end == "server disconnects":
            socket.disconnect(close=True)
        else:
            client.session.close()
        del client, socket
        await gone(before)
    gc.collect()
    assert parts() == before


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="-".join)
@pytest.mark.parametrize("carrier", ["lane", "picows"])
async def test_over_the_network(transports: Any, carrier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times a few clients; a connection of the server's is gone with its client, and the count does not grow."""
    if carrier == "lane" and not BUILT:
        pytest.skip("the native lane is not built")
    monkeypatch.setenv("SOCKETEER_CARRIER", carrier)
    io = Server()
    listening(io, "socket")
    async with serving(io) as port:
        before = parts()
        for _ in range(10):
            # A polling client that the server leaves has half a minute to fetch the news.
            for leaves in ("client", "server")[: 1 if transports == ["polling"] else 2]:
                async with asyncio.timeout(DEADLINE):
                    await come_and_go(f"http://127.0.0.1:{port}", transports, leaves)
            await gone(before)


async def come_and_go(url: str, transports: Any, leaves: str) -> None:
    """A client that connects, upgrades where it can, hears its echo, and goes."""
    heard = asyncio.Event()
    over = asyncio.Event()
    client = Client(url, transports=transports, reconnection=False)
    client.on("echo", lambda _: heard.set())
    client.on("disconnect", lambda *_: over.set())
    await client.connect()
    engine = client.io.engine
    assert engine is not None
    while engine.transport.name != transports[-1]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    client.emit("echo", "hello")
    await heard.wait()
    if leaves == "server":
        client.emit("leave")
        await over.wait()
    await client.disconnect()


async def test_what_a_user_keeps_still_answers() -> None:
    """The end leaves everything readable that there was to read."""
    io = Server()
    client = WireClient(io, make_request("&room=1", [("user-agent", "tester")]))
    socket = client.connect()
    client.vanish()
    assert socket.disconnected
    assert socket.conn.ready_state == "closed"
    assert socket.conn.transport.name == "websocket"
    assert not socket.conn.writable()
    assert not socket.conn.upgraded
    assert socket.handshake.query == {"EIO": "4", "transport": "websocket", "room": "1"}
    assert socket.handshake.headers == {"host": "localhost:3000", "user-agent": "tester"}
    assert socket.request is socket.conn.request
    await socket.emit("nobody", 1)
    socket.disconnect()
    socket.conn.close()
