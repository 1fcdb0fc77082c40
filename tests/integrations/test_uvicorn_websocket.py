"""uvicorn's WebSocket protocol with the short way: what comes early, what goes early, what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from socketeer import Server
from socketeer.engine.carriers.lane import BUILT
from socketeer.engine.server import EngineServer
from socketeer.integrations.uvicorn_websocket import WebSocketProtocol
from tests.integrations.test_uvicorn_http import end, upgrade
from tests.support.peers import WebSocket
from tests.support.raw import Wire, frame
from tests.support.serving import serving

CARRIERS = ["lane", "picows"] if BUILT else ["picows"]


@pytest.fixture(autouse=True, params=CARRIERS)
def carrier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SOCKETEER_CARRIER", request.param)
    name: str = request.param
    return name


@pytest.mark.parametrize("http", [None, HttpToolsProtocol])
async def test_behind_our_http_protocol_and_uvicorns(http: Any) -> None:
    """`--ws` alone serves, too."""
    async with serving(Server(), **({} if http is None else {"http": http})) as port:
        peer = await WebSocket.open(port)
        await peer.connect()
        await peer.bye()


async def slow(request: Any) -> bool:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return True


@pytest.mark.parametrize("allow", [None, slow])
@pytest.mark.parametrize("at", [10, 60, -12, -6])
async def test_a_handshake_in_two_pieces_with_frames_behind_it(at: int, allow: Any) -> None:
    data = upgrade() + frame(b"40") + frame(b"40/x,")
    async with serving(Server(allow_request=allow)) as port:
        wire = await Wire.open(port)
        wire.transport.write(data[:at])
        for _ in range(3):
            await asyncio.sleep(0)
        wire.transport.write(data[at:])
        assert (await wire.response()).status == 101
        assert (await wire.frame()).payload.startswith(b"0{")
        assert (await wire.frame()).payload.startswith(b"40{")
        assert (await wire.frame()).payload.startswith(b"44/x,")
        wire.close()


async def test_who_goes_before_the_answer_is_no_session() -> None:
    asked = asyncio.Event()
    answer = asyncio.Event()

    async def allow(request: Any) -> bool:
        asked.set()
        await answer.wait()
        return True

    io = Server(allow_request=allow)
    async with serving(io) as port:
        wire = await Wire.open(port)
        await wire.send(upgrade())
        await asked.wait()
        wire.reset()
        await wire.lost.wait()
        await asyncio.sleep(0.05)
        answer.set()
        other = await WebSocket.open(port)
        await other.connect()
        assert len(io.engine.sessions) == 1
        await other.bye()


async def test_the_end_of_the_server_refuses_who_has_no_answer_yet() -> None:
    asked = asyncio.Event()

    async def allow(request: Any) -> bool:
        asked.set()
        await asyncio.get_running_loop().create_future()
        return True

    async with serving(Server(allow_request=allow)) as port:
        wire = await Wire.open(port, deadline=10)
        await wire.send(upgrade())
        await asked.wait()
    await end(wire)
    assert bytes(wire.received).startswith(b"HTTP/1.1 500 ")


async def test_offers_that_are_not_acceptable() -> None:
    async with serving(Server(per_message_deflate=True)) as port:
        wire = await Wire.open(port, deadline=10)
        await wire.send(upgrade("", b"Sec-WebSocket-Extensions: permessage-deflate; x=1"))
        response = await wire.response()
        assert (response.status, response.body) == (
            400,
            b"Invalid or unacceptable Sec-WebSocket-Extensions header",
        )


async def test_a_session_that_cannot_begin_ends_its_connection(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("no")

    monkeypatch.setattr(EngineServer, "open_websocket", broken)
    async with serving(Server()) as port:
        wire = await Wire.open(port, deadline=10)
        await wire.send(upgrade())
        await end(wire)
    assert "a WebSocket handshake has failed" in caplog.text


def test_it_is_uvicorns() -> None:
    config = uvicorn.Config("x:y", ws=WebSocketProtocol)
    assert config.ws is WebSocketProtocol
