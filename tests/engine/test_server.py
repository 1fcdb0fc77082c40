"""The Engine.IO server: which request goes where, who may come in, and the events that tell of it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from socketeer.engine.http.message import MAX_QUERY_FIELDS, Request
from socketeer.engine.request import RequestRefused
from socketeer.engine.server import EngineServer
from socketeer.options import Cookie, Cors, EngineOptions, Limits
from socketeer.protocol.frame import Message
from tests.engine.fakes import Desk, FakeCarrier, Listener, make_request

WEBSOCKET = "EIO=4&transport=websocket"
ORIGIN = [("origin", "http://localhost:5174")]


async def refused(desk: Desk, request: Request) -> RequestRefused:
    """The refusal of a WebSocket handshake."""
    with pytest.raises(RequestRefused) as caught:
        await desk.engine.admit(request)
    return caught.value


# --- sessions --------------------------------------------------------------------------------------


async def test_sessions_come_and_go() -> None:
    desk = Desk()
    assert desk.engine.clients_count == 0
    poller = await desk.polling()
    carrier, listener = await desk.websocket()
    assert desk.engine.clients_count == 2
    assert desk.engine.sessions == {poller.sid: poller.session, listener.session.id: listener.session}
    assert poller.sid != listener.session.id
    assert all(len(sid) == 20 for sid in desk.engine.sessions)
    carrier.vanishes()
    assert list(desk.engine.sessions) == [poller.sid]
    poller.session.close(discard=True)
    assert desk.engine.clients_count == 0


async def test_a_new_session_is_told_of_after_its_open_packet() -> None:
    desk = Desk()
    told: list[Any] = []
    carrier = FakeCarrier()
    desk.engine.on("connection", lambda session: told.append((session, session.handler, list(carrier.sent))))
    desk.engine.open_websocket(make_request(WEBSOCKET), None, carrier)
    ((session, handler, sent),) = told
    assert handler is desk.listeners[session.id]
    assert json.loads(sent[0][1:])["upgrades"] == []
    assert carrier.receiver is session
    assert len(sent) == 1


async def test_what_a_connection_listener_sends_follows_the_open_packet() -> None:
    desk = Desk()
    desk.engine.on("connection", lambda session: session.send(Message(b"4welcome")))
    response = await desk.handle(make_request())
    opened, welcome = response.body.split(b"\x1e")
    assert (opened[:1], welcome) == (b"0", b"4welcome")


@pytest.mark.parametrize(
    ("options", "upgrades"),
    [
        ({}, ["websocket"]),
        ({"allow_upgrades": False}, []),
        ({"transports": ("polling",)}, []),
    ],
)
async def test_the_open_packet_names_the_upgrades(options: dict[str, Any], upgrades: list[str]) -> None:
    poller = await Desk(**options).polling()
    assert json.loads(poller.opened.body[1:])["upgrades"] == upgrades


async def test_the_open_packet_names_the_options() -> None:
    desk = Desk(ping_interval=1.5, ping_timeout=0.25, max_http_buffer_size=4096)
    opened = json.loads((await desk.polling()).opened.body[1:])
    assert (opened["pingInterval"], opened["pingTimeout"], opened["maxPayload"]) == (1500, 250, 4096)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "PATCH"])
async def test_other_methods_of_a_known_session(method: str) -> None:
    poller = await Desk().polling()
    response = await poller.desk.handle(make_request(poller.query, method))
    assert (response.status, response.body) == (500, b"")
    assert poller.listener.closed == []


async def test_upgrades_that_are_not_allowed_are_refused() -> None:
    desk = Desk(allow_upgrades=False)
    poller = await desk.polling()
    error = await refused(desk, make_request(f"{WEBSOCKET}&sid={poller.sid}"))
    assert (error.code, error.context) == (3, {"name": "TRANSPORT_MISMATCH"})
    carrier, _ = await desk.websocket()
    assert carrier.closed == []


def test_a_server_may_move_to_another_loop() -> None:
    engine = EngineServer(EngineOptions(), Listener)

    async def wheel() -> object:
        assert engine.wheel is engine.wheel
        return engine.wheel

    assert asyncio.run(wheel()) is not asyncio.run(wheel())


# --- who may come in -------------------------------------------------------------------------------


async def asynchronously(verdict: object) -> object:
    await asyncio.sleep(0)
    return verdict


def failing(request: Request) -> bool:
    raise ValueError("of the test")


@pytest.mark.parametrize("verdict", [lambda _: True, lambda _: asynchronously(True)], ids=["plain", "async"])
async def test_allow_request_lets_in(verdict: Any) -> None:
    desk = Desk(allow_request=verdict)
    await desk.polling()
    await desk.websocket()
    assert desk.engine.clients_count == 2


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        (lambda _: False, "Forbidden"),
        (lambda _: None, "Forbidden"),
        (lambda _: 1, "Forbidden"),
        (lambda _: "not you", "not you"),
        (lambda _: asynchronously(False), "Forbidden"),
        (lambda _: asynchronously("not you"), "not you"),
        (failing, "Forbidden"),
    ],
    ids=["False", "None", "1", "reason", "async", "async reason", "raises"],
)
async def test_allow_request_turns_away(verdict: Any, message: str, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(allow_request=verdict)
    response = await desk.handle(make_request())
    assert response.status == 403
    assert json.loads(response.body) == {"code": 4, "message": message}
    error = await refused(desk, make_request(WEBSOCKET))
    assert (error.code, error.status, error.text) == (4, 400, message)
    assert desk.engine.clients_count == 0
    assert len(caplog.records) == (2 if verdict is failing else 0)


async def test_allow_request_is_asked_once_for_each_session() -> None:
    asked: list[str] = []

    def allow(request: Request) -> bool:
        asked.append(request.query["transport"])
        return True

    poller = await Desk(allow_request=allow).polling()
    await poller.post(b"4hello")
    (await poller.probe()).says("2probe", "5")
    assert asked == ["polling"]


async def test_allow_request_is_not_asked_about_what_is_refused_anyway() -> None:
    asked: list[Request] = []

    def allow(request: Request) -> bool:
        asked.append(request)
        return True

    desk = Desk(allow_request=allow)
    assert (await desk.handle(make_request("EIO=4&transport=x"))).status == 400
    assert (await desk.handle(make_request(headers=ORIGIN))).status == 403
    assert asked == []
    # The version comes last, as in the official server.
    assert (await desk.handle(make_request("EIO=3&transport=polling"))).status == 400
    assert len(asked) == 1


async def test_the_sessions_are_limited() -> None:
    desk = Desk(limits=Limits(max_sessions=2))
    poller = await desk.polling(address="192.0.2.1")
    await desk.websocket()
    response = await desk.handle(make_request(address="192.0.2.3"))
    assert (response.status, json.loads(response.body)["code"]) == (503, 3)
    assert (await refused(desk, make_request(WEBSOCKET))).status == 503
    assert (await poller.post(b"4hello")).body == b"ok"
    poller.session.close(discard=True)
    await desk.polling()


async def test_the_sessions_of_one_address_are_limited() -> None:
    desk = Desk(limits=Limits(max_sessions_per_address=1))
    poller = await desk.polling(address="192.0.2.1")
    await desk.polling(address="192.0.2.2")
    response = await desk.handle(make_request(address="192.0.2.1"))
    assert (response.status, json.loads(response.body)["code"]) == (429, 3)
    assert (await refused(desk, make_request(WEBSOCKET, address="192.0.2.2"))).status == 429
    poller.session.close(discard=True)
    await desk.polling(address="192.0.2.1")


async def test_addresses_that_have_gone_are_forgotten() -> None:
    desk = Desk()
    for number in range(100):
        poller = await desk.polling(address=f"192.0.2.{number}")
        poller.session.close(discard=True)
    assert len(desk.engine.addresses) == 0


async def test_too_many_parameters_are_refused() -> None:
    desk = Desk()
    request = make_request(WEBSOCKET + "&x=1" * MAX_QUERY_FIELDS)
    response = await desk.handle(make_request("x=1&" * (MAX_QUERY_FIELDS + 1)))
    assert (response.status, json.loads(response.body)) == (400, {"code": 3, "message": "Bad request"})
    assert (await refused(desk, request)).context["name"] == "INVALID_QUERY"


# --- origins ---------------------------------------------------------------------------------------


async def test_an_origin_that_is_not_allowed_is_turned_away_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    for _ in range(3):
        response = await desk.handle(make_request(headers=ORIGIN))
        assert (response.status, json.loads(response.body)["code"]) == (403, 4)
        error = await refused(desk, make_request(WEBSOCKET, headers=ORIGIN))
        assert (error.status, error.context) == (403, {"origin": "http://localhost:5174"})
    assert [record.getMessage() for record in caplog.records] == [
        "origin 'http://localhost:5174' is not allowed; allow it by Server(cors=Cors(origin='http://localhost:5174'))"
    ]


async def test_the_log_of_origins_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    for number in range(100):
        await desk.handle(make_request(headers=[("origin", f"http://{number}" + "x" * 1000)]))
    assert 0 < len(caplog.records) <= 16
    assert all(len(record.getMessage()) < 500 for record in caplog.records)


async def test_an_allowed_origin_is_told_so() -> None:
    desk = Desk(cors=Cors(origin="http://localhost:5174", credentials=True))
    response = await desk.handle(make_request(headers=ORIGIN))
    assert response.headers["access-control-allow-origin"] == "http://localhost:5174"
    _, headers = await desk.engine.admit(make_request(WEBSOCKET, headers=ORIGIN))
    assert headers["access-control-allow-origin"] == "http://localhost:5174"
    # A refusal, too: otherwise the page could not read why.
    response = await desk.handle(make_request("EIO=4&transport=x", headers=ORIGIN))
    assert response.status == 400
    assert response.headers["access-control-allow-origin"] == "http://localhost:5174"


async def test_a_preflight_touches_no_session() -> None:
    desk = Desk(cors=Cors(origin="http://localhost:5174"))
    poller = await desk.polling()
    for query in (poller.query, "EIO=4&transport=polling", ""):
        response = await desk.handle(make_request(query, "OPTIONS", headers=ORIGIN))
        assert (response.status, response.body) == (204, b"")
        assert "access-control-allow-methods" in response.headers
    assert desk.engine.clients_count == 1
    assert poller.listener.closed == []


async def test_a_cors_function_that_fails_refuses_everything(caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: Request) -> None:
        raise LookupError(request.method)

    desk = Desk(cors=fail)
    for headers in (ORIGIN, []):
        response = await desk.handle(make_request(headers=headers))
        assert (response.status, json.loads(response.body)["code"]) == (400, 3)
        assert "access-control-allow-origin" not in response.headers
        error = await refused(desk, make_request(WEBSOCKET, headers=headers))
        assert (error.status, error.code, error.context) == (400, 3, {"name": "MIDDLEWARE_FAILURE"})
        response = await desk.handle(make_request("EIO=4&transport=polling", "OPTIONS", headers=headers))
        assert response.status == 400
        assert "access-control-allow-origin" not in response.headers
    assert desk.engine.clients_count == 0
    assert len(caplog.records) == 1


# --- headers and events ----------------------------------------------------------------------------


async def test_the_cookie_comes_with_the_polling_handshake_alone() -> None:
    desk = Desk(cookie=Cookie(name="io"))
    poller = await desk.polling()
    assert poller.opened.headers["set-cookie"] == f"io={poller.sid}; Path=/; HttpOnly; SameSite=Lax"
    assert "set-cookie" not in (await poller.post(b"4hello")).headers
    _, headers = await desk.engine.admit(make_request(WEBSOCKET))
    assert "set-cookie" not in headers
    assert "set-cookie" not in (await Desk().polling()).opened.headers


async def test_listeners_may_change_headers() -> None:
    desk = Desk()
    told: list[str] = []

    @desk.engine.on("initial_headers")
    def initial(headers: dict[str, str], request: Request) -> None:
        told.append(f"initial {request.method} {request.query['transport']}")
        headers["x-initial"] = "1"

    @desk.engine.on("headers")
    def every(headers: dict[str, str], request: Request) -> None:
        told.append(f"{request.method} {request.query['transport']}")
        headers["x-every"] = "1"

    poller = await desk.polling()
    assert (poller.opened.headers["x-initial"], poller.opened.headers["x-every"]) == ("1", "1")
    headers = (await poller.post(b"4hello")).headers
    assert ("x-initial" in headers, headers["x-every"]) == (False, "1")
    _, headers = await desk.engine.admit(make_request(WEBSOCKET))
    assert headers == {"x-initial": "1", "x-every": "1"}
    _, headers = await desk.engine.admit(make_request(f"{WEBSOCKET}&sid={poller.sid}"))
    assert headers == {"x-every": "1"}
    assert told == [
        "initial GET polling",
        "GET polling",
        "POST polling",
        "initial GET websocket",
        "GET websocket",
        "GET websocket",
    ]


async def test_every_refusal_is_told_of() -> None:
    desk = Desk()
    errors: list[RequestRefused] = []
    desk.engine.on("connection_error", errors.append)
    requests = [
        make_request("EIO=4&transport=x"),
        make_request("EIO=4&transport=polling&sid=x"),
        make_request("EIO=4&transport=polling", "POST"),
        make_request(headers=ORIGIN),
        make_request("EIO=3&transport=polling"),
    ]
    for request in requests:
        await desk.handle(request)
    assert [error.code for error in errors] == [0, 1, 2, 4, 5]
    assert [error.request for error in errors] == requests
    assert errors[1].context == {"sid": "x"}
    assert errors[1].message == "Session ID unknown"
    error = await refused(desk, make_request("EIO=3&transport=websocket"))
    assert errors[5:] == [error]


async def test_a_listener_that_raises_refuses_nobody(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()

    def fail(*args: object) -> None:
        raise ValueError("of the test")

    for event in ("connection", "initial_headers", "headers", "connection_error"):
        desk.engine.on(event, fail)
    await desk.polling()
    await desk.websocket()
    assert (await desk.handle(make_request("EIO=4&transport=x"))).status == 400
    assert desk.engine.clients_count == 2
    assert all(record.levelno == logging.ERROR for record in caplog.records)


# --- the end ---------------------------------------------------------------------------------------


async def test_closing_ends_every_session_at_once() -> None:
    desk = Desk()
    poller = await desk.polling()
    poll = await poller.begin()
    probed = await desk.polling()
    probe = await probed.probe()
    carrier, listener = await desk.websocket()
    desk.engine.close()
    assert desk.engine.sessions == {}
    assert all(each.reasons == ["forced close"] for each in (poller.listener, probed.listener, listener))
    assert (await poll).body == b"1"
    assert (carrier.closed, probe.closed) == (["close"], ["close"])
    desk.engine.close()
    assert listener.reasons == ["forced close"]


async def test_a_closed_server_takes_nobody_until_it_opens_again() -> None:
    desk = Desk()
    desk.engine.close()
    assert (await desk.handle(make_request())).status == 503
    assert (await refused(desk, make_request(WEBSOCKET))).status == 503
    desk.engine.reopen()
    await desk.polling()
    await desk.websocket()


async def test_a_websocket_that_was_shaking_hands_when_the_server_closed_is_closed() -> None:
    desk = Desk()
    request = make_request(WEBSOCKET)
    session, _ = await desk.engine.admit(request)
    desk.engine.close()
    carrier = FakeCarrier()
    desk.engine.open_websocket(request, session, carrier)
    assert (carrier.closed, carrier.sent) == (["close"], [])
    assert desk.engine.sessions == {}
