"""Chromium's own permessage-deflate with ours: large messages both ways, text and binary."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.support.command import command

if TYPE_CHECKING:
    from playwright.sync_api import Page

EXCHANGE = """async () => {
    const { io } = await import("/socket.io.esm.min.js");
    const socket = io({ reconnection: false });
    const upgraded = new Promise((done) => socket.io.engine.on("upgrade", done));
    await Promise.all([upgraded, new Promise((done) => socket.on("connect", done))]);
    const same = (a, b) => a.byteLength === b.byteLength
        && new Uint8Array(a).every((byte, i) => byte === new Uint8Array(b)[i]);
    const noise = (size) => Uint8Array.from({ length: size }, (_, i) => Math.imul(i + 1, 2654435761) >>> 13);
    for (const size of [10, 2_000, 300_000, 2_000, 300_000]) {
        const text = "some text, é€😀, again and again; ".repeat(size / 50 + 1);
        for (const bytes of [new TextEncoder().encode(text), noise(size)]) {
            const [back, buffer] = await socket.timeout(10_000).emitWithAck("echo", text, bytes.buffer);
            if (back !== text || !same(buffer, bytes.buffer)) return `${size} came back otherwise`;
        }
    }
    const many = await Promise.all(Array.from({ length: 50 }, (_, i) =>
        socket.timeout(10_000).emitWithAck("echo", `${i} `.repeat(1_000), i)));
    if (!many.every(([text, number], i) => number === i && text === `${i} `.repeat(1_000))) return "mixed up";
    const { extensions } = socket.io.engine.transport.ws;
    socket.disconnect();
    return extensions;
}"""

ALONE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(("mode", "agreed"), [("alone", ALONE), ("context", "permessage-deflate")])
def test_large_messages(
    mode: str, agreed: str, client_cache: dict[str, str], tab: Callable[[], Page]
) -> None:
    with command("-m", "tests.browser.deflate_server", mode, env=client_cache) as process:
        found = re.search(r"http://[\d.]+:\d+", process.wait_for("http://"))
        assert found is not None
        page = tab()
        page.goto(found[0])
        assert page.evaluate(EXCHANGE) == agreed
        assert [line for line in process.err if "listening on" not in line] == []
