"""The client's HTTP: bounds on what a server answers, cookies, proxies, TLS."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from pathlib import Path

import pytest

from socketeer.engine.http.client import redirected, tls_context
from socketeer.errors import TransportError
from socketeer.protocol.frame import Message
from tests.engine.client_peers import Asked, Line, Scripted, open_packet, opener, scripted, until
from tests.support import requirements
from tests.support.certificates import Certificates
from tests.support.proxies import proxy

TRANSPORTS = ("polling", "websocket")


async def session_server(server: Scripted, line: Line, asked: Asked) -> bool | None:
    """Sessions over both transports, each message answered with itself."""
    if asked.headers.get("upgrade"):
        await line.upgrade(asked)
        await line.text(open_packet())
        while (found := await line.frame()) is not None:
            if found.opcode == 8:
                await line.write(b"\x88\x00")
                return False
            await line.text(found.payload)
        return False
    if asked.method == "POST":
        await line.answer()
    elif "sid" not in asked.query:
        await line.answer(open_packet())
    else:
        await until(lambda: any(each.body[:1] == b"4" for each in server.asked))
        body = next(each.body for each in server.asked if each.body[:1] == b"4")
        for each in server.asked:
            each.body = b""
        await line.answer(body)
    return None


async def echoed(url: str, transport: str, **options: object) -> None:
    async with opener(url, transports=(transport,), **options) as one:
        session = await one.open()
        session.send(Message(b"4hello"))
        await until(lambda: one.ear.messages, "the echo")
        assert one.ear.messages == ["hello"]


# --- bounds ---------------------------------------------------------------------------------------


def bomb(size: int) -> bytes:
    """So many zeros, by gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(size >> 20)) + packer.flush()


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_bomb_is_stopped_while_it_is_unpacked(layers: int) -> None:
    body, encoding = bomb(256 << 20), ", ".join(["gzip"] * layers)
    for _ in range(layers - 1):
        body = gzip.compress(body)

    async def script(server: Scripted, line: Line, asked: Asked) -> None:
        await line.answer(body, headers={"Content-Encoding": encoding})

    async with scripted(script) as server, opener(server.url, max_message_size=2_000_000) as one:
        tracemalloc.start()
        try:
            with pytest.raises(TransportError, match="above 2000000 bytes"):
                await one.open()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 24_000_000, f"{peak} bytes for an answer of at most 2,000,000"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "unknown", "gzip, unknown"])
async def test_an_encoding_that_lies(encoding: str) -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> None:
        await line.answer(b"no such thing" * 10, headers={"Content-Encoding": encoding})

    async with scripted(script) as server, opener(server.url) as one:
        with pytest.raises(TransportError):
            await one.open()


async def test_an_endless_answer_is_stopped_at_the_limit() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not line.reader.at_eof():
            await line.write(b"400\r\n" + b"4" * 1024 + b"\r\n")
        return False

    async with scripted(script) as server, opener(server.url, max_message_size=100_000) as one:
        with pytest.raises(TransportError, match="max_message_size"):
            await one.open()
        await until(lambda: not server.lines, "the connection's end")


async def test_endless_headers_are_stopped() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.write(b"HTTP/1.1 200 OK\r\n")
        while not line.reader.at_eof():
            await line.write(b"X-Header: " + b"x" * 1000 + b"\r\n")
        return False

    for transport in TRANSPORTS:
        async with scripted(script) as server, opener(server.url, transports=(transport,)) as one:
            with pytest.raises(TransportError):
                await one.open()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"code":1,"message":"Session ID unknown"}'),
        (502, b"<html>\xff\x00"),
        (204, b""),
        (599, b"x" * 5000),
    ],
)
async def test_another_status_is_told(status: int, body: bytes) -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.answer(body, status)
        return False

    for transport in TRANSPORTS:
        async with scripted(script) as server, opener(server.url, transports=(transport,)) as one:
            with pytest.raises(TransportError, match=transport) as caught:
                await one.open()
            message = str(caught.value)
            assert "\x00" not in message
            assert len(message) < 400
            if status != 599:  # a status that HTTP does not know is no answer to a handshake
                assert caught.value.description == status
                assert str(status) in message


async def test_what_is_no_http_at_all() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.write(b"220 mail.example ESMTP\r\n\r\n")
        return False

    for transport in TRANSPORTS:
        async with scripted(script) as server, opener(server.url, transports=(transport,)) as one:
            with pytest.raises(TransportError):
                await one.open()


async def test_a_server_that_ends_the_connection_after_each_answer() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await session_server(server, line, asked)
        return False

    async with scripted(script) as server:
        await echoed(server.url, "polling")


# --- cookies --------------------------------------------------------------------------------------


async def test_cookies_are_kept_changed_and_forgotten() -> None:
    given = ["a=1; Path=/", "a=2; Path=/", "b=3; Path=/elsewhere", "a=; Max-Age=0; Path=/", "c=4; Secure"]

    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        at = len(server.asked) - 1
        if at >= len(given):
            await line.gone()
            return False
        body = open_packet() if at == 0 else b"6"
        await line.answer(body, headers={"Set-Cookie": given[at]})
        return None

    async with scripted(script) as server, opener(server.url) as one:
        await one.open()
        await until(lambda: len(server.asked) == len(given) + 1, "the polls")
        sent = [each.headers.get("cookie") for each in server.asked]
        assert sent == [None, "a=1", "a=2", "a=2", None, None]


async def test_more_cookies_than_anyone_needs_are_all_forgotten() -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        at = len(server.asked)
        if at > 40:
            await line.gone()
            return False
        body = open_packet() if at == 1 else b"6"
        await line.answer(body, headers={"Set-Cookie": f"n{at}={'x' * 4000}; Path=/"})
        return None

    async with scripted(script) as server, opener(server.url) as one:
        await one.open()
        await until(lambda: len(server.asked) == 41, "the polls")
        assert max(len(each.headers.get("cookie", "")) for each in server.asked) < 70_000


# --- redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_post_is_not_turned_into_a_get(status: int) -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool | None:
        if asked.method == "POST":
            await line.answer(b"", status, {"Location": asked.target})
            return None
        return await session_server(server, line, asked)

    async with scripted(script) as server, opener(server.url) as one:
        session = await one.open()
        session.send(Message(b"4x"))
        reason, description = await one.ear.end()
        assert reason == "transport error"
        assert f"status {status}" in str(description)


def test_redirects_out_of_tls_are_not_followed() -> None:
    with pytest.raises(TransportError, match="out of TLS"):
        redirected("https://h/", "http://h/", 302)
    assert redirected("http://h/a/?b", "wss://i/c", 302) == "https://i/c"
    assert redirected("http://h/a/?b", "../c", 302) == "http://h/c"


# --- proxies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", [None, "user:pass"])
@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_by_a_proxy(transport: str, kind: str, login: str | None) -> None:
    async with scripted(session_server) as server, proxy(kind, login) as it:  # type: ignore[arg-type]
        await echoed(server.url.replace("127.0.0.1", "localhost"), transport, proxy=it.url)
        assert it.seen
        # The name of the host is left to the proxy.
        assert all(f"localhost:{server.port}" in each for each in it.seen), it.seen


# httpcore2 2.16 leaves the connection to the garbage collector when SOCKS is refused.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_proxy_that_refuses(transport: str, kind: str) -> None:
    async with scripted(session_server) as server, proxy(kind, "user:pass") as it:  # type: ignore[arg-type]
        async with opener(server.url, transports=(transport,), proxy=it.url.replace("pass", "wrong")) as one:
            with pytest.raises(TransportError, match=transport):
                await one.open()
        assert server.asked == []


async def test_socks5h_is_the_same() -> None:
    async with scripted(session_server) as server, proxy("socks5") as it:
        for transport in TRANSPORTS:
            await echoed(server.url, transport, proxy=it.url.replace("socks5", "socks5h"))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_environments_proxy(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    async with scripted(session_server) as server, proxy("http") as it:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{it.port}")
        await echoed(server.url, transport)
        assert it.seen
    async with scripted(session_server) as server:  # the proxy is gone
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await echoed(server.url, transport)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cancelled_while_the_proxy_is_silent(transport: str) -> None:
    async def script(server: Scripted, line: Line, asked: Asked) -> bool:
        await line.gone()
        return False

    async with scripted(script) as it:
        async with opener("http://localhost:1", transports=(transport,), proxy=it.url) as one:
            opening = asyncio.ensure_future(one.open())
            await until(lambda: it.asked, "the request")
            opening.cancel()
            await asyncio.wait([opening])
        await until(lambda: not it.lines, "the connection's end")


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    requirements.openssl()
    folder: Path = tmp_path_factory.mktemp("tls")
    return Certificates.make(folder)


@pytest.mark.parametrize("kind", [None, "http", "socks5"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_tls(transport: str, kind: str | None, certificates: Certificates) -> None:
    async with scripted(session_server, tls=certificates.server()) as server:
        context = certificates.client()
        if kind is None:
            await echoed(server.url, transport, ssl=context)
            return
        async with proxy(kind) as it:  # type: ignore[arg-type]
            await echoed(server.url, transport, ssl=context, proxy=it.url)
            assert it.seen


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_tls_without_a_look_at_the_certificate(transport: str, certificates: Certificates) -> None:
    async with scripted(session_server, tls=certificates.server()) as server:
        await echoed(server.url.replace("https", "wss"), transport, ssl=False)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_certificate_that_nobody_knows(transport: str, certificates: Certificates) -> None:
    async with (
        scripted(session_server, tls=certificates.server()) as server,
        opener(server.url, transports=(transport,)) as one,
    ):
        with pytest.raises(TransportError, match=r"(?i)certificate"):
            await one.open()
        assert server.asked == []


async def test_a_redirect_into_tls_keeps_the_checks(certificates: Certificates) -> None:
    async with scripted(session_server, tls=certificates.server()) as secure:

        async def script(server: Scripted, line: Line, asked: Asked) -> None:
            await line.answer(b"", 308, {"Location": secure.url + asked.target})

        async with scripted(script) as server:
            for transport in TRANSPORTS:
                await echoed(server.url, transport, ssl=certificates.client())
                async with opener(server.url, transports=(transport,)) as one:
                    with pytest.raises(TransportError, match=r"(?i)certificate"):
                        await one.open()


def test_contexts_are_made_once() -> None:
    assert tls_context(True) is tls_context(True)
    assert tls_context(True).check_hostname
    assert not tls_context(False).check_hostname
