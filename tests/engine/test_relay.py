"""Which requests the engine passes on, and what it does by itself then."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from socketeer.engine.carriers.base import Carrier
from socketeer.engine.http.message import Request, Response
from socketeer.engine.relay import Passage
from socketeer.engine.request import UNKNOWN_SID, RequestRefused
from socketeer.options import Cors
from tests.engine.fakes import Desk, FakeCarrier, make_request

POLLING = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"


class Way(Passage):
    def __init__(self) -> None:
        self.opened: list[Carrier] = []

    def open(self, carrier: Carrier) -> None:
        self.opened.append(carrier)


class Other:
    """A relay to one other node. Implements `Relay`."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.way = Way()
        self.refuses = False

    def reaches(self, request: Request) -> bool:
        return request.query.get("sid") == "elsewhere"

    async def request(self, request: Request) -> Response:
        self.asked.append(request)
        if self.refuses:
            raise RequestRefused(UNKNOWN_SID, {"sid": "elsewhere"}, request)
        return Response(200, {"content-type": "text/plain"}, b"6")

    async def upgrade(self, request: Request) -> Way:
        self.asked.append(request)
        return self.way


def desk(**options: Any) -> tuple[Desk, Other]:
    made, other = Desk(**options), Other()
    made.engine.join_cluster("node-1", other)
    return made, other


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_belongs_elsewhere_is_passed_on(method: str) -> None:
    here, other = desk()
    request = make_request(f"{POLLING}&sid=elsewhere", method)
    assert (await here.handle(request)).body == b"6"
    assert other.asked == [request]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"{POLLING}&sid=nobody", 1),
        (f"{POLLING}&sid=elsewhere&sid=elsewhere", 1),
        ("EIO=4&transport=carrier-pigeon&sid=elsewhere", 0),
        (f"{POLLING}&sid=elsewhere&j=0", 3),
    ],
)
async def test_what_is_refused_anyway_is_not(query: str, code: int) -> None:
    here, other = desk()
    other.reaches = lambda request: request.query.get("sid") == "elsewhere" and not request.repeated  # type: ignore[method-assign]
    answer = await here.handle(make_request(query))
    assert (answer.status, json.loads(answer.body)["code"]) == (400, code)
    assert other.asked == []


async def test_a_wrong_origin_is_not() -> None:
    here, other = desk(cors=Cors(origin="http://page.example"))
    answer = await here.handle(
        make_request(f"{POLLING}&sid=elsewhere", headers=[("origin", "http://x.example")])
    )
    assert (answer.status, json.loads(answer.body)["code"], other.asked) == (403, 4, [])


async def test_handshakes_and_sessions_of_ours_are_not() -> None:
    here, other = desk()
    poller = await here.polling()
    assert (await poller.post(b"40")).status == 200
    assert other.asked == []


async def test_headers_and_refusals_are_told_here() -> None:
    here, other = desk(cors=Cors(origin="*"))
    told: list[Any] = []
    here.engine.on("headers", lambda headers, request: told.append(request))
    here.engine.on("connection_error", told.append)
    request = make_request(f"{POLLING}&sid=elsewhere")
    assert (await here.handle(request)).headers["access-control-allow-origin"] == "*"
    assert told == [request]
    other.refuses = True
    answer = await here.handle(request)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)
    assert [type(each) for each in told] == [Request, RequestRefused, Request]


async def test_a_websocket_gets_its_way() -> None:
    here, other = desk()
    request = make_request(f"{WEBSOCKET}&sid=elsewhere")
    way, _ = await here.engine.admit(request)
    assert way is other.way
    carrier = FakeCarrier()
    here.engine.open_websocket(request, way, carrier)
    assert other.way.opened == [carrier]
    assert here.engine.clients_count == 0


async def test_upgrades_that_are_not_allowed_are_not_passed_on() -> None:
    here, other = desk(allow_upgrades=False)
    with pytest.raises(RequestRefused) as caught:
        await here.engine.admit(make_request(f"{WEBSOCKET}&sid=elsewhere"))
    assert (caught.value.code, other.asked) == (3, [])


async def test_the_owner_answers_what_another_node_has_checked() -> None:
    here, _ = desk(cors=Cors(origin="http://page.example"))
    poller = await here.polling()
    answer = await here.engine.answer(make_request(poller.query, "POST", body=b"40"))
    assert (answer.headers, answer.body) == ({"content-type": "text/html"}, b"ok")
    for query in (f"{POLLING}&sid=nobody", POLLING):
        with pytest.raises(RequestRefused) as caught:
            await here.engine.answer(make_request(query))
        assert caught.value.code == 1
    session = here.engine.session_of(make_request(f"{WEBSOCKET}&sid={poller.sid}"), websocket=True)
    assert session is poller.session
    await asyncio.sleep(0)
