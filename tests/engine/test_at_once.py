"""A GET and a POST of a session that is here are answered at once; anything else is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from socketeer import Cors, Limits, Server
from socketeer.engine import at_once
from socketeer.engine.http.message import KnownHeaders, Request, Response
from socketeer.engine.server import EngineServer
from socketeer.engine.transports.polling import PollingTransport
from socketeer.testing.inprocess import make_request


class Taken:
    """Takes answers."""

    def __init__(self) -> None:
        self.asked: Request | None = None
        self.responses: list[Response] = []
        self.gone: Callable[[], None] | None = None

    def request(self) -> Request:
        assert self.asked is not None
        return self.asked

    def reply(self, response: Response) -> None:
        self.responses.append(response)

    def reply_known(self, known: KnownHeaders, body: bytes) -> None:
        self.reply(Response(200, known.headers, body))

    def waits(self, gone: Callable[[], None]) -> None:
        self.gone = gone


def handle_at_once(engine: EngineServer, request: Request, taken: Taken) -> bool:
    """Read the head, and answer what it asks for."""
    taken.asked = request
    terms = at_once.terms_of(engine, request)
    return terms is not None and at_once.handle_at_once(engine, terms, request.whole or b"", taken)


def ask(query: str, method: str = "GET", body: bytes = b"", **fields: Any) -> Request:
    return make_request(query_string=f"EIO=4&transport=polling{query}", method=method, whole=body, **fields)


async def session(io: Server) -> str:
    """A new session on long-polling whose open packet has been taken."""
    await io.engine.handle(ask(""))
    return next(reversed(io.engine.sessions))


async def test_a_post_and_a_poll_that_waits() -> None:
    io = Server()
    sid = await session(io)
    taken = Taken()
    assert handle_at_once(io.engine, ask(f"&sid={sid}"), taken)
    assert taken.responses == []
    assert handle_at_once(io.engine, ask(f"&sid={sid}", "POST", b"40"), taken)
    assert [response.body for response in taken.responses] == [b"ok"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert taken.responses[1].body.startswith(b"40{")


async def test_a_poll_that_was_on_its_way_when_the_session_was_probed() -> None:
    io = Server()
    sid = await session(io)
    polling = io.engine.sessions[sid].transport
    assert isinstance(polling, PollingTransport)
    polling.hurry()
    first, second = Taken(), Taken()
    assert handle_at_once(io.engine, ask(f"&sid={sid}"), first)
    assert [response.body for response in first.responses] == [b"6"]
    assert handle_at_once(io.engine, ask(f"&sid={sid}"), second)
    assert second.responses == []


async def test_a_client_that_goes() -> None:
    io = Server()
    sid = await session(io)
    taken = Taken()
    assert handle_at_once(io.engine, ask(f"&sid={sid}"), taken)
    assert taken.gone is not None
    taken.gone()
    assert io.engine.sessions == {}
    taken.gone()


async def test_two_polls_end_the_session() -> None:
    io = Server()
    sid = await session(io)
    first, second = Taken(), Taken()
    assert handle_at_once(io.engine, ask(f"&sid={sid}"), first)
    assert handle_at_once(io.engine, ask(f"&sid={sid}"), second)
    assert second.responses[0].status == 400
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert first.responses[0].body == b"1"
    assert io.engine.sessions == {}


@pytest.mark.parametrize(
    "request_",
    [
        ask(""),
        ask("&sid=unknown"),
        ask("&sid={sid}&j=0"),
        ask("&sid={sid}&transport=polling"),
        ask("&sid={sid}", "PUT"),
        ask("&sid={sid}" + "&a=1" * 300),
        ask("&sid={sid}", raw_headers=[("host", "a b")]),
        ask("&sid={sid}", raw_headers=[("origin", "http://foe")]),
        make_request(query_string="EIO=3&transport=polling&sid={sid}", whole=b""),
        make_request(query_string="EIO=4&transport=websocket&sid={sid}", whole=b""),
    ],
)
async def test_what_is_left_alone(request_: Request) -> None:
    io = Server()
    sid = await session(io)
    request_.query_string = request_.query_string.replace("{sid}", sid)
    taken = Taken()
    assert not handle_at_once(io.engine, request_, taken)
    assert taken.responses == []
    assert list(io.engine.sessions) == [sid]


async def test_where_the_application_is_asked() -> None:
    io = Server(cors=Cors(origin=lambda origin: True))
    taken = Taken()
    assert not handle_at_once(io.engine, ask(f"&sid={await session(io)}"), taken)


HEADERS = [("user-agent", "x Trident/7"), ("accept-encoding", "gzip"), ("origin", "http://friend")]


@pytest.mark.parametrize("listens", [False, True])
async def test_the_same_headers_as_by_the_whole_way(listens: bool) -> None:
    io = Server(cors=Cors(origin="http://friend", credentials=True))
    told: list[tuple[str, str]] = []

    def tell(headers: dict[str, str], request: Request) -> None:
        told.append((request.method, request.query["sid"]))
        headers["x-told"] = "yes"

    if listens:
        io.engine.on("headers", tell)
    found = []
    for way in (True, False):
        sid = await session(io)
        told.clear()
        taken = Taken()
        text = "x" * 2000  # long enough to be compressed
        for method, body in (("POST", b"40"), ("GET", b""), ("POST", b"4\xff")):
            request = ask(f"&sid={sid}", method, body, raw_headers=HEADERS)
            if way:
                assert handle_at_once(io.engine, request, taken)
            else:
                taken.reply(await io.engine.handle(request))
            if method == "POST" and body == b"40":
                io.emit("news", text)
        found.append([(each.status, list(each.headers.items()), each.streamed) for each in taken.responses])
        assert told == [("POST", sid), ("GET", sid), ("POST", sid)] * listens
    assert found[0] == found[1]
    assert [status for status, *_ in found[0]] == [200, 200, 400]
    assert ("content-encoding", "gzip") in found[0][1][1]
    assert (("x-told", "yes") in found[0][0][1]) is listens


WEBSOCKET = "EIO=4&transport=websocket"


@pytest.mark.parametrize("listens", [False, True])
async def test_handshakes_that_are_let_in(listens: bool) -> None:
    io = Server(cors=Cors(origin="http://friend"))
    told: list[str] = []
    if listens:
        io.engine.on("initial_headers", lambda headers, request: told.append("initial"))
        io.engine.on("headers", lambda headers, request: told.append("headers"))
    sid = await session(io)
    told.clear()
    for query, expected in ((WEBSOCKET, None), (f"{WEBSOCKET}&sid={sid}", io.engine.sessions[sid])):
        request = make_request(query_string=query, raw_headers=[("origin", "http://friend")])
        admitted = at_once.admit_at_once(io.engine, request)
        assert admitted == await io.engine.admit(request)
        assert admitted is not None
        assert admitted[0] is expected
    assert told == ["initial", "headers", "initial", "headers", "headers", "headers"] * listens


async def test_handshakes_by_polling() -> None:
    io = Server(cors=Cors(origin="http://friend"), cookie=True)
    told: list[str] = []
    io.engine.on("initial_headers", lambda headers, request: told.append("initial"))
    io.engine.on("headers", lambda headers, request: told.append("headers"))
    found = []
    for way in (True, False):
        request = ask("", raw_headers=[("origin", "http://friend")])
        response = at_once.open_at_once(io.engine, request) if way else await io.engine.handle(request)
        assert response is not None
        sid = next(reversed(io.engine.sessions))
        body = response.body.replace(sid.encode(), b"-")
        found.append((response.status, [(k, v.replace(sid, "-")) for k, v in response.headers.items()], body))
    assert found[0] == found[1]
    assert told == ["initial", "headers"] * 2
    assert len(io.engine.sessions) == 2


@pytest.mark.parametrize(
    "request_",
    [
        ask("", "POST"),
        ask("&sid=unknown"),
        ask("&sid={sid}"),
        ask("", raw_headers=[("origin", "http://foe")]),
        ask("&a=1" * 300),
        make_request(query_string=WEBSOCKET),
    ],
)
async def test_handshakes_by_polling_that_are_left_alone(request_: Request) -> None:
    io = Server()
    sid = await session(io)
    request_.query_string = request_.query_string.replace("{sid}", sid)
    assert at_once.open_at_once(io.engine, request_) is None
    assert list(io.engine.sessions) == [sid]


@pytest.mark.parametrize(
    ("query", "options"),
    [
        (WEBSOCKET, {"origin": "http://foe"}),
        (WEBSOCKET, {"host": "a b"}),
        (WEBSOCKET, {"transports": ["polling"]}),
        (WEBSOCKET, {"limits": Limits(max_sessions=1)}),
        (WEBSOCKET, {"limits": Limits(max_sessions_per_address=1)}),
        (WEBSOCKET, {"allow_request": lambda request: True}),
        (WEBSOCKET, {"cors": Cors(origin=lambda origin: True)}),
        (f"{WEBSOCKET}&sid=unknown", {}),
        (f"{WEBSOCKET}&sid={{sid}}", {"allow_upgrades": False}),
        (f"{WEBSOCKET}&j=0", {}),
        (f"{WEBSOCKET}&EIO=4", {}),
        (f"{WEBSOCKET}" + "&a=1" * 300, {}),
        ("EIO=3&transport=websocket", {"allow_eio3": True}),
        ("EIO=4&transport=polling", {}),
    ],
)
async def test_handshakes_that_are_left_alone(query: str, options: dict[str, Any]) -> None:
    headers = [(name, options[name]) for name in ("origin", "host") if name in options]
    io = Server(**{name: value for name, value in options.items() if name not in ("origin", "host")})
    await io.engine.handle(ask(""))
    sid = next(iter(io.engine.sessions), "")
    request = make_request(query_string=query.replace("{sid}", sid), raw_headers=headers)
    assert at_once.admit_at_once(io.engine, request) is None
    io.engine.close()
    assert at_once.admit_at_once(io.engine, make_request(query_string=WEBSOCKET)) is None


async def test_an_id_of_the_applications_own_is_chosen_the_whole_way() -> None:
    io = Server()
    io.engine.generate_id = lambda request: "mine"
    assert at_once.admit_at_once(io.engine, make_request(query_string=WEBSOCKET)) is None
