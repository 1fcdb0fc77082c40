"""A node of a cluster as a process, with one client, which a test may pause and kill.

``python -m tests.adapters.fault_node MODULE:FUNCTION URL KEY NAME``, where the function makes the adapter from the
other two. Commands are JSON lists on stdin, answers JSON objects on stdout.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from typing import Any

from socketeer.errors import AckTimeout
from socketeer.server.server import BaseServer
from socketeer.testing.stage import Actor


def say(**document: Any) -> None:
    sys.stdout.write(f"{json.dumps(document)}\n")
    sys.stdout.flush()


class Node:
    def __init__(self, io: BaseServer, name: str) -> None:
        self.io, self.name = io, name
        self.client = Actor(io, 0)
        io.on("who", lambda: name)

    async def listen(self) -> None:
        """The client acknowledges with its node's name."""
        while True:
            await self.client.client.carrier.news.wait()
            while self.client.answer(self.name):
                pass

    async def obey(self, verb: str, *args: Any) -> Any:
        health = self.io.adapter.health  # type: ignore[attr-defined]
        if verb == "events":
            self.client.listen()
            return self.client.events
        if verb == "emit":
            self.io.emit(*args)
        elif verb == "health":
            return [health.ok, health.reason, health.reconnections]
        elif verb == "ask":
            try:
                return sorted(await self.io.timeout(args[0]).emit_with_ack(*args[1:]))
            except AckTimeout as late:
                return ["late", *sorted(late.responses)]
        return None


async def main(make: str, url: str, key: str, name: str) -> None:
    module, _, function = make.partition(":")
    io = BaseServer(adapter=getattr(import_module(module), function)(url, key))
    io.start()
    await io.adapter.ready()  # type: ignore[attr-defined]
    node = Node(io, name)
    listening = asyncio.ensure_future(node.listen())
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    say(answer=node.client.id)
    while line := await stdin.readline():
        say(answer=await node.obey(*json.loads(line)))
    listening.cancel()
    await io.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
