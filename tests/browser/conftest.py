"""A real browser, and the official client in its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support import requirements
from tests.support.client_cache import client_cache

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["client_cache"]

#: Chromium alone on a machine that may have no network, no screen, and no user but root.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: Milliseconds that a page may take for anything.
PATIENCE = 15_000


# Not for the whole session: while it is open, its event loop stands in the way of asynchronous tests.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    requirements.module("playwright")
    path = requirements.chromium()
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Opens tabs of one browser window; no page of theirs may let an exception out."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    errors: list[str] = []

    def open_tab() -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield open_tab
    context.close()
    assert errors == []
