"""`Client`: its URL, its namespaces, `async with`."""

from __future__ import annotations

import asyncio

import pytest

from socketeer.client.client import Client
from socketeer.errors import OptionError, UsageError
from tests.support.client_line import Line, turns


@pytest.mark.parametrize("url", ["", "localhost:3000", "ftp://localhost", "http://", "//localhost"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="url"):
        Client(url)


@pytest.mark.parametrize(
    ("url", "nsp", "base"),
    [
        ("http://localhost:3004", "/", "http://localhost:3004"),
        ("ws://localhost/", "/", "ws://localhost"),
        ("https://localhost/chat?token=1", "/chat", "https://localhost"),
    ],
)
def test_the_path_is_the_namespace_and_the_query_is_sent_along(url: str, nsp: str, base: str) -> None:
    client = Client(url, query={"more": "2"})
    assert (client.nsp, client.io.url) == (nsp, base)
    assert dict(client.io.options.query) == ({"token": "1", "more": "2"} if "token" in url else {"more": "2"})


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"ack_timeout": -1},
        {"reconnection_delay": -1},
        {"randomization_factor": 2},
        {"auth": 1},
    ],
)
def test_options_out_of_their_range(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        Client("http://localhost", **options)  # type: ignore[arg-type]


def test_namespaces() -> None:
    client = Client("http://localhost/chat", auth={"a": 1}, retries=2)
    assert client.of("/chat") is client
    assert client.of("other") is client.of("/other")
    assert client.of("/other").auth == {"a": 1}
    assert client.of("/other")._outbound.retries is not client._outbound.retries
    assert client.of("/own", auth={"b": 2}).auth == {"b": 2}
    assert client.of("/").nsp == "/"


async def test_inside_and_outside() -> None:
    line = Line()

    async def use() -> None:
        async with line.client as client:
            assert client.connected
            assert client.id == "abc"

    task = asyncio.create_task(use())
    await turns()
    line.welcome("abc")
    await turns()
    assert not line.client.connected
    line.vanish()
    await task
    assert line.wires.closed


async def test_a_listener_that_makes_a_namespace_while_all_are_left() -> None:
    line = Line()
    client = await line.connected()
    client.on("disconnect", lambda: client.of("/another"))
    closing = asyncio.create_task(client.close())
    await turns()
    line.vanish()
    await closing
