"""`engine.generate_id`: ids of the application's own, and what is none."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Callable
from typing import Any

import pytest

from socketeer.engine.http.message import Request
from socketeer.engine.request import RequestRefused
from tests.engine.fakes import Desk, FakeCarrier, make_request

WEBSOCKET = "EIO=4&transport=websocket"


def named(request: Request) -> str:
    return f"id-{request.query['name']}"


async def slowly(request: Request) -> str:
    await asyncio.sleep(0)
    return named(request)


@pytest.mark.parametrize("generate", [named, slowly])
async def test_both_transports(generate: Callable[[Request], Any]) -> None:
    desk = Desk(cookie=True)
    desk.engine.generate_id = generate
    poller = await desk.polling(query="EIO=4&transport=polling&name=a")
    assert poller.sid == "id-a"
    assert poller.opened.headers["set-cookie"].startswith("io=id-a;")
    await desk.websocket("&name=b")
    assert desk.engine.sessions.keys() == {"id-a", "id-b"}


async def test_the_usual_ones() -> None:
    desk = Desk()
    request = make_request()
    found = desk.engine.generate_id(request)
    assert isinstance(found, str)
    assert re.fullmatch(r"[\w-]{20}", found)


def failing(request: Request) -> str:
    raise RuntimeError("of the test")


async def failing_slowly(request: Request) -> str:
    await asyncio.sleep(0)
    raise RuntimeError("of the test")


@pytest.mark.parametrize("generate", [failing, failing_slowly, lambda _: "", lambda _: None, lambda _: b"x"])
async def test_what_is_no_id(generate: Any, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.engine.generate_id = generate
    errors: list[RequestRefused] = []
    desk.engine.on("connection_error", errors.append)
    response = await desk.handle(make_request())
    assert (response.status, response.body) == (400, b'{"code":3,"message":"Bad request"}')
    with pytest.raises(RequestRefused):
        await desk.engine.admit(make_request(WEBSOCKET))
    assert [error.context["name"] for error in errors] == ["ID_GENERATION_ERROR"] * 2
    assert len(caplog.records) == 2
    assert desk.engine.sessions == {}


async def test_an_id_is_given_once() -> None:
    desk = Desk()
    desk.engine.generate_id = lambda _: "same"
    request = make_request(WEBSOCKET)
    await desk.engine.admit(request)
    # Promised to a handshake that is on its way: nobody else gets it.
    assert (await desk.handle(make_request())).status == 400
    with pytest.raises(RequestRefused):
        await desk.engine.admit(make_request(WEBSOCKET))
    carrier = FakeCarrier()
    desk.engine.open_websocket(request, None, carrier)
    assert desk.engine.sessions.keys() == {"same"}
    assert (await desk.handle(make_request())).status == 400
    carrier.vanishes()
    assert (await desk.handle(make_request())).status == 200


async def test_a_handshake_that_ends_gives_its_id_back() -> None:
    desk = Desk()
    desk.engine.generate_id = lambda _: "same"
    await desk.engine.admit(make_request(WEBSOCKET))
    gc.collect()
    assert (await desk.handle(make_request())).status == 200


async def test_in_a_cluster_they_name_their_node() -> None:
    desk = Desk()
    desk.engine.join_cluster("node-1", None)
    poller = await desk.polling()
    _, listener = await desk.websocket()
    for sid in (poller.sid, listener.session.id):
        assert re.fullmatch(r"node-1[\w-]{14}", sid)
    assert desk.engine.node_id == "node-1"


async def test_who_wraps_the_usual_ones_gets_those_of_the_cluster() -> None:
    desk = Desk()
    given = desk.engine.generate_id
    desk.engine.generate_id = lambda request: given(request)  # noqa: PLW0108 - not the same object
    desk.engine.join_cluster("node-1", None)
    assert (await desk.polling()).sid.startswith("node-1")
