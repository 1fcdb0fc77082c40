"""One connection to NATS: when it counts as broken, and that it ends whatever the server does."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from socketeer.adapters.nats_link import NatsLink
from tests.support import requirements
from tests.support.nats_server import NatsServer
from tests.support.proxy import Proxy

PATIENCE = 20.0
RULES = 'authorization { users = [ { user: u, password: "p", permissions: { publish: "yes.>", subscribe: "yes.>" } } ] }'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path)
    yield made
    made.stop()


@pytest.fixture
async def link() -> AsyncIterator[NatsLink]:
    heard: list[tuple[int, bytes]] = []
    made = NatsLink(lambda number, payload, headers: heard.append((number, payload)))
    await made.open([requirements.nats()], {}, PATIENCE)
    yield made
    await made.abort()


async def connected(server: NatsServer, url: str | None = None, **settings: Any) -> NatsLink:
    """As soon as the server listens."""
    async with asyncio.timeout(PATIENCE):
        while True:
            link = NatsLink(lambda number, payload, headers: None)
            try:
                await link.open([url or server.url], settings, PATIENCE)
            except BaseException as error:
                await link.abort()
                if not isinstance(error, OSError):
                    raise
                await asyncio.sleep(0.02)
            else:
                return link


async def test_what_was_said_has_arrived(link: NatsLink) -> None:
    """A pong never answers for what is still on its way."""
    subject, heard = f"test-{secrets.token_hex(8)}".encode(), list[bytes]()
    other = NatsLink(lambda number, payload, headers: heard.append(payload))
    await other.open([requirements.nats()], {}, PATIENCE)
    await other.say([b"SUB %b %d\r\n" % (subject, other.subscription())])
    for number in range(20):
        payload = b"%d" % number * 50_000
        await link.say([b"PUB %b %d\r\n" % (subject, len(payload)), payload, b"\r\n"])
        await other.say(())
        assert heard[-1] == payload
    await other.abort()


async def test_a_server_that_is_not_there(unused_tcp_port: int) -> None:
    link = NatsLink(lambda number, payload, headers: None)
    with pytest.raises(ConnectionRefusedError, match=str(unused_tcp_port)):
        await link.open([f"nats://127.0.0.1:{unused_tcp_port}"], {}, PATIENCE)
    await link.abort()


async def test_one_of_several_is_enough(unused_tcp_port: int) -> None:
    for _ in range(5):  # they are tried in any order
        link = NatsLink(lambda number, payload, headers: None)
        await link.open([f"nats://127.0.0.1:{unused_tcp_port}", requirements.nats()], {}, PATIENCE)
        await link.say(())
        await link.abort()


async def test_who_is_not_let_in_is_told(server: NatsServer) -> None:
    server.configure(RULES)
    server.start()
    good = await connected(server, user="u", password="p")
    await good.say(())
    await good.abort()
    for user, password in (("u", "wrong"), ("nobody", "p")):
        with pytest.raises(Exception, match=r"(?i)authorization"):
            await connected(server, user=user, password=password)
    with pytest.raises(Exception, match=r"(?i)authorization"):
        await connected(server)
    url = server.url.replace("nats://", "nats://u:p@")
    inside = await connected(server, url)
    await inside.abort()


@pytest.mark.parametrize("line", [b"SUB no.x %d\r\n", b"PUB no.x 0\r\n\r\n"])
async def test_what_is_not_allowed_is_told(server: NatsServer, line: bytes) -> None:
    server.configure(RULES)
    server.start()
    link = await connected(server, user="u", password="p")
    number = link.subscription()
    await link.say([b"SUB yes.x %d\r\n" % number, b"PUB yes.x 0\r\n\r\n"])
    with pytest.raises(Exception, match=r"permissions violation for (subscription|publish) to \"no.x\""):
        await link.say([line % number if b"%" in line else line])
    with pytest.raises(Exception, match="permissions violation"):
        await link.ended()
    await link.abort()


async def test_the_end_of_the_server_ends_it(server: NatsServer) -> None:
    server.start()
    link = await connected(server)
    ending = asyncio.ensure_future(link.ended())
    server.stop()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Exception, match=r"(?i)eof|reset"):
            await ending
        with pytest.raises(ConnectionError):
            await link.say(())
    await link.abort()


async def test_what_it_cannot_read_ends_it(link: NatsLink, caplog: pytest.LogCaptureFixture) -> None:
    """nats-py's reader ends then, and says so to its logger only."""
    ending = asyncio.ensure_future(link.ended())
    with caplog.at_level(logging.CRITICAL, "nats.aio.client"):
        await link._ps.parse(b"")
        link._take = None  # type: ignore[assignment]
        number, subject = link.subscription(), f"test-{secrets.token_hex(8)}".encode()
        other = NatsLink(lambda number, payload, headers: None)
        await other.open([requirements.nats()], {}, PATIENCE)
        await link.say([b"SUB %b %d\r\n" % (subject, number)])
        await other.say([b"PUB %b 0\r\n\r\n" % subject])
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConnectionError, match="closed"):
                await ending
    await other.abort()


async def test_it_ends_although_nobody_reads(server: NatsServer) -> None:
    server.start()
    before = await connected(server)
    await before.abort()
    async with Proxy.before(server.url) as proxy:
        link = await connected(server, f"nats://127.0.0.1:{proxy.port}")
        proxy.stall()
        saying = asyncio.ensure_future(link.say([b"PUB x 1000000\r\n", bytes(1_000_000), b"\r\n"] * 30))
        done, _ = await asyncio.wait({saying}, timeout=0.2)
        assert not done, "the buffers are full"
        saying.cancel()
        async with asyncio.timeout(PATIENCE):
            await link.abort()
        assert link.is_closed
        with pytest.raises(ConnectionError):
            await link.say(())
