"""Opening sessions: addresses, transports, redirects, what a hostile server may answer, and that nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from socketeer.engine.client import server_root
from socketeer.errors import TransportError
from tests.engine.client_peers import (
    Asked,
    Ear,
    Line,
    Scripted,
    open_packet,
    opener,
    scripted,
    until,
)
from tests.support.raw import frame


async def plain(server: Scripted, line: Line, asked: Asked) -> bool | None:
    """A server that opens sessions over either transport, answers nothing else, and takes each POST."""
    if asked.headers.get("upgrade") == "websocket":
        await line.upgrade(asked)
        await line.text(open_packet())
        await line.close_frames()
        return False
    if asked.method == "POST":
        await line.answer()
    elif "sid" not in asked.query:
        await line.answer(open_packet())
    else:
        await line.gone()
        return False
    return None


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_the_query_is_the_users_and_then_the_protocols(transport: str) -> None:
    query = {"token": "a=b&c", "näme": "Grüße 😀", "empty": "", "plus": "1+1 = 2"}
    async with (
        scripted(plain) as server,
        opener(server.url, transports=(transport,), query=query, path="/deep/söcket") as one,
    ):
        await one.open()
        asked = server.asked[0]
        assert asked.names == [*query, "EIO", "transport", *(["t"] if transport == "polling" else [])]
        assert {name: asked.query[name] for name in query} == query
        assert (asked.query["EIO"], asked.query["transport"]) == ("4", transport)
        assert asked.path == "/deep/s%C3%B6cket/"
        assert asked.headers["host"] == f"127.0.0.1:{server.port}"


async def test_every_poll_has_a_new_timestamp_and_the_same_session() -> None:
    async with scripted(plain) as server, opener(server.url, force_base64=True) as one:
        await one.open()
        await until(lambda: len(server.asked) == 2, "a poll")
        first, second = server.asked
        assert first.names == ["EIO", "transport", "t", "b64"]
        assert second.names == ["EIO", "transport", "sid", "t", "b64"]
        assert second.query["sid"] == "a-session"
        assert first.query["t"] != second.query["t"]


async def test_a_session_id_with_odd_characters_stays_one_parameter() -> None:
    sid = "a&b=c#d?e/../ f\r\nX: y\x00é"

    async def script(server: Scripted, line: Line, asked: Asked) -> None:
        if "sid" not in asked.query:
            await line.answer(open_packet(sid=sid))
        else:
            await line.gone()

    async with scripted(script) as server, opener(server.url) as one:
        session = await one.open()
        assert session.id == sid
        await until(lambda: len(server.asked) == 2, "a poll")
        assert server.asked[1].query["sid"] == sid
        assert server.asked[1].path == "/socket.io/"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_an_ipv6_host(transport: str) -> None:
    async with scripted(plain, host="::1") as server, opener(server.url, transports=(transport,)) as one:
        await one.open()
        assert server.asked[0].headers["host"] == f"[::1]:{server.port}"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_user_and_password_become_a_header(transport: str) -> None:
    async with scripted(plain) as server:
        url = server.url.replace("http://", "http://us%40er:p%3Ass@")
        async with opener(url, transports=(transport,)) as one:
            await one.open()
            assert server.asked[0].headers["authorization"] == "Basic dXNAZXI6cDpzcw=="
            assert server.asked[0].headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h", "http://h"),
        ("ws://h:80", "http://h:80"),
        ("wss://H.example/nsp?x=1#f", "https://h.example"),
        ("https://[::1]:3", "https://[::1]:3"),
        ("http://bücher.example:1", "http://xn--bcher-kva.example:1"),
    ],
)
def test_the_root_of_an_address(url: str, root: str) -> None:
    assert server_root(url) == (root, {})


@pytest.mark.parametrize(
    "url", ["http://h:99999", "http://[::1", "http://h:x", "http://" + "a" * 64, "http://a..b"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        server_root(url)


# --- transports -----------------------------------------------------------------------------------


async def test_headers_go_with_each_request() -> None:
    headers = {"X-Token": "s3cret", "Cookie": "mine=1"}
    upgrades = {"upgrades": ["websocket"]}

    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        if "sid" in asked.query or asked.headers.get("upgrade"):
            return await plain(server, line, asked)
        await line.answer(open_packet(**upgrades), headers={"Set-Cookie": "lb=node2; Path=/"})
        return None

    async with scripted(script) as server, opener(server.url, extra_headers=headers) as one:
        session = await one.open()
        session.send(_message("x"))
        await until(lambda: len(server.asked) == 4, "a poll, a POST and a WebSocket")
        assert [each.headers["x-token"] for each in server.asked] == ["s3cret"] * 4
        assert server.asked[0].headers["cookie"] == "mine=1"
        assert {each.headers["cookie"] for each in server.asked[1:]} == {"mine=1; lb=node2"}
        post = next(each for each in server.asked if each.method == "POST")
        assert post.headers["content-type"] == "text/plain;charset=UTF-8"
        assert post.headers["accept"] == "*/*"
        assert post.body == b"4x"


def _message(text: str) -> Any:
    from socketeer.protocol.frame import Message

    return Message(b"4" + text.encode())


def only(transport: str) -> Callable[..., Awaitable[bool | None]]:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        if asked.query["transport"] != transport:
            await line.answer(b'{"code":0,"message":"Transport unknown"}', 400)
            return None
        return await plain(server, line, asked)

    return script


@pytest.mark.parametrize("there", ["polling", "websocket"])
async def test_the_next_transport_is_tried_if_that_is_asked_for(there: str) -> None:
    wanted = ("polling", "websocket") if there == "websocket" else ("websocket", "polling")
    async with scripted(only(there)) as server:
        async with opener(server.url, transports=wanted) as one:
            with pytest.raises(TransportError, match=r"status 400.*Transport unknown") as caught:
                await one.open()
            assert caught.value.description == 400
        async with opener(server.url, transports=wanted, try_all_transports=True) as one:
            session = await one.open()
            assert session.transport.name == there


async def test_an_upgrade_is_remembered_until_the_websocket_fails() -> None:
    broken = False

    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        if asked.headers.get("upgrade"):
            if broken:
                await line.answer(b"", 502)
                return None
            await line.upgrade(asked)
            if "sid" in asked.query:
                assert (await line.frame()).payload == b"2probe"  # type: ignore[union-attr]
                await line.text(b"3probe")
                assert (await line.frame()).payload == b"5"  # type: ignore[union-attr]
            else:
                await line.text(open_packet())
            await line.close_frames()
            return False
        if "sid" not in asked.query:
            await line.answer(open_packet(upgrades=["websocket"]))
        else:
            await line.answer(b"6")
        return None

    async with scripted(script) as server, opener(server.url, remember_upgrade=True) as one:
        session = await one.open()
        await until(lambda: one.ear.upgrades == 1, "the upgrade")
        session.close()
        session = await one.open()
        assert session.transport.name == "websocket"
        broken = True
        session.close()
        with pytest.raises(TransportError, match="502"):
            await one.open()
        session = await one.open()
        assert session.transport.name == "polling"


# --- redirects ------------------------------------------------------------------------------------


def sends_to(where: Callable[[], str], status: int = 307) -> Callable[..., Awaitable[bool | None]]:
    async def script(server: Scripted, line: Line, asked: Asked) -> None:
        await line.answer(b"", status, {"Location": where() + asked.target, "Set-Cookie": "secret=1"})

    return script


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_redirect_to_another_host_leaves_headers_and_cookies_behind(
    transport: str, status: int
) -> None:
    headers = {"X-Token": "s3cret", "Authorization": "Bearer x", "Cookie": "mine=1"}
    async with (
        scripted(plain) as far,
        scripted(sends_to(lambda: far.url.replace("127.0.0.1", "localhost"), status)) as near,
        opener(near.url, transports=(transport,), extra_headers=headers) as one,
    ):
        session = await one.open()
        assert near.asked[0].headers["x-token"] == "s3cret"
        session.send(_message("x"))
        if transport == "polling":
            await until(lambda: any(each.method == "POST" for each in far.asked), "the POST")
            assert all(each.headers.get("cookie", "secret=1") == "secret=1" for each in near.asked[1:])
        for each in far.asked:
            assert not {"x-token", "authorization", "cookie"} & each.headers.keys()
            assert each.headers["host"] == f"localhost:{far.port}"
        # The session is where the redirect led: no request goes by the first server again.
        assert len(near.asked) == 1


async def test_a_redirect_on_the_same_host_keeps_headers() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        if asked.path == "/socket.io/":
            await line.answer(b"", 302, {"Location": f"/moved/?{asked.target.partition('?')[2]}"})
            return None
        return await plain(server, line, asked)

    for transport in ("polling", "websocket"):
        async with (
            scripted(script) as server,
            opener(server.url, transports=(transport,), extra_headers={"X-Token": "1"}) as one,
        ):
            await one.open()
            assert [each.path for each in server.asked[:2]] == ["/socket.io/", "/moved/"]
            assert server.asked[1].headers["x-token"] == "1"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_redirects_in_a_circle_end(transport: str) -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> None:
        await line.answer(b"", 302, {"Location": asked.target})

    async with scripted(script) as server, opener(server.url, transports=(transport,)) as one:
        with pytest.raises(TransportError, match="more than 5 redirects"):
            await one.open()
        assert len(server.asked) == 6


@pytest.mark.parametrize("location", ["ftp://h/", "http://[", "javascript:x", "http://h:99999/"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_redirects_to_nowhere(transport: str, location: str) -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> None:
        await line.answer(b"", 302, {"Location": location})

    async with scripted(script) as server, opener(server.url, transports=(transport,)) as one:
        with pytest.raises(TransportError, match="redirected to"):
            await one.open()


# --- what a hostile server may answer -------------------------------------------------------------

BROKEN = [
    b"",
    b"0",
    b"0{",
    b"0[]",
    b"0null",
    b'0"x"',
    b"4hello",
    b"\xff\xfe",
    b'96:0{"sid":"x"}',
    b"<html>hello</html>",
    b"0" + b"[" * 100_000,
    open_packet(sid=""),
    open_packet(sid=7),
    open_packet(sid="x" * 2_000),
    open_packet(pingInterval=-1),
    open_packet(pingInterval=0),
    open_packet(pingInterval=True),
    open_packet(pingInterval="25000"),
    open_packet(pingInterval=1e300),
    open_packet(pingTimeout=None),
    open_packet(upgrades="websocket"),
    open_packet(maxPayload="x"),
]


@pytest.mark.parametrize("first", BROKEN, ids=lambda each: repr(each[:30]))
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_no_open_packet(transport: str, first: bytes) -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        if transport == "polling":
            await line.answer(first)
            return None
        await line.upgrade(asked)
        await line.text(first)
        await line.close_frames()
        return False

    async with scripted(script) as server, opener(server.url, transports=(transport,)) as one:
        with pytest.raises(TransportError) as caught:
            await one.open()
        assert len(str(caught.value)) < 600
        assert one.ear.closed == []


async def test_a_server_of_an_older_protocol_is_named() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> None:
        await line.answer(b'96:0{"sid":"x","upgrades":[]}2:40')

    async with scripted(script) as server, opener(server.url) as one:
        with pytest.raises(TransportError, match=r"Socket\.IO 2"):
            await one.open()


async def test_a_websocket_that_begins_with_binary() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.upgrade(asked)
        await line.binary(open_packet())
        await line.close_frames()
        return False

    async with scripted(script) as server, opener(server.url, transports=("websocket",)) as one:
        with pytest.raises(TransportError, match="binary"):
            await one.open()


async def test_what_comes_right_behind_the_handshake_is_delivered_in_order() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        if asked.query["transport"] == "polling":
            if "sid" in asked.query:
                await line.gone()
                return False
            await line.answer(b"\x1e".join([open_packet(), b"4one", b"bAQI=", b"4two"]))
            return None
        await line.upgrade(asked)
        frames = [frame(each, mask=None) for each in (open_packet(), b"4one", b"bAQI=", b"4two")]
        await line.write(b"".join(frames))
        await line.close_frames()
        return False

    for transport in ("polling", "websocket"):
        async with scripted(script) as server, opener(server.url, transports=(transport,)) as one:
            await one.open()
            await until(partial(_has, one.ear, 3), "the messages")
            assert one.ear.messages == ["one", b"\x01\x02", "two"]


def _has(ear: Ear, count: int) -> bool:
    return len(ear.messages) == count


async def test_a_websocket_that_ends_right_behind_the_handshake() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.upgrade(asked)
        await line.write(
            frame(open_packet(), mask=None) + frame(b"4last", mask=None) + frame(b"", 8, mask=None)
        )
        return False

    async with scripted(script) as server, opener(server.url, transports=("websocket",)) as one:
        await one.open()
        assert (await one.ear.end())[0] == "transport close"
        assert one.ear.messages == ["last"]


# --- nothing is left ------------------------------------------------------------------------------


def stops(at: str) -> Callable[..., Awaitable[bool | None]]:
    """A server that stops answering at some point."""

    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        websocket = asked.headers.get("upgrade") == "websocket"
        if at == "half an answer":
            half = b"HTTP/1.1 101 S" if websocket else b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0{"
            await line.write(half)
        elif at == "endless headers":
            await line.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100)
        elif at == "no open packet":
            await (line.upgrade(asked) if websocket else line.write(b"HTTP/1.1 200 OK\r\n\r\n"))
        await line.gone()
        return False

    return script


@pytest.mark.parametrize("at", ["no answer", "half an answer", "endless headers", "no open packet"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_cancelled_it_leaves_nothing(transport: str, at: str) -> None:
    async with scripted(stops(at)) as server, opener(server.url, transports=(transport,)) as one:
        opening = asyncio.ensure_future(one.open())
        await until(lambda: server.asked, "the request")
        await asyncio.sleep(0.02)  # whatever comes has come
        assert not opening.done()
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()
        await until(lambda: not server.lines, "the connection's end")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_cancelled_after_any_number_of_turns(transport: str) -> None:
    """At each await of connecting, one after the other, until the session stands."""
    async with scripted(plain) as server:
        for turns in range(200):
            async with opener(server.url, transports=(transport,)) as one:
                opening = asyncio.ensure_future(one.open())
                for _ in range(turns):
                    await asyncio.sleep(0)
                done = opening.done()
                opening.cancel()
                await asyncio.wait([opening])
                assert done or opening.cancelled()
            if done:
                break
        else:
            raise AssertionError("it never opened")
        assert turns > 3
        await until(lambda: not server.lines, "the end of all connections")


async def test_a_server_that_ends_each_connection_before_an_answer() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        return False

    for transport in ("polling", "websocket"):
        async with scripted(script) as server, opener(server.url, transports=(transport,)) as one:
            with pytest.raises(TransportError):
                await one.open()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_nobody_listens(transport: str) -> None:
    async with scripted(plain) as server:
        url = server.url
    async with opener(url, transports=(transport,)) as one:
        with pytest.raises(TransportError, match=transport):
            await one.open()
