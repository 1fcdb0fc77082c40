"""The checks of a request where Engine.IO 3 is allowed: versions, JSONP, and the page that a script stands in."""

from __future__ import annotations

import pytest

from socketeer.engine.request import RequestRefused, check, check_version, protocol_of, with_origin_of_page
from socketeer.options import Cors, EngineOptions
from tests.engine.fakes import Desk, make_request

ALLOWED = EngineOptions(allow_eio3=True)
POLLING = "EIO=3&transport=polling"
HOST = ("host", "localhost:3000")
OWN_PAGE = ("referer", "http://localhost:3000/page?query")
STRANGER = ("referer", "http://stranger.example/page")

VERSIONS = [
    ("4", 4),
    ("3", 3),
    ("", 3),
    ("2", 3),
    ("5", 3),
    ("04", 3),
    ("4.0", 3),
    ("%D9%A4", 3),
    ("4&EIO=4", 3),
]


@pytest.mark.parametrize(("version", "protocol"), VERSIONS)
def test_whatever_does_not_say_4_is_3(version: str, protocol: int) -> None:
    request = make_request(f"EIO={version}&transport=polling")
    assert protocol_of(request) == protocol
    check_version(request, allow_eio3=True)
    if protocol != 4:
        with pytest.raises(RequestRefused) as caught:
            check_version(request)
        assert caught.value.code == 5


def test_jsonp_is_for_engine_io_3_on_polling() -> None:
    check(make_request(f"{POLLING}&j=0"), {}, ALLOWED, websocket=False)
    for query, options, websocket in (
        (f"{POLLING}&j=0", EngineOptions(), False),
        ("EIO=4&transport=polling&j=0", ALLOWED, False),
        ("EIO=3&transport=websocket&j=0", ALLOWED, True),
    ):
        with pytest.raises(RequestRefused) as caught:
            check(make_request(query), {}, options, websocket)
        assert (caught.value.code, caught.value.context) == (3, {"name": "JSONP_UNSUPPORTED"})


async def test_a_session_keeps_its_protocol() -> None:
    desk = Desk(allow_eio3=True)
    await desk.handle(make_request(POLLING))
    await desk.handle(make_request("EIO=4&transport=polling"))
    for session in desk.engine.sessions.values():
        right, wrong = ("3", "4") if session.protocol == 3 else ("4", "3")
        for transport, websocket in (("polling", False), ("websocket", True)):
            query = f"transport={transport}&sid={session.id}&EIO="
            assert check(make_request(query + right), desk.engine.sessions, ALLOWED, websocket) is session
            with pytest.raises(RequestRefused) as caught:
                check(make_request(query + wrong), desk.engine.sessions, ALLOWED, websocket)
            assert caught.value.context == {"name": "PROTOCOL_MISMATCH"}


# --- the page of a script --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("referer", "origin"),
    [
        ("http://localhost:3000/page?query#part", "http://localhost:3000"),
        ("https://a.example", "https://a.example"),
        ("", "null"),
        ("about:blank", "null"),
        ("file:///home/page.html", "null"),
        ("//a.example/page", "null"),
        ("http://[::1/page", "null"),
        ("nonsense", "null"),
    ],
)
def test_the_origin_of_a_script_is_its_pages(referer: str, origin: str) -> None:
    request = make_request(f"{POLLING}&j=0", headers=[HOST, ("referer", referer)])
    assert with_origin_of_page(request).headers["origin"] == origin
    assert "origin" not in request.headers


def test_other_requests_are_taken_as_they_are() -> None:
    for request in (
        make_request(POLLING, headers=[STRANGER]),
        make_request(f"{POLLING}&j=0", headers=[("origin", "http://a.example"), STRANGER]),
    ):
        assert with_origin_of_page(request) is request


@pytest.mark.parametrize(
    ("cors", "headers", "status"),
    [
        (None, [HOST, OWN_PAGE], 200),
        (None, [HOST, STRANGER], 403),
        (None, [HOST], 403),
        (None, [HOST, ("origin", "http://stranger.example"), OWN_PAGE], 403),
        (Cors(origin="http://stranger.example"), [HOST, STRANGER], 200),
        (Cors(origin="http://stranger.example"), [HOST], 403),
        (Cors(origin="*"), [HOST], 200),
    ],
)
async def test_scripts_of_other_pages(cors: Cors | None, headers: list[tuple[str, str]], status: int) -> None:
    desk = Desk(allow_eio3=True, cors=cors)
    response = await desk.handle(make_request(f"{POLLING}&j=0", headers=headers))
    assert response.status == status
    assert len(desk.engine.sessions) == (1 if status == 200 else 0)
