"""A WebSocket over plain ASGI ``receive`` and ``send``: any server, at that server's speed.

Reading is the application's own coroutine, :meth:`AsgiCarrier.run`; writing is a task that lives
while something is queued and no longer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from socketeer.engine.carriers.base import Receiver
from socketeer.options import Backpressure
from socketeer.protocol.frame import Message

log = logging.getLogger("socketeer")

#: Seconds that the last of what is queued may take to leave, once the WebSocket has ended.
CLOSE_TIMEOUT = 5.0

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class AsgiCarrier:
    """A WebSocket of an ASGI server. Implements :class:`~socketeer.engine.carriers.base.Carrier`."""

    __slots__ = (
        "_backpressure",
        "_ended",
        "_held",
        "_max_size",
        "_queue",
        "_receive",
        "_room",
        "_send",
        "_writer",
        "receiver",
    )

    def __init__(self, receive: Receive, send: Send, max_size: int, backpressure: Backpressure) -> None:
        self._receive = receive
        self._send = send
        self._max_size = max_size
        self._backpressure = backpressure
        self._queue: deque[tuple[Event, int]] = deque()
        """What is to be sent, each with its size in bytes."""
        self._held = 0
        self._writer: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._ended = asyncio.Event()
        self.receiver: Receiver

    # --- incoming -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver what comes until the WebSocket ends from either side."""
        ended = asyncio.ensure_future(self._ended.wait())
        incoming: asyncio.Future[Event] | None = None
        try:
            while not self._ended.is_set():
                incoming = asyncio.ensure_future(self._receive())
                await asyncio.wait((incoming, ended), return_when=asyncio.FIRST_COMPLETED)
                if incoming.done():
                    self._deliver(incoming.result())
        finally:
            ended.cancel()
            if incoming is not None:
                incoming.cancel()
            if not self._ended.is_set():  # the server has failed or has cancelled us
                self._drop()
                if self._writer is not None:
                    self._writer.cancel()
                self._finish()
                self.receiver.carrier_lost("transport error", "connection lost")
            if self._writer is not None:
                await asyncio.wait((self._writer,), timeout=CLOSE_TIMEOUT)
                if self._writer is not None:
                    self._writer.cancel()

    def _deliver(self, event: Event) -> None:
        if self._ended.is_set():
            return
        if event["type"] == "websocket.disconnect":
            self._finish()
            self.receiver.carrier_lost("transport close", "closed by the peer")
            return
        text = event.get("text")
        data: bytes = event["bytes"] if text is None else text.encode()
        if len(data) > self._max_size:
            # The server's own limit may be higher than ours.
            self._end(1009)
            self.receiver.carrier_lost(
                "transport error", f"message above {self._max_size} bytes (max_http_buffer_size)"
            )
            return
        try:
            if text is None:
                self.receiver.receive_binary(data)
            else:
                self.receiver.receive_text(data)
        except Exception:
            log.exception("a message could not be handled; its connection is closed")
            if not self._ended.is_set():
                self._end(1011)
                self.receiver.carrier_lost("transport error", "internal error")

    # --- outgoing -------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        if self._ended.is_set():
            return
        if message.text:
            self._put({"type": "websocket.send", "text": message.text.decode()}, len(message.text))
        for attachment in message.attachments:
            self._put({"type": "websocket.send", "bytes": attachment}, len(attachment))
        if self._held > self._backpressure.max_bytes:
            self.abort()
            self.receiver.carrier_lost(
                "transport error", "more than max_bytes queued: the client does not read"
            )

    def _put(self, event: Event, size: int) -> None:
        self._queue.append((event, size))
        self._held += size
        if self._held > self._backpressure.high_water:
            self._room.clear()
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._queue:
                event, size = self._queue.popleft()
                try:
                    await self._send(event)
                finally:
                    self._held -= size
                if self._held <= self._backpressure.low_water:
                    self._room.set()
        except Exception as error:  # noqa: BLE001 - servers raise what they like when the peer has gone
            log.debug("websocket send failed: %r", error)
            self._drop()
            if not self._ended.is_set():
                self._finish()
                self.receiver.carrier_lost("transport error", "send failed")
        finally:
            self._writer = None

    def writable(self) -> bool:
        return self._writer is None and not self._queue

    def held(self) -> int:
        return self._held

    async def drained(self) -> None:
        await self._room.wait()

    def close(self) -> None:
        if not self._ended.is_set():
            self._end(1000)

    def abort(self) -> None:
        if not self._ended.is_set():
            self._drop()
            self._end(1000)

    def _drop(self) -> None:
        self._held -= sum(size for _, size in self._queue)
        self._queue.clear()

    def _end(self, code: int) -> None:
        self._put({"type": "websocket.close", "code": code}, 0)
        self._finish()

    def _finish(self) -> None:
        self._ended.set()
        self._room.set()
