"""A node in a process of its own, with one client; a line for each event that reaches it.

Its arguments are the server's URL, the prefix, and the heartbeat's interval and time-out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from socketeer.adapters import NatsAdapter
from socketeer.adapters.heartbeat import Heartbeat
from socketeer.server.server import BaseServer
from socketeer.testing.stage import Stage


def say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


async def main(url: str, prefix: str, interval: str, timeout: str) -> None:
    heartbeat = Heartbeat(float(interval), float(timeout))
    io = BaseServer(adapter=NatsAdapter(url, prefix, heartbeat=heartbeat))
    io.start()
    await io.adapter.ready()  # type: ignore[attr-defined]
    actor = Stage([io], 10.0).enter(0)
    say({"id": actor.id})
    while True:
        actor.listen()
        while actor.events:
            say({"event": actor.events.pop(0)})
        while actor.questions:
            actor.answer("node")
        await asyncio.sleep(0.01)


asyncio.run(main(*sys.argv[1:]))
