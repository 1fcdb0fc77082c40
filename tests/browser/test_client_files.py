"""A page that loads the client from our server, as a script and as a module, and connects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Command, command

if TYPE_CHECKING:
    from playwright.sync_api import Page

SERVER = r"""
from socketeer import Server

io = Server()
SCRIPT = b'''<!doctype html><script src="/socket.io/socket.io.js"></script><p id=id></p><script>
  const socket = io(); socket.on("connect", () => document.querySelector("#id").textContent = socket.id);
</script>'''
MODULE = b'''<!doctype html><p id=id></p><script type=module>
  import { io } from "/socket.io/socket.io.esm.min.js";
  const socket = io(); socket.on("connect", () => document.querySelector("#id").textContent = socket.id);
</script>'''

async def page(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    pages = {"/script": SCRIPT, "/module": MODULE}
    status = 200 if scope["path"] in pages else 404
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": pages.get(scope["path"], b"")})

@io.on("connection")
def connection(socket):
    print(socket.id, flush=True)

io.run(port=0, app=page, ready=lambda url: print(url, flush=True), lifespan="off")
"""


@pytest.fixture
def server(client_cache: dict[str, str]) -> Iterator[Command]:
    with command("-c", SERVER, env=client_cache) as process:
        process.wait_for("http://")
        yield process


@pytest.mark.parametrize("way", ["script", "module"])
def test_a_page_loads_the_client_and_connects(way: str, server: Command, tab: Callable[[], Page]) -> None:
    from playwright.sync_api import expect

    url = server.out[0]
    page = tab()
    loaded: list[tuple[str, int]] = []
    page.on(
        "response",
        lambda response: (
            loaded.append((response.url.removeprefix(url), response.status))
            if response.url.endswith(".js")
            else None
        ),
    )
    page.goto(f"{url}/{way}")
    expect(page.locator("#id")).to_have_text(re.compile(r"^[\w-]{20}$"))
    assert server.wait_for(page.locator("#id").inner_text()) in server.out
    file = {"script": "/socket.io/socket.io.js", "module": "/socket.io/socket.io.esm.min.js"}[way]
    assert loaded == [(file, 200)]
