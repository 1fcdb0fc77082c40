"""The demo in two tabs of a real browser."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Command, socketeer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ID = re.compile(r"^[\w-]{20}$")


@pytest.fixture
def demo(client_cache: dict[str, str]) -> Iterator[Command]:
    with socketeer("demo", "--port", "0", "--terminal", env=client_cache) as process:
        process.wait_for("The chat is on")
        yield process


@pytest.fixture
def visit(demo: Command, tab: Callable[[], Page]) -> Callable[[], Page]:
    """Opens the demo's page in a new tab."""
    address = re.search(r"http://localhost:\d+", demo.wait_for("The chat is on"))
    assert address is not None

    def visit() -> Page:
        page = tab()
        page.goto(address.group())
        return page

    return visit


def transport(page: Page) -> Locator:
    return page.locator("#transport [aria-current=step]")


def test_two_tabs_talk(demo: Command, visit: Callable[[], Page]) -> None:
    from playwright.sync_api import expect

    one = visit()
    expect(one.locator("#socket-id")).to_have_text(ID)
    expect(one.locator("#log")).to_contain_text("Upgraded from polling to websocket")
    expect(transport(one)).to_have_text("websocket")
    expect(one.locator("#count")).to_have_text("1")

    two = visit()
    expect(transport(two)).to_have_text("websocket")
    ids = [page.locator("#socket-id").inner_text() for page in (one, two)]
    assert len(set(ids)) == 2
    for sid in ids:
        demo.wait_for(f"socket.id {sid}")

    # Who is there, and over what, is the same list on both; each has its own tab first.
    expect(one.locator("#log")).to_contain_text("Porthos joined")
    for page, order in ((one, ids), (two, ids[::-1])):
        expect(page.locator("#count")).to_have_text("2")
        expect(page.locator("#people .id")).to_have_text(order)
        expect(page.locator("#people .by")).to_have_text(["websocket", "websocket"])
    expect(two.locator("#people .name")).to_have_text(["Porthos (this tab)", "Athos"])

    one.get_by_label("Message", exact=True).press_sequentially("One for")
    expect(two.locator("#typing")).to_have_text("Athos is typing …")
    expect(one.locator("#typing")).to_have_text("")
    one.get_by_label("Message", exact=True).press_sequentially(" <b>all</b>!")
    one.get_by_role("button", name="Send").click()
    expect(two.locator("#log .message .text")).to_have_text(["One for <b>all</b>!"])
    expect(two.locator("#log .message .who")).to_have_text(["Athos"])
    expect(two.locator("#typing")).to_have_text("")
    expect(one.locator("#log .mine .fate")).to_have_text(
        re.compile(r"^acknowledged in [\d.]+ ms, sent on to 1 other$")
    )
    demo.wait_for("'One for <b>all</b>!', to 1 other")

    two.get_by_label("Name").fill("Milady")
    two.get_by_label("Name").press("Enter")
    expect(one.locator("#log")).to_contain_text("Porthos is now Milady")
    expect(one.locator("#people .name")).to_have_text(["Athos (this tab)", "Milady"])

    two.close()
    expect(one.locator("#log")).to_contain_text("Milady left (transport close)")
    expect(one.locator("#count")).to_have_text("1")
    demo.wait_for("disconnected  transport close")


def test_a_tab_leaves_and_comes_back_under_its_name(visit: Callable[[], Page]) -> None:
    from playwright.sync_api import expect

    one, two = visit(), visit()
    expect(one.locator("#count")).to_have_text("2")
    two.get_by_label("Name").fill("Rochefort")
    two.get_by_label("Name").press("Enter")
    expect(one.locator("#people")).to_contain_text("Rochefort")

    two.get_by_role("button", name="Disconnect").click()
    expect(one.locator("#log")).to_contain_text("Rochefort left (client namespace disconnect)")
    expect(two.locator("#socket-id")).to_have_text("not connected")
    expect(two.get_by_label("Message", exact=True)).to_be_disabled()
    expect(transport(two)).to_have_count(0)

    two.get_by_role("button", name="Connect", exact=True).click()
    expect(one.locator("#log")).to_contain_text("Rochefort joined")
    # A WebSocket tells the server that its page goes, before the next one comes; a poll may be noticed later.
    expect(transport(two)).to_have_text("websocket")
    two.reload()
    expect(two.get_by_label("Name")).to_have_value("Rochefort")
    expect(one.locator("#count")).to_have_text("2")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_ends_it_within_a_second_with_browsers_connected(
    demo: Command, visit: Callable[[], Page]
) -> None:
    from playwright.sync_api import expect

    page = visit()
    expect(transport(page)).to_have_text("websocket")
    polling = page.evaluate(
        """async () => {
            const { io } = await import("/socket.io.esm.min.js");
            window.polling = io({ transports: ["polling"], forceNew: true });
            await new Promise((done) => window.polling.on("connect", done));
            return window.polling.id;
        }"""
    )
    demo.wait_for(f"socket.id {polling}")

    assert demo.stop() < 5
    assert demo.wait() == 0
    assert demo.out[-1] == "The demo has ended."
    assert sum("server shutting down" in line for line in demo.out) == 4, "two of them Python's"
    assert demo.err == []
    expect(page.get_by_role("alert")).to_contain_text("Trying again")


def test_without_its_client_the_page_says_what_is_missing(tmp_path: Path, tab: Callable[[], Page]) -> None:
    from playwright.sync_api import expect

    nowhere = {"PATH": str(tmp_path), "SOCKETEER_CACHE": str(tmp_path / "cache")}
    with socketeer("demo", "--port", "0", env=nowhere) as process:
        address = re.search(r"http://localhost:\d+", process.wait_for("The chat's server is on"))
        assert address is not None
        page = tab()
        page.goto(address.group())
        expect(page.get_by_role("alert")).to_contain_text("Install Node.js, which brings npm")
