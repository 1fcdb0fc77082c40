"""A hub: what one node of this machine publishes on a channel, it gives to all others that have subscribed.

It runs beside the nodes, and never runs any code of theirs. Only processes of the same user get to it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final, cast

from socketeer.adapters.local_frames import VERSION, Frame, Kind, Splitter, encode
from socketeer.errors import PacketError, UsageError

log = logging.getLogger("socketeer")

#: Bytes of a Unix socket's path, at most: what every system takes.
_MAX_PATH: Final = 100

#: How the names of hubs' folders begin.
_FOLDER: Final = "socketeer-bus-"

_NUMBER = Struct("!I")


class Hub:
    """Channels to the nodes that have subscribed to them.

    Args:
        max_waiting: bytes that wait for one node at most; one that does not read them is cut off. It comes back
            by itself, and has missed what was said meanwhile.
        max_channels: subscriptions of one node, at most.
    """

    def __init__(self, *, max_waiting: int = 64 * 1024 * 1024, max_channels: int = 1_000_000) -> None:
        self.max_waiting = max_waiting
        self.max_channels = max_channels
        self.path = ""
        """Where it listens."""
        self.cut_off = 0
        """Nodes that did not read, or said what no node says."""
        self._channels: dict[bytes, dict[_Node, None]] = {}
        self._nodes: set[_Node] = set()
        self._server: asyncio.Server | None = None
        self._folder = ""

    async def start(self, path: str | None = None) -> str:
        """Listen.

        Args:
            path: of the Unix socket; None makes it in a new folder that nobody else may enter.

        Returns:
            The path.

        Raises:
            OSError: it cannot listen there.
        """
        if path is None:
            self._folder = _fresh_folder()
            path = f"{self._folder}/bus"
        loop = asyncio.get_running_loop()
        before = os.umask(0o177)
        try:
            self._server = await loop.create_unix_server(lambda: _Node(self), path)
        finally:
            os.umask(before)
        self.path = path
        return path

    async def close(self) -> None:
        """Do not listen any more, and let all nodes go."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for node in list(self._nodes):
                node.abort()
            await server.wait_closed()
            with suppress(FileNotFoundError):
                os.unlink(self.path)  # noqa: PTH108 - a socket, not a file
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    # --- for nodes ----------------------------------------------------------------------------------

    def enter(self, node: _Node) -> None:
        """A node has connected."""
        self._nodes.add(node)

    def leave(self, node: _Node) -> None:
        """A node has gone."""
        self._nodes.discard(node)
        for name in node.channels:
            self._drop(name, node)

    def subscribe(self, node: _Node, name: bytes) -> None:
        """Give a node what comes on a channel.

        Raises:
            PacketError: it has too many.
        """
        if len(node.channels) >= self.max_channels:
            raise PacketError(f"more than {self.max_channels} subscriptions")
        node.channels[name] = None
        self._channels.setdefault(name, {})[node] = None

    def unsubscribe(self, node: _Node, name: bytes) -> None:
        """Do not give it to that node any more."""
        if name in node.channels:
            del node.channels[name]
            self._drop(name, node)

    def _drop(self, name: bytes, node: _Node) -> None:
        nodes = self._channels[name]
        del nodes[node]
        if not nodes:
            del self._channels[name]

    def count(self, name: bytes) -> int:
        """How many nodes have subscribed to a channel."""
        return len(self._channels.get(name, ()))

    def give(self, sender: _Node, name: bytes, frame: bytes, touched: dict[_Node, None]) -> None:
        """A message for all others that have subscribed; ``touched`` collects who is to be flushed."""
        for node in self._channels.get(name, ()):
            if node is not sender:
                node.waiting.append(frame)
                touched[node] = None


class _Node(asyncio.Protocol):
    """One node's connection."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._splitter = Splitter()
        self._greeted = False
        self._transport: asyncio.Transport | None = None
        self.channels: dict[bytes, None] = {}
        self.waiting: list[bytes] = []
        """What this turn of the loop has for it."""
        self._parts: dict[int, Callable[[Frame], None]] = {
            Kind.SUBSCRIBE: lambda frame: hub.subscribe(self, frame.name),
            Kind.UNSUBSCRIBE: lambda frame: hub.unsubscribe(self, frame.name),
            Kind.PING: self._on_ping,
            Kind.COUNT: self._on_count,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's
        self._hub.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._hub.leave(self)
        self.channels.clear()
        self.waiting.clear()

    def data_received(self, data: bytes) -> None:
        touched: dict[_Node, None] = {}
        try:
            for frame, whole in self._splitter.feed(data):
                if frame.kind == Kind.MESSAGE and self._greeted:
                    self._hub.give(self, frame.name, whole, touched)
                else:
                    self._on_frame(frame)
                    touched[self] = None
        except PacketError as error:
            self._cut_off(f"a node of this machine said what none says: {error}")
        for node in touched:
            node.flush()

    def _on_frame(self, frame: Frame) -> None:
        if not self._greeted:
            if frame != (Kind.HELLO, b"", VERSION):
                raise PacketError(f"no greeting of this version, but {frame!r:.200}")
            self._greeted = True
            self.waiting.append(encode(Kind.HELLO, body=VERSION))
            return
        part = self._parts.get(frame.kind)
        if part is None:
            raise PacketError(f"an unknown kind of frame, {frame.kind}")
        part(frame)

    def _on_ping(self, frame: Frame) -> None:
        self._answer(Kind.PONG, frame.body)

    def _on_count(self, frame: Frame) -> None:
        self._answer(Kind.COUNTED, frame.body + _NUMBER.pack(self._hub.count(frame.name)))

    def _answer(self, kind: Kind, body: bytes) -> None:
        if len(body) > 64:
            raise PacketError(f"a question of {len(body)} bytes")
        self.waiting.append(encode(kind, body=body))

    def flush(self) -> None:
        """Send what waits, in one write; cut the node off where it does not read."""
        waiting, self.waiting = self.waiting, []
        transport = self._transport
        if transport is None or not waiting:
            return
        transport.write(b"".join(waiting))
        if transport.get_write_buffer_size() > self._hub.max_waiting:
            self._cut_off("a node of this machine does not read what it is sent (max_waiting)")

    def _cut_off(self, reason: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._hub.cut_off += 1
            log.warning("cut off: %.300s (%d so far)", reason, self._hub.cut_off)
            self._transport.abort()

    def abort(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()


def sweep(path: str) -> None:
    """Remove what a hub has left that did not end by itself, where it was in a folder of its own."""
    folder = Path(path).parent
    if folder.name.startswith(_FOLDER):
        shutil.rmtree(folder, ignore_errors=True)


def _fresh_folder() -> str:
    """A new folder that only this user may enter, with a path that a socket can have."""
    for parent in (None, "/tmp"):  # noqa: S108 - where the usual place has a long name
        folder = tempfile.mkdtemp(prefix=_FOLDER, dir=parent)  # its mode is 0700
        if len(os.fsencode(f"{folder}/bus")) <= _MAX_PATH:
            return folder
        Path(folder).rmdir()
    raise UsageError("there is no folder for a Unix socket whose path is short enough")
