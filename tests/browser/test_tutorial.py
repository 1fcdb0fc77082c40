"""The tutorial from end to end: its server on port 3004, its page of another origin in a real browser.

Both are the examples as they stand, on the ports that the tutorial names.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Command, command

if TYPE_CHECKING:
    from playwright.sync_api import Page

SERVER, PAGE, STRANGER = 3004, 5174, 5175


def must_be_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            pytest.fail(
                f"port {port} is part of the tutorial, and another program has it: {error}", pytrace=False
            )


@pytest.fixture
def server() -> Iterator[Command]:
    must_be_free(SERVER)
    with command("examples/tutorial.py") as process:
        process.wait_for("listening on")
        yield process


@pytest.fixture(params=[PAGE], ids=lambda port: f"page on port {port}")
def site(request: pytest.FixtureRequest, client_cache: dict[str, str]) -> Iterator[str]:
    """Where the tutorial's page is."""
    must_be_free(request.param)
    with command("examples/tutorial_page.py", str(request.param), env=client_cache) as process:
        yield process.wait_for("http://localhost:")


def test_the_page_and_the_server_talk(server: Command, site: str, tab: Callable[[], Page]) -> None:
    from playwright.sync_api import expect

    assert site == "http://localhost:5174"
    one, two = tab(), tab()
    polls: list[str] = []
    sockets: list[str] = []
    one.on(
        "request", lambda request: polls.append(request.url) if "transport=polling" in request.url else None
    )
    one.on("websocket", lambda websocket: sockets.append(websocket.url))

    for each in (one, two):
        each.goto(site)
        # 20 characters, and the same on both sides: the server has printed what the page shows.
        expect(each.locator("#id")).to_have_text(re.compile(r"^[\w-]{20}$"))
        assert server.wait_for(each.locator("#id").inner_text()) in server.out
        expect(each.locator("#transport")).to_have_text("websocket")
    assert [len(line) for line in server.out] == [20, 20]
    assert len(set(server.out)) == 2

    assert polls[0].startswith("http://localhost:3004/socket.io/?EIO=4&transport=polling")
    assert len(sockets) == 1
    assert sockets[0].startswith("ws://localhost:3004/socket.io/?EIO=4&transport=websocket&sid=")

    one.get_by_label("Message").fill("hello")
    one.get_by_role("button", name="Send").click()
    expect(one.locator("li")).to_have_text(["hello (delivered)"])  # what the handler returned
    expect(two.locator("li")).to_have_text(["hello"])

    slash = [line for line in server.err if "slash" in line]
    assert len(slash) == 1, server
    assert "'http://localhost:5174/'" in slash[0]
    assert [line for line in server.err if line not in slash and "listening on" not in line] == []


@pytest.mark.parametrize("site", [STRANGER], indirect=True)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_page_of_another_origin_is_refused(
    transport: str, server: Command, site: str, tab: Callable[[], Page]
) -> None:
    from playwright.sync_api import expect

    page = tab()
    page.goto(site)
    expect(page.locator("li").first).to_have_text("connect_error: xhr poll error")
    expect(page.locator("#id")).to_have_text("")
    assert "'http://localhost:5175' is not allowed" in server.wait_for("is not allowed")

    # Nor by the one transport to which browsers apply no same-origin policy of their own.
    error = page.evaluate(
        """async (transport) => {
            const { io } = await import("/socket.io.esm.min.js");
            const socket = io("http://localhost:3004", { transports: [transport], forceNew: true, reconnection: false });
            return await new Promise((done) => {
                socket.on("connect", () => done("connected"));
                socket.on("connect_error", (error) => done(error.message));
            });
        }""",
        transport,
    )
    assert error == {"polling": "xhr poll error", "websocket": "websocket error"}[transport]
    assert server.out == []
