"""The checks of a request: what is refused, with which code, in which order."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from socketeer.engine.http.message import MAX_QUERY_FIELDS, Request
from socketeer.engine.request import RequestRefused, check, check_version
from socketeer.engine.session import Session
from socketeer.options import EngineOptions
from tests.engine.fakes import Desk, make_request

OPTIONS = EngineOptions()

POLLING = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"


def handshake(request: Request, websocket: bool, options: EngineOptions) -> None:
    assert check(request, {}, options, websocket) is None
    check_version(request)


def accepted(
    query: str,
    method: str = "GET",
    websocket: bool = False,
    headers: Iterable[tuple[str, str]] = (),
    options: EngineOptions = OPTIONS,
) -> None:
    handshake(make_request(query, method, headers=headers), websocket, options)


def refused(
    query: str,
    method: str = "GET",
    websocket: bool = False,
    headers: Iterable[tuple[str, str]] = (),
    options: EngineOptions = OPTIONS,
) -> RequestRefused:
    request = make_request(query, method, headers=headers)
    with pytest.raises(RequestRefused) as caught:
        handshake(request, websocket, options)
    assert caught.value.request is request
    return caught.value


# --- handshakes ------------------------------------------------------------------------------------


def test_good_handshakes() -> None:
    accepted(POLLING)
    accepted(WEBSOCKET, websocket=True)
    accepted("transport=polling&EIO=4&t=abc&b64=1&unknown=%00")
    accepted(POLLING, headers=[("origin", "http://localhost:5174")])


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(
    "transport",
    [
        "",
        "transport",
        "transport=",
        "transport=foo",
        "transport=Polling",
        "transport=polling%20",
        "transport=__proto__",
        "transport=constructor",
        "transport=webtransport",
        "transport=polling&transport=polling",
        "Transport=polling",
        "transport=polling&transport=websocket",
        "transport=polling\u0000",
    ],
)
def test_unknown_transport(transport: str, websocket: bool) -> None:
    error = refused(f"EIO=4&{transport}", websocket=websocket)
    assert (error.code, error.status, error.message) == (0, 400, "Transport unknown")
    assert error.context.keys() == {"transport"}


def test_a_transport_that_is_switched_off_is_unknown() -> None:
    only = EngineOptions(transports=("websocket",))
    assert refused(POLLING, options=only).context == {"transport": "polling"}
    accepted(WEBSOCKET, websocket=True, options=only)
    only = EngineOptions(transports=("polling",))
    assert refused(WEBSOCKET, websocket=True, options=only).code == 0
    accepted(POLLING, options=only)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", ""])
def test_a_handshake_is_a_get(method: str) -> None:
    error = refused(POLLING, method)
    assert (error.code, error.context) == (2, {"method": method})
    assert error.message == "Bad handshake method"


@pytest.mark.parametrize(("query", "websocket"), [(WEBSOCKET, False), (POLLING, True)])
def test_the_transport_is_the_one_that_was_asked_for(query: str, websocket: bool) -> None:
    error = refused(query, websocket=websocket)
    assert (error.code, error.context) == (3, {"name": "TRANSPORT_HANDSHAKE_ERROR"})
    assert error.message == "Bad request"


@pytest.mark.parametrize(
    "version", ["", "EIO", "EIO=", "EIO=3", "EIO=5", "EIO=04", "EIO=4.0", "EIO=%D9%A4", "EIO=4&EIO=4"]
)
@pytest.mark.parametrize(("transport", "websocket"), [("polling", False), ("websocket", True)])
def test_version(version: str, transport: str, websocket: bool) -> None:
    error = refused(f"transport={transport}&{version}", websocket=websocket)
    assert (error.code, error.message) == (5, "Unsupported protocol version")
    assert error.context.keys() == {"protocol"}


@pytest.mark.parametrize("origin", ["http://\u00e9", "a\x00b", "a\r\nb", "\x7f", "\xff"])
def test_characters_that_no_origin_has(origin: str) -> None:
    error = refused(POLLING, headers=[("origin", origin)])
    assert (error.code, error.context) == (3, {"name": "INVALID_ORIGIN"})


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:3000",
        "192.0.2.7:65535",
        "[::1]:3000",
        "[2001:db8::1]",
        "xn--bcher-kva.example",
        "a_b.c-d~",
    ],
)
def test_hosts(host: str) -> None:
    accepted(POLLING, headers=[("host", host)])


@pytest.mark.parametrize(
    "hosts",
    [
        *(
            [host]
            for host in (
                "",
                " ",
                "a b",
                "a,b",
                "a/b",
                "a@b",
                "a:b",
                "a:1:2",
                "a:65536",
                "a:-1",
                "a\n",
                "a\x00",
            )
        ),
        *([host] for host in ("[::1", "::1", "[g]", "b\u00fccher.example")),
        ["a", "a"],
        ["a", "b"],
    ],
)
def test_what_no_host_is(hosts: list[str]) -> None:
    error = refused(POLLING, headers=[("host", host) for host in hosts])
    assert (error.code, error.context) == (3, {"name": "INVALID_HOST"})


@pytest.mark.parametrize("query", [POLLING + "&j=0", POLLING + "&j"])
def test_jsonp_is_not_spoken(query: str) -> None:
    assert refused(query).context == {"name": "JSONP_UNSUPPORTED"}


def test_the_order_of_the_checks_is_the_official_servers() -> None:
    """Each request below mends the first fault of the one before it."""
    bad_origin = [("origin", "\x00")]
    assert refused("transport=x&EIO=3&sid=x&j=1", "PUT", headers=bad_origin).code == 0
    assert (
        refused("transport=websocket&EIO=3&sid=x&j=1", "PUT", headers=bad_origin).context["name"]
        == "INVALID_ORIGIN"
    )
    assert refused("transport=websocket&EIO=3&sid=x", "PUT").code == 1
    assert refused("transport=websocket&EIO=3", "PUT").code == 2
    assert refused("transport=websocket&EIO=3").context["name"] == "TRANSPORT_HANDSHAKE_ERROR"
    assert refused("transport=polling&EIO=3").code == 5
    accepted("transport=polling&EIO=4")


def test_a_query_of_too_many_parameters_is_a_value_error() -> None:
    accepted(POLLING + "&x=1" * (MAX_QUERY_FIELDS - 2))
    with pytest.raises(ValueError, match="fields"):
        check(make_request(POLLING + "&x=1" * (MAX_QUERY_FIELDS - 1)), {}, OPTIONS, websocket=False)


# --- requests of a session -------------------------------------------------------------------------


class Sessions:
    """One session on each transport, by the names `polling` and `websocket`."""

    def __init__(self, desk: Desk, polling: Session, websocket: Session) -> None:
        self.known = desk.engine.sessions
        self.polling = polling
        self.websocket = websocket

    def find(
        self, query: str, session: Session, method: str = "GET", *, websocket: bool = False
    ) -> Session | None:
        return check(self.request(query, session, method), self.known, OPTIONS, websocket)

    def refused(self, query: str, session: Session, *, websocket: bool = False) -> RequestRefused:
        with pytest.raises(RequestRefused) as caught:
            self.find(query, session, websocket=websocket)
        return caught.value

    @staticmethod
    def request(query: str, session: Session, method: str = "GET") -> Request:
        return make_request(f"{query}&sid={session.id}", method)


@pytest.fixture
async def sessions() -> Sessions:
    desk = Desk()
    poller = await desk.polling()
    _, listener = await desk.websocket()
    return Sessions(desk, poller.session, listener.session)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_a_session_is_found_by_its_id(sessions: Sessions, method: str) -> None:
    assert sessions.find(POLLING, sessions.polling, method) is sessions.polling


async def test_a_websocket_may_ask_for_either_session(sessions: Sessions) -> None:
    """Whether it may take the session over is not decided here."""
    assert sessions.find(WEBSOCKET, sessions.polling, websocket=True) is sessions.polling
    assert sessions.find(WEBSOCKET, sessions.websocket, websocket=True) is sessions.websocket


@pytest.mark.parametrize(
    "sid", ["", "x", "__proto__", "constructor", "%00", "%C3%A9", "x" * 100_000, "' OR 1=1"]
)
@pytest.mark.parametrize("websocket", [False, True])
async def test_unknown_session(sessions: Sessions, sid: str, websocket: bool) -> None:
    request = make_request(f"{WEBSOCKET if websocket else POLLING}&sid={sid}")
    with pytest.raises(RequestRefused) as caught:
        check(request, sessions.known, OPTIONS, websocket)
    assert (caught.value.code, caught.value.message) == (1, "Session ID unknown")
    assert not sid or sid[:8] not in caught.value.response().body.decode()


async def test_an_id_given_twice_is_unknown(sessions: Sessions) -> None:
    twice = f"{POLLING}&sid={sessions.polling.id}"
    assert sessions.refused(twice, sessions.polling).code == 1
    assert sessions.refused(twice, sessions.polling).context == {"sid": None}


async def test_an_id_that_differs_in_case_or_length_is_unknown(sessions: Sessions) -> None:
    sid = sessions.polling.id
    for other in (sid.swapcase(), sid + "A", sid[:-1], " " + sid):
        with pytest.raises(RequestRefused) as caught:
            check(make_request(f"{POLLING}&sid={other}"), sessions.known, OPTIONS, websocket=False)
        assert caught.value.code == 1


async def test_the_transport_is_the_sessions(sessions: Sessions) -> None:
    mismatch = {"name": "TRANSPORT_MISMATCH"}
    assert sessions.refused(POLLING, sessions.websocket).context == mismatch
    assert sessions.refused(WEBSOCKET, sessions.polling).context == mismatch
    assert sessions.refused(POLLING, sessions.polling, websocket=True).context == mismatch
    assert sessions.refused(POLLING, sessions.polling, websocket=True).code == 3


@pytest.mark.parametrize("version", ["", "EIO=3&", "EIO=4&EIO=4&"])
async def test_the_version_is_the_sessions(sessions: Sessions, version: str) -> None:
    error = sessions.refused(f"{version}transport=polling", sessions.polling)
    assert (error.code, error.context) == (3, {"name": "PROTOCOL_MISMATCH"})
    error = sessions.refused(f"{version}transport=websocket", sessions.polling, websocket=True)
    assert (error.code, error.context) == (3, {"name": "PROTOCOL_MISMATCH"})


async def test_a_session_that_has_ended_is_unknown(sessions: Sessions) -> None:
    sessions.polling.close(discard=True)
    assert sessions.refused(POLLING, sessions.polling).code == 1


# --- the answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (RequestRefused(0), 400, {"code": 0, "message": "Transport unknown"}),
        (RequestRefused(4, status=403), 403, {"code": 4, "message": "Forbidden"}),
        (
            RequestRefused(4, {"message": "no \u00e9 <b>"}, status=403),
            403,
            {"code": 4, "message": "no \u00e9 <b>"},
        ),
        (RequestRefused(3, {"name": "X"}, status=503), 503, {"code": 3, "message": "Bad request"}),
        (RequestRefused(1, {"sid": "<script>"}), 400, {"code": 1, "message": "Session ID unknown"}),
    ],
)
def test_the_answer_is_json(error: RequestRefused, status: int, body: dict[str, object]) -> None:
    response = error.response()
    assert response.status == status
    assert response.headers == {"content-type": "application/json"}
    assert json.loads(response.body) == body
