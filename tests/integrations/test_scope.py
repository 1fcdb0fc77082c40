"""ASGI's terms as ours, and back."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from socketeer.engine.http.message import Response
from socketeer.engine.request import BAD_REQUEST, RequestRefused
from socketeer.integrations.scope import Body, Event, Scope, decode, encode, make_request, reject, respond
from tests.support.asgi import make_scope


def test_a_request() -> None:
    scope = make_scope(
        "http", "/x/", "polling", method="POST", headers=[(b"X-A", b"1"), (b"x-a", b"\xe9")], scheme="https"
    )
    request = make_request(scope, None)
    assert (request.method, request.path, request.query["transport"]) == ("POST", "/x/", "polling")
    assert request.headers == {"x-a": "1, é"}
    assert (request.address, request.secure, request.scope) == ("192.0.2.7", True, scope)
    assert request.body is None
    assert make_request({"type": "websocket", "path": "/", "headers": []}, None).address == ""


def test_a_request_of_a_server_that_has_classes_of_its_own() -> None:
    class Text(str):
        __slots__ = ()

    address = ip_address("192.0.2.7")
    scope = make_scope("http", Text("/x/"), "polling", method=Text("GET"))
    scope["client"] = (address, 5)
    request = make_request(scope, None)
    assert (request.method, request.path, str(request.address)) == ("GET", "/x/", "192.0.2.7")


def test_headers_there_and_back() -> None:
    assert encode({"X-A": "é"}) == [(b"x-a", b"\xe9")]
    assert decode([(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]) == [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]


async def collect(body: Body) -> list[bytes]:
    return [piece async for piece in body.pieces()]


def body_of(*events: Event) -> Body:
    left = list(events)

    async def receive() -> Event:
        return left.pop(0)

    return Body(receive)


async def test_a_body() -> None:
    body = body_of({"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.request"})
    assert await collect(body) == [b"a", b""]
    assert await collect(body) == []
    with pytest.raises(ConnectionResetError):
        await collect(body_of({"type": "http.disconnect"}))
    await body_of({"type": "http.request"}, {"type": "http.disconnect"}).disconnected()


@pytest.mark.parametrize(
    ("response", "lengths"),
    [
        (Response(200, body=b"four"), [b"4"]),
        (Response(200, body=b"four", streamed=True), []),
        (Response(204), []),
        (Response(304, streamed=True), []),
    ],
)
async def test_the_length_of_a_response(response: Response, lengths: list[bytes]) -> None:
    sent: list[Event] = []

    async def send(event: Event) -> None:
        sent.append(event)

    await respond(send, "http.response", response)
    assert [value for name, value in sent[0]["headers"] if name == b"content-length"] == lengths
    assert sent[1]["body"] == response.body


@pytest.mark.parametrize(
    ("scope", "kinds"),
    [
        ({"extensions": None}, ["websocket.close"]),
        (
            {"extensions": {"websocket.http.response": {}}},
            ["websocket.http.response.start", "websocket.http.response.body"],
        ),
    ],
)
async def test_a_refused_websocket(scope: Scope, kinds: list[str]) -> None:
    sent: list[Event] = []

    async def send(event: Event) -> None:
        sent.append(event)

    await reject(scope, send, RequestRefused(BAD_REQUEST))
    assert [event["type"] for event in sent] == kinds
