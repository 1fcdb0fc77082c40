"""What the owner is told of a request, and the request that it makes of that."""

from __future__ import annotations

import pytest

from socketeer.adapters.forwarding.requests import asked, fits, rebuilt, refusal, refused, small_body
from socketeer.engine.http.message import Request
from socketeer.engine.request import RequestRefused
from tests.engine.fakes import Upload, make_request

SID = "nodeid12345678901234"


@pytest.mark.parametrize(
    ("query", "again"),
    [
        (f"EIO=4&transport=polling&sid={SID}", f"EIO=4&transport=polling&sid={SID}"),
        (f"EIO=3&transport=polling&sid={SID}&j=5", f"EIO=3&transport=polling&sid={SID}&j=0"),
        (f"transport=polling&sid={SID}", f"EIO=3&transport=polling&sid={SID}"),
        (f"EIO=4&EIO=4&transport=polling&sid={SID}", f"EIO=3&transport=polling&sid={SID}"),
        (f"EIO=4&transport=polling&b64=&t=abc&sid={SID}", f"EIO=4&transport=polling&sid={SID}&b64=1"),
        (
            "EIO=4&sid=nodeid%2F%26%3D%25%23+1234567890",
            "EIO=4&transport=polling&sid=nodeid%2F%26%3D%25%23%201234567890",
        ),
    ],
)
def test_the_query_says_the_same(query: str, again: str) -> None:
    made = rebuilt(asked(make_request(query)), "/socket.io", websocket=False)
    assert made.query_string == again
    assert made.query["sid"] == make_request(query).query["sid"]


def test_a_websocket_says_so() -> None:
    made = rebuilt(asked(make_request(f"EIO=4&transport=websocket&sid={SID}")), "/socket.io", websocket=True)
    assert made.query["transport"] == "websocket"


@pytest.mark.parametrize(
    "error",
    [
        RequestRefused(1, {"sid": SID}),
        RequestRefused(3, {"name": "TRANSPORT_MISMATCH"}),
        RequestRefused(3, {"name": None}, None, 503),
    ],
)
def test_a_refusal_comes_back(error: RequestRefused) -> None:
    request = make_request(f"sid={SID}")
    again = refusal(refused(error), request)
    assert (again.code, again.status, again.context, again.request) == (
        error.code,
        error.status,
        error.context,
        request,
    )


def post(length: str | None, body: Upload | None = None) -> Request:
    headers = [] if length is None else [("content-length", length)]
    return make_request(f"sid={SID}", "POST", headers=headers, body=body)


@pytest.mark.parametrize(
    ("length", "small"),
    [
        ("0", True),
        ("1000", True),
        ("1001", False),
        (None, False),
        ("-1", False),
        ("9" * 30, False),
        ("x", False),
    ],
)
def test_which_bodies_go_with_their_request(length: str | None, small: bool) -> None:
    assert fits(post(length), 1000) is small
    assert fits(make_request(f"sid={SID}"), 1000)


async def test_a_small_body_is_read_whole() -> None:
    assert await small_body(post("4", Upload.of(b"42", b"[]")), 10) == b"42[]"
    assert await small_body(make_request(f"sid={SID}"), 10) == b""


async def test_a_small_body_that_does_not_end() -> None:
    with pytest.raises(TimeoutError):
        await small_body(post("4", Upload()), 0.01)
    with pytest.raises(ConnectionError, match="announced"):
        await small_body(post("3", Upload.of(b"42[]")), 10)
