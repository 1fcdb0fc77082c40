"""Long-polling of Engine.IO 3: what an answer looks like, what a POST may hold, and JSONP."""

from __future__ import annotations

import asyncio
import json
import re
from urllib.parse import urlencode

import pytest

from socketeer.engine.http.message import Response
from socketeer.engine.transports.polling import PollingTransport
from socketeer.engine.transports.polling_v3 import JsonpTransport, PollingV3Transport
from socketeer.options import Limits
from socketeer.protocol.frame import Message
from tests.engine.fakes import Desk, make_request, settle

TEXT = {"content-type": "text/plain; charset=UTF-8", "cache-control": "no-store"}
BINARY = {**TEXT, "content-type": "application/octet-stream"}
SCRIPT = {**TEXT, "content-type": "text/javascript; charset=UTF-8"}
POSTED_BINARY = [("content-type", "application/octet-stream")]
PAGE = [("host", "localhost:3000"), ("referer", "http://localhost:3000/page")]
EVENT = Message(b"451-[]", [b"\x01\x02"])


class Old:
    """A client of Engine.IO 3 on long-polling."""

    def __init__(self, desk: Desk, query: str, opened: Response) -> None:
        self.desk = desk
        self.opened = opened
        found = re.search(rb'sid\\?":\\?"([\w-]{20})', opened.body)
        assert found is not None, opened.body
        self.sid = found[1].decode()
        self.query = f"{query}&sid={self.sid}"
        self.listener = desk.listeners[self.sid]
        self.session = self.listener.session

    @classmethod
    async def open(cls, more: str = "", **options: object) -> Old:
        desk = Desk(allow_eio3=True, **options)
        query = f"EIO=3&transport=polling{more}"
        return cls(desk, query, await desk.handle(make_request(query, headers=PAGE)))

    async def get(self) -> Response:
        return await self.desk.handle(make_request(self.query, headers=PAGE))

    async def begin(self) -> asyncio.Task[Response]:
        """A poll that has arrived and has to wait."""
        poll = asyncio.create_task(self.get())
        await settle()
        assert self.session.writable()
        return poll

    async def post(self, body: bytes, headers: list[tuple[str, str]] | None = None) -> Response:
        return await self.desk.handle(
            make_request(self.query, "POST", body=body, headers=[*PAGE, *(headers or ())])
        )


@pytest.fixture
async def old() -> Old:
    return await Old.open()


async def test_the_handshake(old: Old) -> None:
    assert (old.opened.status, old.opened.headers) == (200, TEXT)
    length, _, packet = old.opened.body.partition(b":")
    assert int(length) == len(packet)
    assert json.loads(packet[1:]) == {
        "sid": old.sid,
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 1000000,
    }
    assert old.session.protocol == 3
    assert type(old.session.transport) is PollingV3Transport


async def test_clients_of_engine_io_4_are_as_ever() -> None:
    poller = await Desk(allow_eio3=True).polling()
    assert poller.session.protocol == 4
    assert type(poller.session.transport) is PollingTransport
    poller.session.send(EVENT)
    assert (await poller.get()).body == b"451-[]\x1ebAQI="
    assert (await poller.post(b"\x00\x01\xff2", headers=POSTED_BINARY)).status == 400
    assert poller.listener.reasons == ["transport error"]


async def test_answers_of_text(old: Old) -> None:
    for text in ("4one", "4é\U0001f600"):
        old.session.send(Message(text.encode()))
    response = await old.get()
    assert (response.headers, response.body) == (TEXT, "4:4one4:4é\U0001f600".encode())


async def test_answers_with_binary(old: Old) -> None:
    old.session.send(Message(b"4one"))
    old.session.send(EVENT)
    response = await old.get()
    assert response.headers == BINARY
    assert response.body == b"\x00\x04\xff4one\x00\x06\xff451-[]\x01\x03\xff\x04\x01\x02"
    old.session.send(Message(b"4two"))
    assert (await old.get()).headers == TEXT, "the form is each answer's own"


async def test_answers_to_who_takes_no_binary() -> None:
    old = await Old.open("&b64=1")
    old.session.send(EVENT)
    response = await old.get()
    assert (response.headers, response.body) == (TEXT, b"6:451-[]6:b4AQI=")


async def test_a_poll_that_waits(old: Old) -> None:
    poll = await old.begin()
    transport = old.session.transport
    assert isinstance(transport, PollingTransport)
    transport.release()
    assert (await poll).body == b"1:6"


async def test_a_session_that_ends(old: Old) -> None:
    poll = await old.begin()
    old.session.close()
    assert (await poll).body == b"1:1"
    other = await Old.open()
    other.session.close()
    assert (await other.get()).body == b"1:61:1"
    assert other.listener.reasons == ["forced close"]


async def test_posts_of_text(old: Old) -> None:
    response = await old.post("4:4one4:4é\U0001f6006:b4AQI=1:2".encode())
    assert (response.status, response.headers, response.body) == (200, {"content-type": "text/html"}, b"ok")
    assert old.listener.heard == [b"4one", "4é\U0001f600".encode(), b"\x01\x02"]
    assert (await old.get()).body == b"1:3"


async def test_posts_with_binary(old: Old) -> None:
    await old.post(b"\x00\x06\xff451-[]\x01\x03\xff\x04\x01\x02\x00\x01\xff2", POSTED_BINARY)
    assert old.listener.heard == [b"451-[]", b"\x01\x02"]
    assert (await old.get()).body == b"1:3"


async def test_the_client_leaves(old: Old) -> None:
    poll = await old.begin()
    await old.post(b"1:14:4one")
    assert old.listener.closed == [("transport close", "closed by the peer")]
    assert old.listener.heard == []
    assert (await poll).body == b"1:6"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", []),
        (b"4hello", []),
        (b"5:4", []),
        (b"4:4one4", []),
        (b"2:4\xff", []),
        (b"\x00\x01\xff2", []),
        (b"1:2", POSTED_BINARY),
        (b"", POSTED_BINARY),
        (b"\x00\x09\xff2", POSTED_BINARY),
    ],
)
async def test_malformed_posts(old: Old, body: bytes, headers: list[tuple[str, str]]) -> None:
    assert (await old.post(body, headers)).status == 400
    assert old.listener.reasons == ["parse error"]
    assert old.listener.heard == []


@pytest.mark.parametrize("body", [b"3:b2A", b"7:b2AAAAA", b"4:b4??", b"1:9", b"1:b"])
async def test_posts_with_packets_that_are_none(old: Old, body: bytes) -> None:
    await old.post(body)
    assert old.listener.reasons == ["parse error"]
    assert old.listener.heard == []


async def test_binary_that_is_no_message(old: Old) -> None:
    await old.post(b"\x01\x02\xff\x02\x09", POSTED_BINARY)
    assert old.listener.reasons == ["parse error"]


@pytest.mark.parametrize(("piece", "headers"), [(b"1:6", []), (b"\x00\x01\xff6", POSTED_BINARY)])
async def test_too_many_packets(piece: bytes, headers: list[tuple[str, str]]) -> None:
    old = await Old.open(limits=Limits(max_payload_packets=3))
    assert (await old.post(piece * 3, headers)).status == 200
    assert (await old.post(piece * 4, headers)).status == 400
    assert old.listener.reasons == ["parse error"]


async def test_internet_explorer_is_told_not_to_look() -> None:
    for agent in (
        "Mozilla/5.0 (compatible;MSIE 9.0; Windows)",
        "Mozilla/5.0 (Windows; Trident/7.0; rv:11.0)",
    ):
        desk = Desk(allow_eio3=True)
        headers = [("user-agent", agent)]
        opened = await desk.handle(make_request("EIO=3&transport=polling", headers=headers))
        assert opened.headers == {**TEXT, "x-xss-protection": "0"}
        query = f"EIO=3&transport=polling&sid={next(iter(desk.listeners))}"
        posted = await desk.handle(make_request(query, "POST", headers=headers, body=b"1:6"))
        assert posted.headers == {"content-type": "text/html", "x-xss-protection": "0"}


# --- JSONP -----------------------------------------------------------------------------------------


async def test_jsonp() -> None:
    old = await Old.open("&j=7%5D%3Balert(1)&b64=1")
    assert type(old.session.transport) is JsonpTransport
    assert old.opened.headers == SCRIPT
    assert old.opened.body.startswith(b'___eio[71]("')
    old.session.send(EVENT)
    old.session.send(Message("4\u2028</script>".encode()))
    response = await old.get()
    assert response.headers == SCRIPT
    assert response.body == b'___eio[71]("6:451-[]6:b4AQI=11:4\\u2028\\u003c/script>");'


async def test_jsonp_forms() -> None:
    old = await Old.open("&j=0")
    response = await old.post(urlencode({"d": "7:4é\\\\n\\n\U0001f6001:2"}).encode())
    assert (response.status, response.body) == (200, b"ok")
    assert old.listener.heard == ["4é\\n\n\U0001f600".encode()]
    assert (await old.get()).body == b'___eio[0]("1:3");'


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"1:2", []), (b"d=1:2&d=1:2", []), (b"", []), (b"d=%ff", []), (b"\x00\x01\xff2", POSTED_BINARY)],
)
async def test_malformed_forms(body: bytes, headers: list[tuple[str, str]]) -> None:
    old = await Old.open("&j=0")
    assert (await old.post(body, headers)).status == 400
    assert len(old.listener.closed) == 1
    assert old.listener.heard == []


async def test_jsonp_always_takes_text() -> None:
    """Whether or not its client says so: a script has no other."""
    old = await Old.open("&j=0")
    old.session.send(EVENT)
    assert (await old.get()).body == b'___eio[0]("6:451-[]6:b4AQI=");'
