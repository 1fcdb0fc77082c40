"""What a client said when it connected."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from socketeer.server.handshake import Handshake
from tests.support.inprocess import Lobby, Poller, make_request


def test_what_it_holds() -> None:
    request = make_request("&room=a%20b&room=c", [("x-token", "t"), ("cookie", "a=1"), ("cookie", "b=2")])
    handshake = Handshake(request, {"token": "secret"})
    assert handshake.auth == {"token": "secret"}
    assert handshake.query == {"EIO": "4", "transport": "websocket", "room": "c"}
    assert handshake.headers == {"host": "localhost:3000", "x-token": "t", "cookie": "a=1; b=2"}
    assert handshake.url == "/socket.io/?EIO=4&transport=websocket&room=a%20b&room=c"
    assert handshake.address == "192.0.2.7"
    assert handshake.secure is False
    assert handshake.xdomain is False


def test_another_origin() -> None:
    assert Handshake(make_request(headers=[("origin", "http://localhost:5174")]), {}).xdomain is True


def test_encrypted() -> None:
    assert Handshake(make_request(secure=True), {}).secure is True


@pytest.mark.parametrize(
    ("issued", "text"),
    [
        (0, "Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)"),
        (1_795_333_378_999, "Sun Nov 22 2026 07:42:58 GMT+0000 (Coordinated Universal Time)"),
        (951_782_400_000, "Tue Feb 29 2000 00:00:00 GMT+0000 (Coordinated Universal Time)"),
    ],
)
def test_time_as_javascript_writes_it(issued: int, text: str) -> None:
    assert Handshake(make_request(), {}, issued).time == text


def test_made_now() -> None:
    before = int(time.time() * 1000)
    handshake = Handshake(make_request(), {})
    assert before <= handshake.issued <= int(time.time() * 1000)
    assert re.fullmatch(r"\w{3} \w{3} \d\d \d{4} [\d:]{8} GMT\+0000 \(.*\)", handshake.time)


def test_the_secret_of_a_client_is_not_in_its_repr() -> None:
    request = make_request(headers=[("cookie", "session=secret")])
    assert "secret" not in repr(Handshake(request, {}))


@pytest.mark.parametrize(
    ("connect", "auth"), [("40", {}), ("40{}", {}), ('40{"token":{"a":[1]}}', {"token": {"a": [1]}})]
)
async def test_auth_as_it_was_sent(connect: str, auth: Any) -> None:
    lobby = Lobby()
    client = lobby.client()
    client.say(connect)
    (socket,) = lobby.io.sockets.sockets.values()
    assert socket.handshake.auth == auth


async def test_each_namespace_has_its_own_auth_and_the_request_is_shared() -> None:
    lobby = Lobby()
    client = lobby.client()
    main, chat = client.connect(auth={"n": 1}), client.connect("/chat", auth={"n": 2})
    assert (main.handshake.auth, chat.handshake.auth) == ({"n": 1}, {"n": 2})
    assert main.handshake.request is chat.handshake.request


async def test_the_first_request_is_the_one_that_counts() -> None:
    """Over polling each packet comes with a request of its own."""
    lobby = Lobby()
    poller = Poller(lobby.io, [("x-token", "first")])
    socket = await poller.open()
    poller.headers = [("x-token", "later")]
    await poller.post('42["x"]')
    assert socket.handshake.headers == {"x-token": "first"}
    assert socket.handshake.query == {"EIO": "4", "transport": "polling"}
