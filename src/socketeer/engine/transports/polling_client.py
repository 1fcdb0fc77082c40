"""HTTP long-polling, the connecting side: one GET waits all the time, POSTs bring what is sent.

https://socket.io/docs/v4/engine-io-protocol/#http-long-polling
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from socketeer.engine.client_session import ClientSession
from socketeer.engine.http.client import HttpClient
from socketeer.engine.outbox import Outbox
from socketeer.engine.session import State
from socketeer.errors import PacketError, TransportError
from socketeer.protocol.engineio import BASE64, CLOSE_PACKET, decode_base64, decode_payload
from socketeer.protocol.frame import RECORD_SEPARATOR, Message

#: Makes a task that its session's client sees the end of.
Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


class PollingClient:
    """One session on long-polling, as its client. ``url`` makes the address of each request."""

    __slots__ = (
        "_ended",
        "_http",
        "_outbox",
        "_pausing",
        "_poller",
        "_poster",
        "_rest",
        "_rest_held",
        "_session",
        "_spawn",
        "_url",
        "name",
    )

    def __init__(
        self, session: ClientSession, http: HttpClient, url: Callable[[], str], spawn: Spawn
    ) -> None:
        self.name = "polling"
        self._session = session
        self._http = http
        self._url = url
        self._spawn = spawn
        self._outbox = Outbox(session.options.backpressure)
        self._rest: deque[bytes] = deque()
        """Packets taken from the outbox, too much for one POST."""
        self._rest_held = 0
        self._pausing = False
        """An upgrade waits for the requests that run, and will call `retire` or `resume`."""
        self._ended: Callable[[], None] | None = None
        """The session is closing: what to call when the server knows."""
        self._poller: asyncio.Task[None] | None = None
        self._poster: asyncio.Task[None] | None = None

    # --- incoming -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to poll."""
        self._poll_soon()
        self._post_soon()

    def _poll_soon(self) -> None:
        if self._poller is None and self._session.state is State.OPEN:
            self._poller = self._spawn(self._poll(), "socketeer poll")

    async def _poll(self) -> None:
        session = self._session
        try:
            while not self._pausing and session.state is State.OPEN:
                self.deliver((await self._http.get(self._url())).body)
        except TransportError as error:
            self._failed(error)
        finally:
            self._poller = None

    def deliver(self, body: bytes) -> None:
        """Hand on the packets of one answer."""
        session = self._session
        try:
            packets = decode_payload(body, session.options.limits.max_payload_packets)
        except PacketError as error:
            session.fail("parse error", str(error))
            return
        for packet in packets:
            session.receive_text(packet)

    def _failed(self, error: TransportError) -> None:
        if self._session.state is State.CLOSING:
            self._session.fail("forced close")  # the server may forget us before it has answered everything
        else:
            self._session.fail("transport error", str(error))

    # --- outgoing -------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Queue a message; all of a turn leave in one POST, as far as the server takes it."""
        self._outbox.append(message)
        if self.held() <= self._session.options.backpressure.max_bytes:
            self._post_soon()
        else:
            self._session.fail("transport error", "more than max_bytes queued: the server does not take it")

    def _post_soon(self) -> None:
        if self._poster is None and not self._pausing and (self._outbox or self._rest):
            self._poster = self._spawn(self._post(), "socketeer post")

    async def _post(self) -> None:
        try:
            while not self._pausing and (self._rest or self._outbox):
                await self._http.post(self._url(), self._next_body())
        except TransportError as error:
            self._failed(error)
        finally:
            self._poster = None

    def _next_body(self) -> bytes:
        """As many packets as the server's ``maxPayload`` allows; one that is too large goes alone."""
        rest, limit = self._rest, self._session.max_payload
        if not rest:
            for message in self._outbox.take():
                rest.extend(message.payload().split(RECORD_SEPARATOR))
            self._rest_held = sum(map(len, rest))
        parts = [rest.popleft()]
        size = len(parts[0])
        while rest and not size + 1 + len(rest[0]) > limit > 0:
            size += 1 + len(rest[0])
            parts.append(rest.popleft())
        self._rest_held -= size + 1 - len(parts)
        return RECORD_SEPARATOR.join(parts)

    def writable(self) -> bool:
        """Whether nothing is under way or waits."""
        return self._poster is None and not self._outbox and not self._rest

    def held(self) -> int:
        """Bytes queued."""
        return self._outbox.held + self._rest_held

    async def drained(self) -> None:
        """Wait until the queue has been taken, if it is above its high-water mark."""
        await self._outbox.drained()

    async def posted(self) -> None:
        """Wait until the server has answered every POST."""
        while self._poster is not None:
            await asyncio.wait((self._poster,))

    # --- upgrade and end ------------------------------------------------------------------------

    def pause(self) -> set[asyncio.Task[None]]:
        """Begin no further request; those that still run."""
        self._pausing = True
        return {task for task in (self._poller, self._poster) if task is not None}

    def resume(self) -> None:
        """The upgrade has failed: poll on; or close, if that was asked for meanwhile."""
        self._pausing = False
        if self._ended is not None:
            self.finish(self._ended)
        else:
            self.start()

    def retire(self) -> list[Message]:
        """The session moves to another transport, or ends: what is queued goes with it."""
        rest, self._rest, self._rest_held = self._rest, deque(), 0
        return [*map(_message, rest), *self._outbox.take()]

    def finish(self, ended: Callable[[], None]) -> None:
        """Send what is queued, then a close packet by itself: the official server acts on it before the others.

        During the last part of an upgrade the session closes over whichever transport that leaves.
        """
        self._ended = ended
        if self._pausing:
            return
        if self._session.upgrading is not None:
            self._session.upgrading.cancel()
            self._session.upgrading = None
        self._post_soon()
        if self._poster is None:
            self._say_goodbye()
        else:
            self._poster.add_done_callback(lambda _: self._say_goodbye())

    def _say_goodbye(self) -> None:
        if self._session.state is State.CLOSED:
            return
        self._outbox.append(CLOSE_PACKET)
        self._post_soon()
        if self._poster is not None and self._ended is not None:
            ended = self._ended
            self._poster.add_done_callback(lambda _: ended())

    def close(self) -> None:
        """End at once."""
        self._pausing = True
        self.retire()
        for task in (self._poller, self._poster):
            if task is not None:
                task.cancel()


def _message(packet: bytes) -> Message:
    """A packet of a payload, for a transport that has frames for binary."""
    return Message(b"", [decode_base64(packet)]) if packet[0] == BASE64 else Message(packet)
