"""A connection of uvicorn's becomes a WebSocket of ours: the answer, and uvicorn's count of connections."""

from __future__ import annotations

import pytest

from socketeer import Server
from socketeer.engine.carriers.lane import BUILT
from tests.integrations.test_uvicorn_http import upgrade
from tests.support.peers import WebSocket
from tests.support.raw import CLOSE, Wire
from tests.support.serving import serving


@pytest.mark.parametrize("carrier", ["lane", "picows"] if BUILT else ["picows"])
@pytest.mark.parametrize("deflate", [False, True])
async def test_each_is_told_of_the_end(carrier: str, deflate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKETEER_CARRIER", carrier)
    reasons: list[str] = []
    io = Server(per_message_deflate=deflate)
    io.on("connection", lambda socket: socket.on("disconnect", reasons.append))
    lines = [b"Sec-WebSocket-Extensions: permessage-deflate", b"Sec-WebSocket-Protocol: one, two"]
    async with serving(io) as port:
        peer = await WebSocket.open(port)
        await peer.connect()
        wire = await Wire.open(port, deadline=10)
        await wire.send(upgrade("", *lines))
        response = await wire.response()
        assert response.status == 101
        assert response.header("sec-websocket-protocol") == "one"
        assert (response.header("sec-websocket-extensions") is not None) is deflate
        assert (await wire.frame()).payload.startswith(b"0{")
    assert reasons == ["server shutting down"]
    while (await wire.frame()).opcode != CLOSE:
        pass
