"""Entries 1 to 15: the handshake."""

from __future__ import annotations

import json

import pytest

from tests.hostile.arena import Arena
from tests.support.peers import WebSocket
from tests.support.raw import (
    CLOSE,
    POLLING,
    WEBSOCKET,
    ConnectionEnded,
    Headers,
    Response,
    Wire,
    fetch,
    request,
)

pytestmark = pytest.mark.asyncio(loop_scope="package")

BASE = "/socket.io/?EIO=4"
UNKNOWN = "A" * 20
MESSAGES = (
    "Transport unknown",
    "Session ID unknown",
    "Bad handshake method",
    "Bad request",
    "Forbidden",
    "Unsupported protocol version",
)


def refused(response: Response, code: int) -> None:
    """The official server's answer to a refused request."""
    assert response.status == (403 if code == 4 else 400), response
    assert (response.header("content-type") or "").startswith("application/json"), response
    assert json.loads(response.body) == {"code": code, "message": MESSAGES[code]}


async def no_websocket(arena: Arena, target: str, status: int = 400, *, headers: Headers = ()) -> Response:
    """The upgrade is refused with this status, and the connection ended."""
    wire, response = await WebSocket.shake(arena.port, target, headers=headers)
    assert response.status == status, response
    assert await wire.rest() == b""
    wire.close()
    return response


async def turned_away(arena: Arena, target: str) -> None:
    """A second WebSocket for a session is refused: before the upgrade, or by a close frame and not one packet."""
    wire, response = await WebSocket.shake(arena.port, target)
    if response.status == 101:
        assert (await wire.frame()).opcode == CLOSE
    else:
        assert response.status == 400
    wire.close()


async def cut_short(wire: Wire) -> int:
    """The status of the answer to something far too long; 0 when the connection was ended instead."""
    try:
        return (await wire.response()).status
    except ConnectionEnded:
        return 0
    finally:
        wire.close()


TRANSPORTS = {
    "foo": "&transport=foo",
    "missing": "",
    "empty": "&transport=",
    "polling twice": "&transport=polling&transport=polling",
    "polling and websocket": "&transport=polling&transport=websocket",
    "__proto__": "&transport=__proto__",
    "constructor": "&transport=constructor",
    "webtransport": "&transport=webtransport",
    "capitals": "&transport=Polling",
}


@pytest.mark.parametrize("query", TRANSPORTS.values(), ids=TRANSPORTS)
async def test_transport(arena: Arena, query: str) -> None:
    """Entry 1: an unknown, missing or repeated transport."""
    refused(await fetch(arena.port, target=BASE + query), 0)


@pytest.mark.parametrize("query", TRANSPORTS.values(), ids=TRANSPORTS)
async def test_transport_of_a_websocket_request(arena: Arena, query: str) -> None:
    """Entry 1: the same with the headers of a WebSocket upgrade."""
    response = await no_websocket(arena, BASE + query)
    assert MESSAGES[0] in response.text


PROTOCOLS = {
    "3": "?EIO=3",
    "abc": "?EIO=abc",
    "missing": "?",
    "empty": "?EIO=",
    "4 twice": "?EIO=4&EIO=4",
    "4 and 3": "?EIO=4&EIO=3",
    "04": "?EIO=04",
    "Arabic 4": "?EIO=%D9%A4",
}


@pytest.mark.parametrize("query", PROTOCOLS.values(), ids=PROTOCOLS)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_protocol_version(arena: Arena, query: str, transport: str) -> None:
    """Entry 2: another, missing or repeated protocol version."""
    target = f"/socket.io/{query}&transport={transport}"
    if transport == "polling":
        refused(await fetch(arena.port, target=target), 5)
    else:
        assert MESSAGES[5] in (await no_websocket(arena, target)).text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_handshake_by_method(arena: Arena, method: str) -> None:
    """Entry 3: a handshake is GET."""
    refused(await fetch(arena.port, method, body=b"" if method == "POST" else None), 2)


async def test_handshake_by_head(arena: Arena) -> None:
    """Entry 3: HEAD is refused too; its answer has no body."""
    assert (await fetch(arena.port, "HEAD")).status == 400


SIDS = {
    "unknown": UNKNOWN,
    "empty": "",
    "NUL": "%00",
    "not ASCII": "%C3%A9",
    "not UTF-8": "%FF%FE",
    "script": "%3Cscript%3Ealert(1)%3C/script%3E",
    "__proto__": "__proto__",
    "path": "..%2F..%2Fetc",
    "newline": "a%0D%0AX-Evil:%201",
}


@pytest.mark.parametrize("sid", SIDS.values(), ids=SIDS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_sid(arena: Arena, sid: str, method: str) -> None:
    """Entry 4: a session id that nobody has; the answer does not repeat it."""
    response = await fetch(
        arena.port, method, f"{POLLING}&sid={sid}", body=b"3" if method == "POST" else None
    )
    refused(response, 1)
    assert b"script" not in response.body
    assert response.header("x-evil") is None


@pytest.mark.parametrize(
    "sid", [UNKNOWN, "%00", "%FF", "__proto__"], ids=["unknown", "NUL", "not UTF-8", "__proto__"]
)
async def test_sid_of_a_websocket_request(arena: Arena, sid: str) -> None:
    """Entry 4: the same for the probe of an upgrade."""
    assert MESSAGES[1] in (await no_websocket(arena, f"{WEBSOCKET}&sid={sid}")).text


async def test_sid_of_a_megabyte(arena: Arena) -> None:
    """Entry 4: refused by the server's limit on the request line, or as unknown."""
    wire = await Wire.open(arena.port)
    await wire.send(request("GET", f"{POLLING}&sid={'A' * 1_000_000}", arena.port))
    assert await cut_short(wire) in (0, 400, 414, 431)


async def test_sid_of_raw_bytes(arena: Arena) -> None:
    """Entry 4: bytes that have no place in a request line."""
    arena.lines_allowed = 3  # requests
    for sid in ("\xe9\xff", "\x00", "\x7f"):
        wire = await Wire.open(arena.port)
        await wire.send(request("GET", f"{POLLING}&sid={sid}", arena.port))
        assert await cut_short(wire) in (0, 400)


async def test_sid_twice(arena: Arena) -> None:
    """Entry 5: the request is refused; the session lives on."""
    peer = await arena.polling()
    response = await fetch(arena.port, "POST", f"{peer.target}&sid={UNKNOWN}", body=b"3")
    assert response.status == 400
    response = await fetch(arena.port, "POST", f"{POLLING}&sid={UNKNOWN}&sid={peer.sid}", body=b"3")
    assert response.status == 400
    assert await peer.echo(5) == [5]


async def test_sid_in_the_body(arena: Arena) -> None:
    """Entry 5: a session id in a POST body is not one."""
    peer = await arena.polling()
    refused(await fetch(arena.port, "POST", body=f"sid={peer.sid}".encode()), 2)
    assert await peer.echo(5) == [5]


async def test_websocket_without_upgrade(arena: Arena) -> None:
    """Entry 6: the transport says websocket, the request does not."""
    refused(await fetch(arena.port, target=WEBSOCKET), 3)


UPGRADES = {
    "to h2c": [("Upgrade", "h2c")],
    "empty key": [("Sec-WebSocket-Key", "")],
    "key too short": [("Sec-WebSocket-Key", "AAAA")],
    "key not base64": [("Sec-WebSocket-Key", "*" * 24)],
    "version 99": [("Sec-WebSocket-Version", "99")],
    "empty version": [("Sec-WebSocket-Version", "")],
}


@pytest.mark.parametrize("headers", UPGRADES.values(), ids=UPGRADES)
async def test_half_an_upgrade(arena: Arena, headers: Headers) -> None:
    """Entry 6: an upgrade that is none is refused (426 names the version that we speak)."""
    wire, response = await WebSocket.shake(arena.port, headers=headers)
    assert response.status in (400, 426), response
    wire.close()


async def test_upgrade_with_polling(arena: Arena) -> None:
    """Entry 6: refused; the official server accepts the WebSocket and closes it at once, which is as good."""
    await turned_away(arena, POLLING)
    assert arena.sessions == 0


async def test_poll_of_a_websocket_session(arena: Arena) -> None:
    """Entry 7: GET and POST for a session that is on WebSocket."""
    peer = await arena.websocket()
    refused(await fetch(arena.port, target=f"{POLLING}&sid={peer.sid}"), 3)
    refused(await fetch(arena.port, "POST", f"{POLLING}&sid={peer.sid}", body=b'42["echo"]'), 3)
    assert await peer.echo(7) == [7]
    assert arena.record.named("echo") == [("echo", 7)]


async def test_poll_of_an_upgraded_session(arena: Arena) -> None:
    """Entry 7: the same after an upgrade."""
    peer = await arena.polling()
    probe = await arena.probe(peer)
    await probe.send("2probe")
    assert await probe.packet() == "3probe"
    await probe.send("5")
    assert await probe.echo(7) == [7]
    refused(await peer.get(), 3)
    refused(await peer.post("3"), 3)
    assert await probe.echo(8) == [8]


async def test_websocket_for_a_websocket_session(arena: Arena) -> None:
    """Entry 7: a session that is on WebSocket takes no second one."""
    peer = await arena.websocket()
    await turned_away(arena, f"{WEBSOCKET}&sid={peer.sid}")
    assert await peer.echo(7) == [7]


async def test_websocket_for_an_upgraded_session(arena: Arena) -> None:
    """Entry 7: a second upgrade is refused."""
    peer = await arena.polling()
    probe = await arena.probe(peer)
    await probe.send("2probe")
    assert await probe.packet() == "3probe"
    await probe.send("5")
    assert await probe.echo(7) == [7]
    await turned_away(arena, f"{WEBSOCKET}&sid={peer.sid}")
    assert await probe.echo(8) == [8]


async def test_other_protocol_for_a_session(arena: Arena) -> None:
    """Entry 7: the session's requests keep its protocol version."""
    peer = await arena.polling()
    refused(await fetch(arena.port, target=f"/socket.io/?EIO=3&transport=polling&sid={peer.sid}"), 3)
    assert await peer.echo(7) == [7]


async def test_websocket_with_one_long_header(arena: Arena) -> None:
    """A line that HTTP's parser takes and the one behind it does not: answered at once."""
    arena.lines_allowed = 2  # requests
    for size in (9_000, 50_000):
        await no_websocket(arena, WEBSOCKET, 431, headers=[("X-Long", "a" * size)])


async def test_websocket_with_many_headers(arena: Arena) -> None:
    """More headers than the second parser takes."""
    await no_websocket(arena, WEBSOCKET, 431, headers=[(f"X-{n}", "a") for n in range(200)])


async def test_websocket_with_a_long_target(arena: Arena) -> None:
    """The same for the request line."""
    await no_websocket(arena, f"{WEBSOCKET}&long={'a' * 9_000}", 414)


async def test_websocket_with_a_body(arena: Arena) -> None:
    """The second parser takes none, and has no answer of its own."""
    await no_websocket(arena, WEBSOCKET, 400, headers=[("Content-Length", "5")])
