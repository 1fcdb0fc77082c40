"""The demo's two clients, in the demo's chat."""

from __future__ import annotations

import asyncio
import re

import pytest

from socketeer.cli import visitors
from socketeer.cli.chat import TERMINAL, Chat
from tests.support.serving import serving


async def test_they_say_their_lines_and_hear_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "PACE", 0.02)
    told: list[tuple[str, str, str]] = []
    both = asyncio.Event()

    def tell(*what: str) -> None:
        told.append((what[0], what[1], what[2]))
        if sum(each == "acknowledged" for _, each, _ in told) == 2:
            both.set()

    chat = Chat(tell)
    lines = [(0, "one"), (1, "two")]
    async with serving(chat.io) as port:
        talk = asyncio.ensure_future(visitors.talk(f"http://127.0.0.1:{port}{TERMINAL}", tell, lines))
        async with asyncio.timeout(10):
            await both.wait()
        assert ("Porthos", "hears", "Athos: 'one'") in told
        assert ("Athos", "hears", "Porthos: 'two'") in told
        who, _, how = next(each for each in told if each[1] == "acknowledged")
        assert who == "Athos"
        assert re.fullmatch(r"1 other, in \d+\.\d ms", how)
        assert not talk.done()
    async with asyncio.timeout(10):
        await talk


async def test_a_server_that_is_not_there_is_told() -> None:
    told: list[tuple[str, str, str]] = []
    await visitors.talk("http://127.0.0.1:1", lambda *what: told.append(what))
    assert [what for _, what, _ in told] == ["ended"]
