"""Makes the picture of the demo that stands in the README: python -m tests.browser.screenshot"""

from __future__ import annotations

import re
import shutil

from playwright.sync_api import expect, sync_playwright

from tests.browser.conftest import FLAGS
from tests.support.command import socketeer
from tests.support.repository import ROOT

PICTURE = ROOT / "docs" / "images" / "demo.png"


def main() -> None:
    with socketeer("demo", "--port", "0") as process, sync_playwright() as playwright:
        address = re.search(r"http://localhost:\d+", process.wait_for("The chat is on"))
        assert address is not None
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        context = browser.new_context(viewport={"width": 980, "height": 600}, device_scale_factor=1.5)
        one, two = context.new_page(), context.new_page()
        for page in (one, two):
            page.goto(address.group())
            expect(page.locator("#transport [aria-current]")).to_have_text("websocket")
        talk = [(one, two, "Is anybody there?"), (two, one, "One for all!"), (one, two, "And all for one.")]
        for speaker, listener, text in talk:
            speaker.bring_to_front()
            speaker.get_by_label("Message", exact=True).fill(text)
            speaker.get_by_role("button", name="Send").click()
            expect(listener.locator("#log")).to_contain_text(text)
        two.get_by_label("Message", exact=True).press_sequentially("Shall we")
        expect(one.locator("#typing")).to_have_text("Porthos is typing …")
        one.bring_to_front()
        PICTURE.parent.mkdir(exist_ok=True)
        one.screenshot(path=PICTURE, animations="disabled", caret="hide")
        browser.close()


if __name__ == "__main__":
    main()
