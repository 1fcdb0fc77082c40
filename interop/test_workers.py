"""The official client and a server with workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from interop.harness import HERE, Process
from tests.support.workers import SERVER, house, write

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there are no workers under Windows"),
    pytest.mark.timeout(120),
]

COUNT = 16
"""Clients: once in 30,000 times one worker gets them all."""

ASKING = """
        @socket.on("ask all")
        async def ask_all(value):
            return await io.timeout(20).emit_with_ack("asked", value)
"""


async def test_the_official_client_over_workers(node: str, tmp_path: Path) -> None:
    """Rooms and acknowledged broadcasts across workers; when all are renewed, it comes back by itself."""
    async with house(tmp_path, SERVER + ASKING) as there:
        await there.enter_each()
        for peer in there.peers:
            await peer.bye()
        url = f"http://127.0.0.1:{there.port}"
        clients = Process([node, "workers_clients.mjs", url, str(COUNT)], HERE / "reference")

        async def tell(*command: Any) -> Any:
            clients.write(json.dumps(command))
            found = await asyncio.to_thread(clients.find, lambda each: "answer" in each)
            return found["answer"]

        try:
            await asyncio.to_thread(clients.find, lambda each: "connected" in each)
            serving = await tell("who")
            assert {pid for pid, _ in serving} == there.workers
            for number in range(COUNT):
                await tell("say", number, {"n": number}, "é")
            expected = [[{"n": number}, "é"] for number in range(COUNT)]
            for heard in await tell("heard", COUNT):
                assert sorted(heard, key=lambda words: words[0]["n"]) == expected
            for number in range(2):
                answers = await tell("ask", number, "x")
                assert sorted(answers) == [[each, "x"] for each in range(COUNT)]
            write(tmp_path, (SERVER + ASKING).replace("VERSION = 1", "VERSION = 2"))
            os.kill(there.parent, signal.SIGHUP)
            await asyncio.to_thread(there.process.wait_for, "reloaded 2 workers")
            reasons = await tell("renewed", 2)
            assert {reason for each in reasons for reason in each} == {"transport close"}
            assert all(reasons)
            assert await tell("say", 0, "after") is None
            for heard in await tell("heard", 1):
                assert heard == [["after"]]
        finally:
            clients.stop()
