"""The two requests that make up long-polling, answered without a coroutine: a GET or a POST of a session that is here.

Everything else (handshakes, refusals, what an application's callable decides) goes by :meth:`EngineServer.handle`, which
gives the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from socketeer.engine.http.message import Request, Response
from socketeer.engine.request import RequestRefused, check_headers
from socketeer.engine.server import EngineServer
from socketeer.engine.transports.polling import PollingTransport


class Exchange(Protocol):
    """Who has brought a request and takes its answer."""

    def reply(self, response: Response) -> None:
        """Send the answer."""
        ...

    def waits(self, gone: Callable[[], None]) -> None:
        """The answer comes later; ``gone`` is to be called if the client goes before."""
        ...


def handle_at_once(engine: EngineServer, request: Request, exchange: Exchange) -> bool:
    """Answer ``request``, now or when there is something to poll; False has changed nothing and answers nothing."""
    try:
        query = request.params
        check_headers(request)
    except (RequestRefused, ValueError):
        return False
    session = engine.sessions.get(query.get("sid", ""))
    if session is None or request.repeated or "j" in query or query.get("transport") != "polling":
        return False
    transport = session.transport
    if (query.get("EIO") == "4") is not (session.protocol == 4) or not isinstance(
        transport, PollingTransport
    ):
        return False
    headers = engine.cors_at_once(request)
    if headers is None:
        return False
    answer = _Answer(engine, request, exchange, headers)
    if request.method == "GET":
        gone = transport.poll_at_once(request, answer)
        if gone is not None:
            exchange.waits(gone)
    elif request.method == "POST" and request.whole is not None:
        answer(transport.receive_at_once(request, request.whole))
    else:
        return False
    return True


class _Answer:
    """Takes what the transport answers."""

    __slots__ = ("_engine", "_exchange", "_headers", "_request")

    def __init__(
        self, engine: EngineServer, request: Request, exchange: Exchange, headers: dict[str, str]
    ) -> None:
        self._engine = engine
        self._request = request
        self._exchange = exchange
        self._headers = headers

    def __call__(self, response: Response) -> None:
        response.headers.update(self._headers)
        self._engine.emit("headers", response.headers, self._request)
        self._exchange.reply(response)
