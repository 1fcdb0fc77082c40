"""Engine.IO 3, where it is allowed: counted payloads whose counts lie, JSONP, typed binary, queries of namespaces."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Self
from urllib.parse import quote

import pytest
import pytest_asyncio

from socketeer import Limits
from tests.hostile.arena import Arena, until
from tests.hostile.conftest import Arenas
from tests.hostile.test_handshake import refused
from tests.support.peers import WebSocket
from tests.support.raw import BINARY, CLOSE, Headers, Response, Wire, fetch, frame

pytestmark = pytest.mark.asyncio(loop_scope="package")

POLLING = "/socket.io/?EIO=3&transport=polling"
WEBSOCKET = "/socket.io/?EIO=3&transport=websocket"
OCTETS = [("Content-Type", "application/octet-stream")]
FORM = [("Content-Type", "application/x-www-form-urlencoded")]


@pytest_asyncio.fixture(loop_scope="package")
async def allowing(arenas: Arenas) -> AsyncIterator[Arena]:
    async with arenas(allow_eio3=True) as arena:
        yield arena


class Old:
    """A session of Engine.IO 3 on long-polling, by hand. Its namespace `/` is joined already."""

    def __init__(self, port: int, query: str, opened: Response) -> None:
        self.port = port
        self.opened = opened
        found = re.search(r'sid\\?":\\?"([\w-]{20})', opened.text)
        assert found is not None, opened
        self.sid = found[1]
        self.target = f"{POLLING}{query}&sid={self.sid}"
        self.headers = [("Referer", f"http://127.0.0.1:{port}/page")]

    @classmethod
    async def open(cls, port: int, query: str = "") -> Self:
        opened = await fetch(
            port, target=POLLING + query, headers=[("Referer", f"http://127.0.0.1:{port}/page")]
        )
        assert opened.status == 200, opened
        return cls(port, query, opened)

    async def get(self) -> Response:
        return await fetch(self.port, target=self.target, headers=self.headers)

    async def post(self, body: bytes, headers: Headers = ()) -> Response:
        return await fetch(self.port, "POST", self.target, headers=[*self.headers, *headers], body=body)

    async def until(self, part: str) -> None:
        """Poll until this has come."""
        while part not in (response := await self.get()).text:
            assert response.status == 200, response

    async def leave(self) -> None:
        assert (await self.post(b"1:1")).status == 200

    async def gone(self, arena: Arena) -> None:
        """The server has closed it, and told the namespace."""
        assert (await self.get()).code == 1
        await until(lambda: bool(arena.record.gone[self.sid]), "disconnect")
        assert arena.record.gone[self.sid] in (["parse error"], ["transport error"])
        assert arena.record.events == []


async def websocket(arena: Arena, query: str = "") -> Wire:
    wire, response = await WebSocket.shake(arena.port, WEBSOCKET + query)
    assert response.status == 101
    assert (await wire.frame()).payload.startswith(b"0{")
    assert (await wire.frame()).payload == b"40"
    return wire


async def closes(wire: Wire) -> None:
    """The server ends this WebSocket, and sends nothing else."""
    found = await wire.frame()
    assert (found.opcode, found.close_code) == (CLOSE, 1005)
    await wire.send(frame(found.payload, CLOSE))
    await wire.rest()


async def test_refused_unless_it_is_allowed(arena: Arena) -> None:
    """Entries 2 and 14: by default neither the version nor JSONP."""
    refused(await fetch(arena.port, target=POLLING), 5)
    refused(await fetch(arena.port, target=f"{POLLING}&j=0"), 3)
    _, response = await WebSocket.shake(arena.port, WEBSOCKET)
    assert response.status == 400


EVENT = b'42["count"]'

BODIES = {
    "nothing": b"",
    "no count": EVENT,
    "too short": b"12:" + EVENT,
    "too long": b"10:" + EVENT,
    "negative": b"-11:" + EVENT,
    "huge": b"9" * 15 + b":" + EVENT,
    "a million digits": b"1" * 900_000,
    "a million digits and a packet": b"0" * 900_000 + b"11:" + EVENT,
    "exponent": b"1.1e1:" + EVENT,
    "Unicode digits": "\u0661\u0661:".encode() + EVENT,
    "bytes instead of characters": '14:42["count","é"]'.encode(),
    "half a surrogate pair": '17:42["count","\U0001f600"]'.encode(),
    "no UTF-8": b'16:42["count","\xff"]',
    "lone surrogate": b'16:42["count","\xed\xa0\x80"]',
    "Engine.IO 4": EVENT + b"\x1e" + EVENT,
    "trailing": b"11:" + EVENT + b"1",
    "many, then a wrong one": (b"11:" + EVENT) * 100 + b"x",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_counts_that_lie(allowing: Arena, body: bytes) -> None:
    """Entries 25 to 28, in the older form: nothing is delivered, the session is closed."""
    old = await Old.open(allowing.port)
    assert (await old.post(body)).status == 400
    await old.gone(allowing)


BINARY_BODIES = {
    "nothing": b"",
    "no header": EVENT,
    "too short": b"\x00\x01\x02\xff" + EVENT,
    "no end of the length": b"\x00" * 900_000,
    "310 digits": b"\x00" + b"\x09" * 310 + b"\xff" + EVENT,
    "digits that are none": b"\x00\x0b\xff" + EVENT,
    "a third kind": b"\x02\x01\x01\xff" + EVENT,
    "no UTF-8": b"\x00\x02\xff4\xff",
    "binary of no type": b"\x01\x00\xff",
    "binary that is a ping": b"\x01\x01\xff\x02",
    "binary that is an event": b"\x01\x01\x01\xff" + EVENT,
}


@pytest.mark.parametrize("body", BINARY_BODIES.values(), ids=BINARY_BODIES)
async def test_binary_payloads_that_lie(allowing: Arena, body: bytes) -> None:
    old = await Old.open(allowing.port)
    assert (await old.post(body, OCTETS)).status in (200, 400)
    await old.gone(allowing)


@pytest.mark.parametrize("body", [b"1:6" * 300_000, b"0:" * 400_000], ids=["noops", "empty"])
async def test_very_many_packets(allowing: Arena, body: bytes) -> None:
    """Entry 27: packets of one body are counted."""
    old = await Old.open(allowing.port)
    assert (await old.post(body)).status == 400
    await old.gone(allowing)


async def test_as_many_packets_as_a_client_sends_in_a_burst(allowing: Arena) -> None:
    """Entry 27: hundreds are handled."""
    old = await Old.open(allowing.port)
    assert (await old.post((b"11:" + EVENT) * 500)).status == 200
    assert len(allowing.record.events) == 500
    await old.leave()


@pytest.mark.parametrize("packet", [b"1:3", b"1:9", b"1:7", b"2:bA", b"4:b4A=", b"3:b2A", "1:٢".encode()])
async def test_packets_that_are_none(allowing: Arena, packet: bytes) -> None:
    """Entries 43 and 44: also a pong, which goes the other way here."""
    old = await Old.open(allowing.port)
    await old.post(packet)
    await old.gone(allowing)


async def test_a_flood_of_pings(allowing: Arena) -> None:
    """Entry 45: one timer, and one answer each."""
    wire = await websocket(allowing)
    await wire.send(frame(b"2") * 2_000)
    assert [(await wire.frame()).payload for _ in range(2_000)] == [b"3"] * 2_000
    await wire.send(frame(b"", CLOSE))
    await wire.rest()


async def test_no_pings(arenas: Arenas) -> None:
    """Entry 46: messages are no pings."""
    async with arenas(allow_eio3=True, ping_interval=0.2, ping_timeout=0.2) as arena:
        wire = await websocket(arena)
        await wire.trickle(frame(EVENT), lambda: wire.ended or bool(wire.received))
        await closes(wire)
        assert list(arena.record.gone.values()) == [["ping timeout"]]


@pytest.mark.parametrize(
    "data", [b"", b"\x02", b"\x03", b"\x00\x01", b"4\x01", EVENT], ids=lambda data: data.hex() or "empty"
)
async def test_binary_frames_of_another_type(allowing: Arena, data: bytes) -> None:
    wire = await websocket(allowing)
    await wire.send(frame(data, BINARY))
    await closes(wire)


@pytest.mark.parametrize("limit", [Limits(max_payload_packets=3)])
async def test_the_limit_is_an_option(arenas: Arenas, limit: Limits) -> None:
    async with arenas(allow_eio3=True, limits=limit) as arena:
        old = await Old.open(arena.port)
        assert (await old.post(b"1:6" * 3)).status == 200
        assert (await old.post(b"1:6" * 4)).status == 400
        await old.gone(arena)


# --- JSONP -----------------------------------------------------------------------------------------

INDEXES = ["0];alert(1);[0", "<script>", "%00", "%E2%80%A8", "0" * 5000, "constructor", "-1"]


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: index[:20])
async def test_the_function_that_a_script_calls(allowing: Arena, index: str) -> None:
    """Entry 14: nothing of the request but digits gets into the script."""
    old = await Old.open(allowing.port, f"&j={quote(index, safe='%')}")
    found = re.fullmatch(r'___eio\[([0-9]*)\]\((".*")\);', old.opened.text)
    assert found is not None, old.opened
    assert found[1] == re.sub("[^0-9]", "", index.replace("%00", "").replace("%E2%80%A8", ""))
    assert (old.opened.header("content-type") or "").startswith("text/javascript")
    await old.post(b"d=1%3A1", FORM)


async def test_what_a_script_holds(allowing: Arena) -> None:
    old = await Old.open(allowing.port, "&j=0")
    text = "</script><!--\u2028\u2029\\\"'"
    packet = f"420{json.dumps(['echo', text], ensure_ascii=False)}"
    await old.post(f"d={quote(f'{len(packet)}:{packet}')}".encode(), FORM)
    while "430" not in (script := (await old.get()).text):
        pass
    assert not re.search("[<\u2028\u2029\n]", script)
    payload = json.loads(script[len("___eio[0](") : -len(");")])
    assert payload.endswith(f"430{json.dumps([text], ensure_ascii=False)}")
    await old.post(b"d=1%3A1", FORM)


FORMS = {
    "nothing": b"",
    "no field": b"x=1%3A6",
    "twice": b"d=1%3A6&d=1%3A6",
    "many fields": b"&".join(b"a%d=" % each for each in range(50_000)),
    "no UTF-8": b"d=%FF",
    "no form": b"11:" + EVENT,
    "a lie": b"d=12%3A" + quote(EVENT).encode(),
    "backslashes": b"d=" + b"%5C" * 300_000,
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
async def test_forms_that_are_none(allowing: Arena, body: bytes) -> None:
    old = await Old.open(allowing.port, "&j=0")
    assert (await old.post(body, FORM)).status == 400
    await old.gone(allowing)


async def test_binary_instead_of_a_form(allowing: Arena) -> None:
    old = await Old.open(allowing.port, "&j=0")
    assert (await old.post(b"\x00\x01\xff6", OCTETS)).status == 400
    await old.gone(allowing)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Referer", "http://evil.example/page")],
        [("Referer", "http://127.0.0.1.evil.example/")],
        [("Referer", "http://[evil")],
        [("Referer", "http://127.0.0.1@evil.example/")],
        [("Origin", "http://evil.example")],
        [("Origin", "null")],
    ],
)
async def test_scripts_of_other_pages(allowing: Arena, headers: Headers) -> None:
    """Entry 8: a script element would get round the check of origins, as it sends none."""
    refused(await fetch(allowing.port, target=f"{POLLING}&j=0", headers=headers), 4)


@pytest.mark.parametrize("target", ["/socket.io/?EIO=4&transport=polling&j=0", f"{WEBSOCKET}&j=0"])
async def test_jsonp_elsewhere(allowing: Arena, target: str) -> None:
    """Entry 14: only in Engine.IO 3, and only on polling."""
    if "websocket" in target:
        _, response = await WebSocket.shake(allowing.port, target)
        assert response.status == 400
    else:
        refused(await fetch(allowing.port, target=target), 3)


# --- sessions and namespaces -----------------------------------------------------------------------


async def test_a_session_of_the_other_protocol(allowing: Arena) -> None:
    """Entry 7: refused, and the session is untouched."""
    old = await Old.open(allowing.port)
    recent = await allowing.polling()
    refused(await fetch(allowing.port, target=f"/socket.io/?EIO=4&transport=polling&sid={old.sid}"), 3)
    refused(await fetch(allowing.port, target=f"{POLLING}&sid={recent.sid}"), 3)
    refused(await fetch(allowing.port, "POST", f"{POLLING}&sid={recent.sid}", body=b"1:1"), 3)
    for target, sid in ((WEBSOCKET, recent.sid), ("/socket.io/?EIO=4&transport=websocket", old.sid)):
        _, response = await WebSocket.shake(allowing.port, f"{target}&sid={sid}")
        assert response.status == 400
    assert await recent.echo(7) == [7]
    await old.post(b'13:420["echo",7]')
    await old.until("430[7]")
    await old.leave()


@pytest.mark.parametrize(
    "address",
    ["/chat?" + "a=1&" * 10_000, "/chat", "/chat?again"],
    ids=["very many fields", "joined", "joined, with a query"],
)
async def test_queries_of_namespaces(allowing: Arena, address: str) -> None:
    """Entries 12 and 63: too many fields, and a second CONNECT under another query."""
    wire = await websocket(allowing)
    await wire.send(frame(b"40/chat?first,"))
    assert (await wire.frame()).payload == b"40/chat,"
    await wire.send(frame(f"40{address},".encode()))
    await closes(wire)


async def test_names_of_no_namespace(allowing: Arena) -> None:
    """Entry 64: answered, and nothing is kept."""
    wire = await websocket(allowing)
    for name in ("/lost", "/__proto__", "/..%2f", "//", "/chat%3F", "/" + "x" * 10_000):
        await wire.send(frame(f"40{name}?a=1,".encode()))
        assert (await wire.frame()).payload == f'44{name},{{"message":"Invalid namespace"}}'.encode()
    await wire.send(frame(b"", CLOSE))
    await wire.rest()
