"""The server side of ASGI, so that an application can be driven event by event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, Self

from tests.support.inprocess import DEADLINE

Event = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Any]

ENGINE = "EIO=4&transport="


class Exchange:
    """One call of an application: what it is given, and what it sends."""

    def __init__(self, app: App, scope: Event, *events: Event) -> None:
        self.scope = scope
        self.sent: list[Event] = []
        self.news = asyncio.Event()
        self._incoming: asyncio.Queue[Event] = asyncio.Queue()
        for event in events:
            self.give(event)
        self.task = asyncio.ensure_future(app(scope, self._incoming.get, self._send))
        self.task.add_done_callback(lambda _: self.news.set())

    async def _send(self, event: Event) -> None:
        self.sent.append(event)
        self.news.set()

    def give(self, event: Event) -> None:
        """What the application receives next."""
        self._incoming.put_nowait(event)

    async def over(self) -> list[Event]:
        """Wait until the application has returned; all that it has sent."""
        async with asyncio.timeout(DEADLINE):
            await self.task
        return self.sent

    async def next(self) -> Event:
        """What the application sends next."""
        async with asyncio.timeout(DEADLINE):
            while not self.sent:
                if self.task.done():
                    await self.task
                    raise AssertionError("the application has returned and sent nothing")
                self.news.clear()
                await self.news.wait()
        return self.sent.pop(0)


def make_scope(kind: str, path: str, transport: str, sid: str = "", **fields: Any) -> Event:
    """A scope as servers make it."""
    query = ENGINE + transport + (f"&sid={sid}" if sid else "")
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws" if kind == "websocket" else "http",
        "server": ("127.0.0.1", 3000),
        "client": ("192.0.2.7", 50000),
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost:3000")],
        "state": {},
        **fields,
    }


class Answer:
    """An HTTP answer, put together from its events."""

    def __init__(self, events: Iterable[Event]) -> None:
        start, *bodies = events
        assert start["type"] == "http.response.start", start
        self.status: int = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body = b"".join(event["body"] for event in bodies)
        if "content-length" in self.headers:
            assert int(self.headers["content-length"]) == len(self.body)


async def http(
    app: App, method: str, path: str, *, sid: str = "", body: Iterable[bytes] = (b"",), **fields: Any
) -> Answer:
    """One HTTP request of the polling transport, its body in pieces."""
    return Answer(await begin(app, method, path, sid=sid, body=body, **fields).over())


def begin(
    app: App, method: str, path: str, *, sid: str = "", body: Iterable[bytes] = (b"",), **fields: Any
) -> Exchange:
    """As `http`, without waiting for the answer."""
    pieces = list(body)
    events = [
        {"type": "http.request", "body": piece, "more_body": at < len(pieces) - 1}
        for at, piece in enumerate(pieces)
    ]
    return Exchange(app, make_scope("http", path, "polling", sid, method=method, **fields), *events)


async def shake(app: App, path: str, **fields: Any) -> str:
    """Open a polling session and join the main namespace; the session's id."""
    answer = await http(app, "GET", path, **fields)
    assert answer.status == 200, answer.body
    sid: str = json.loads(answer.body[1:])["sid"]
    assert (await http(app, "POST", path, sid=sid, body=[b"40"], **fields)).body == b"ok"
    assert (await http(app, "GET", path, sid=sid, **fields)).body.startswith(b'40{"sid":"')
    return sid


class AsgiWebSocket:
    """A WebSocket of an ASGI server."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    @classmethod
    async def open(cls, app: App, path: str, sid: str = "", **fields: Any) -> Self:
        """Shake hands; the application has to accept."""
        fields = {"subprotocols": [], "extensions": {}, **fields}
        scope = make_scope("websocket", path, "websocket", sid, **fields)
        exchange = Exchange(app, scope, {"type": "websocket.connect"})
        accepted = await exchange.next()
        assert accepted["type"] == "websocket.accept", accepted
        socket = cls(exchange)
        if not sid:
            assert str(await socket.hear()).startswith('0{"sid":"')
        return socket

    def say(self, data: str | bytes) -> None:
        """Send one message, the way servers tell of it: one of the two fields may be there and None."""
        if isinstance(data, str):
            self.exchange.give({"type": "websocket.receive", "text": data, "bytes": None})
        else:
            self.exchange.give({"type": "websocket.receive", "bytes": data})

    async def hear(self) -> str | bytes:
        """The next message."""
        event = await self.exchange.next()
        assert event["type"] == "websocket.send", event
        found: str | bytes | None = event.get("text")
        return found if found is not None else event["bytes"]

    async def join(self) -> str:
        """Join the main namespace; the id there."""
        self.say("40")
        answer = await self.hear()
        assert isinstance(answer, str)
        sid: str = json.loads(answer[2:])["sid"]
        return sid

    def leave(self) -> None:
        """The client closes the WebSocket."""
        self.exchange.give({"type": "websocket.disconnect", "code": 1005, "reason": ""})
