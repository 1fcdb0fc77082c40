"""ASGI's own terms (https://asgi.readthedocs.io/): a scope as a request, a response as events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from socketeer.engine.http.message import Request, Response
from socketeer.engine.request import RequestRefused

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Body:
    """The body of an HTTP request, and the news that its client has gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """What comes, as it comes.

        Raises:
            ConnectionResetError: the client went away before the end.
        """
        while not self._read:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                self._read = True
                raise ConnectionResetError("the client went away")
            self._read = not event.get("more_body", False)
            yield event.get("body", b"")

    async def disconnected(self) -> None:
        """Wait until the client has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def make_request(scope: Scope, body: Body | None) -> Request:
    """The request that a scope describes; only the scope's own fields are trusted."""
    client = scope.get("client")
    return _ScopeRequest(
        method=scope.get("method", "GET"),
        path=scope["path"],
        query_string=scope.get("query_string", b"").decode("latin-1"),
        raw_headers=None,
        address=client[0] if client else "",
        secure=scope.get("scheme") in ("https", "wss"),
        body=None if body is None else body.pieces,
        disconnected=None if body is None else body.disconnected,
        scope=scope,
    )


class _ScopeRequest(Request):
    """A request whose headers are in its scope, and nowhere else as long as nobody looks."""

    __slots__ = ()

    def _read_raw_headers(self) -> list[tuple[str, str]]:
        return [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self.scope["headers"]
        ]

    def settle(self) -> None:
        super().settle()
        self._raw_headers = None


def encode(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def decode(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Headers of an ASGI event as text, each line of its own."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


async def respond(send: Send, kind: str, response: Response) -> None:
    """Send a whole response; ``kind`` is ``http.response`` or ``websocket.http.response``."""
    headers = encode(response.headers)
    if not response.streamed and response.status != 204:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": f"{kind}.start", "status": response.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": response.body})


async def reject(scope: Scope, send: Send, refused: RequestRefused) -> None:
    """Refuse a WebSocket whose ``websocket.connect`` has been received."""
    if "websocket.http.response" in (scope.get("extensions") or {}):
        headers = {"content-type": "text/html", "connection": "close"}
        await respond(
            send, "websocket.http.response", Response(refused.status, headers, refused.text.encode())
        )
    else:
        await send({"type": "websocket.close"})  # all that plain ASGI offers: the server answers 403
