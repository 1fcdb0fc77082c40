"""Requests that land on a node which does not own their session: everything is as if they had not."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from socketeer import Cookie, Cors, Server
from socketeer.adapters import RedisAdapter
from socketeer.adapters.forwarding import forwarding_for, liveness
from socketeer.engine.request import RequestRefused
from tests.adapters.bus import Exchange, LoopBus
from tests.adapters.forwarding.stage import Factory, client, cluster, joined, until
from tests.engine.fakes import Line, Upload, make_request

UNKNOWN = {"code": 1, "message": "Session ID unknown"}


# --- who takes part --------------------------------------------------------------------------------


async def test_ids_name_their_node() -> None:
    async with cluster() as (a, b):
        assert re.fullmatch(r"[A-Za-z0-9_-]{6}", a.engine.node_id)
        assert a.engine.node_id != b.engine.node_id
        for node in (a, b):
            poller = await client(node)
            assert re.fullmatch(r"[A-Za-z0-9_-]{20}", poller.sid)
            assert poller.sid.startswith(node.engine.node_id)


async def test_a_node_that_starts_again_is_another_one() -> None:
    async with cluster() as (a, _):
        before = a.engine.node_id
        await a.io.close()
        a.io.start()
        assert a.engine.node_id != before
        assert a.engine.relay is not None


async def test_without_a_bus_or_where_it_is_switched_off_nothing_is_passed_on() -> None:
    for io in (Server(), Server(adapter=Factory(LoopBus(Exchange()), forwarding=False))):
        io.start()
        assert io.engine.node_id == ""
        assert io.engine.relay is None
        await io.close()


def test_the_adapters_of_redis_can_switch_it_off() -> None:
    engine = Server().engine
    assert forwarding_for(RedisAdapter(key="mine"), engine) is not None
    assert forwarding_for(RedisAdapter(forwarding=False), engine) is None


async def test_ids_of_ones_own_are_passed_on_where_they_name_the_node() -> None:
    async with cluster() as (a, b):
        numbers = iter(range(10))
        a.engine.generate_id = lambda _: f"{a.engine.node_id}.of-the-application/{next(numbers)}"
        poller = await client(a)
        assert (await poller.get(b)).body.startswith(b"40")


# --- polling ---------------------------------------------------------------------------------------


async def test_polls_and_posts_are_answered_by_the_owner() -> None:
    async with cluster() as (a, b):
        poller = await client(a)
        assert (await poller.get(b)).body.startswith(b"40")
        answer = await poller.post(b, b'420["echo","\xc3\xa9"]')
        assert (answer.status, answer.headers, answer.body) == (200, {"content-type": "text/html"}, b"ok")
        assert (await poller.get(b)).body == '430["é"]'.encode()
        assert a.heard == ["é"]
        assert (a.tunnels, b.tunnels, len(b.sessions())) == (0, 0, 0)


async def test_a_poll_waits_as_long_as_it_has_to() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        poll = asyncio.create_task(poller.get(b))
        await until(lambda: a.tunnels)
        a.io.emit("news", 1)
        assert (await poll).body == b'42["news",1]'


@pytest.mark.parametrize("size", [70_000, 900_000])
async def test_large_payloads_go_both_ways(size: int) -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        text = "x" * size
        assert (await poller.post(b, f'42["echo","{text}"]'.encode())).status == 200
        assert a.heard == [text]
        a.io.emit("news", text)
        assert (await poller.get(b)).body == f'42["news","{text}"]'.encode()


async def test_a_body_of_unknown_length_comes_in_pieces() -> None:
    async with cluster() as (a, b):
        poller, upload = await joined(a), Upload()
        posting = asyncio.create_task(poller.post(b, upload))
        upload.put(b'42["echo",')
        await until(lambda: a.tunnels)
        upload.put(b'"pieces"]')
        upload.end()
        assert (await posting).status == 200
        assert a.heard == ["pieces"]


async def test_too_large_a_body_is_refused_and_the_session_lives_on() -> None:
    async with cluster(max_http_buffer_size=1000) as (a, b):
        poller = await joined(a)
        assert (await poller.post(b, b"4" * 1001)).status == 413
        assert (await poller.post(b, b"4" * 400_000)).status == 413
        assert (await poller.post(b, Upload.of(b"4" * 2000))).status == 413
        assert (await poller.post(b, b'42["echo",1]')).status == 200


async def test_a_client_that_goes_while_it_polls_ends_its_session() -> None:
    async with cluster() as (a, b):
        poller, line = await joined(a), Line()
        poll = asyncio.create_task(poller.get(b, line=line))
        await until(lambda: a.tunnels)
        line.cut.set()
        await poll
        await until(lambda: a.reasons == ["transport error"])
        assert (a.tunnels, b.tunnels) == (0, 0)


@pytest.mark.parametrize("length", ["10", "100000"])
async def test_a_client_that_goes_in_the_middle_of_a_body_ends_its_session(length: str) -> None:
    async with cluster() as (a, b):
        poller, upload = await joined(a), Upload()
        posting = asyncio.create_task(poller.post(b, upload, headers=[("content-length", length)]))
        upload.put(b"42[")
        upload.fail(ConnectionResetError("of the test"))
        assert (await posting).status == 400
        await until(lambda: a.reasons == ["transport error"])
        assert (a.tunnels, b.tunnels) == (0, 0)


async def test_two_polls_at_once_end_the_session() -> None:
    async with cluster(3) as (a, b, c):
        poller = await joined(a)
        first = asyncio.create_task(poller.get(b))
        await until(lambda: a.tunnels)
        assert (await poller.get(c)).status == 400
        assert (await first).body == b"1"
        assert a.reasons == ["transport error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_other_methods_are_answered_as_by_the_owner(method: str) -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        assert (
            (await b.handle(poller.query, method)).status
            == (await a.handle(poller.query, method)).status
            == 500
        )


async def test_answers_are_compressed_once() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        a.io.emit("news", "x" * 100_000)
        answer = await poller.get(b, headers=[("accept-encoding", "gzip")])
        assert answer.headers["content-encoding"] == "gzip"
        assert len(answer.body) < 2000


async def test_clients_of_version_2_are_served() -> None:
    async with cluster(allow_eio3=True) as (a, b):
        opened = await a.handle("EIO=3&transport=polling&b64=1")
        sid = json.loads(opened.body[opened.body.index(b"{") : opened.body.index(b"}") + 1])["sid"]
        query = f"EIO=3&transport=polling&sid={sid}"
        assert (await b.handle(query, "POST", body=b"1:2", headers=[("content-length", "3")])).body == b"ok"
        assert (await b.handle(query)).body == b"1:3"
        other = await b.handle(f"EIO=4&transport=polling&sid={sid}")
        assert (other.status, json.loads(other.body)["code"]) == (400, 3)


# --- what belongs to the connection is done once, where it lands ------------------------------------


async def test_headers_of_the_answer_are_made_where_it_lands() -> None:
    async with cluster(cors=Cors(origin="http://page.example"), cookie=Cookie()) as (a, b):
        poller = await joined(a)
        told: list[str] = []
        for name, node in (("a", a), ("b", b)):

            @node.engine.on("headers")
            def headers(headers: dict[str, str], request: Any, name: str = name) -> None:
                told.append(f"{name} {request.address}")
                headers["x-node"] = name

        answer = await poller.post(b, b'42["echo",1]', headers=[("origin", "http://page.example")])
        assert answer.headers == {
            "content-type": "text/html",
            "access-control-allow-origin": "http://page.example",
            "vary": "Origin",
            "x-node": "b",
        }
        assert told == ["b 192.0.2.7"]


async def test_a_wrong_origin_does_not_trouble_the_owner() -> None:
    async with cluster(cors=Cors(origin="http://page.example")) as (a, b):
        poller = await joined(a)
        published = b.bus.health.published
        answer = await poller.post(b, b'42["echo",1]', headers=[("origin", "http://other.example")])
        assert (answer.status, json.loads(answer.body)["code"]) == (403, 4)
        assert (a.heard, b.bus.health.published) == ([], published)


async def test_a_refusal_of_the_owner_is_told_where_it_landed() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        errors: list[Any] = []
        a.engine.on("connection_error", lambda error: errors.append("of a"))
        b.engine.on("connection_error", errors.append)
        await poller.upgraded(a)
        answer = await poller.get(b)
        assert (answer.status, json.loads(answer.body)["code"]) == (400, 3)
        (error,) = errors
        assert (error.code, error.context) == (3, {"name": "TRANSPORT_MISMATCH"})
        assert error.request.query["sid"] == poller.sid


# --- nobody there ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sid",
    [
        "",
        "short",
        "x" * 200,
        "abcdef\n1234567890123",
        "%00%00%00%00%00%00%00%00%00%00",
        "ab cdef0123456789012",
    ],
)
async def test_what_is_no_id_of_a_cluster_is_refused_at_once(sid: str) -> None:
    async with cluster() as (_, b):
        published = b.bus.health.published
        answer = await b.handle(f"EIO=4&transport=polling&sid={sid}")
        assert (answer.status, json.loads(answer.body)) == (400, UNKNOWN)
        assert b.bus.health.published == published


async def test_ids_of_ones_own_node_are_not_asked_for() -> None:
    async with cluster() as (_, b):
        published = b.bus.health.published
        answer = await b.handle(f"EIO=4&transport=polling&sid={b.engine.node_id}12345678901234")
        assert (answer.status, json.loads(answer.body)) == (400, UNKNOWN)
        assert b.bus.health.published == published


async def test_nodes_that_nobody_knows_are_not_waited_for() -> None:
    async with cluster() as (_, b):
        begun = asyncio.get_running_loop().time()
        answer = await b.handle("EIO=4&transport=polling&sid=abcdef12345678901234")
        assert (answer.status, json.loads(answer.body)) == (400, UNKNOWN)
        assert asyncio.get_running_loop().time() - begun < liveness.PATIENCE
        assert (b.tunnels, len(b.io._forwarding._peers)) == (0, 0)  # type: ignore[union-attr]
        with pytest.raises(RequestRefused) as caught:
            await b.engine.admit(make_request("EIO=4&transport=websocket&sid=abcdef12345678901234"))
        assert caught.value.code == 1


async def test_a_session_that_its_owner_does_not_know_any_more() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        poller.session.close(discard=True)
        answer = await poller.get(b)
        assert (answer.status, json.loads(answer.body)) == (400, UNKNOWN)


async def test_a_bus_that_is_away_is_said_at_once() -> None:
    async with cluster() as (a, b):
        poller = await joined(a)
        b.bus.health.away("of the test")
        errors: list[Any] = []
        b.engine.on("connection_error", errors.append)
        assert (await poller.get(b)).status == 503
        assert (errors[0].code, errors[0].context) == (3, {"name": "NODE_UNREACHABLE"})
        b.bus.health.up()
        assert (await poller.post(b, b'42["echo",1]')).status == 200
