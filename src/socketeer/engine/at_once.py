"""What nearly all requests are, answered without a coroutine: the GET and the POST of long-polling, and handshakes.

Everything else (other revisions of the protocol, refusals, what an application's callable decides) goes by
:meth:`EngineServer.handle` and :meth:`EngineServer.admit`, which give the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from socketeer.engine.admission import check_room
from socketeer.engine.http.message import KnownHeaders, Request, Response
from socketeer.engine.request import RequestRefused, check_headers
from socketeer.engine.server import EngineServer
from socketeer.engine.session import Session
from socketeer.engine.session_ids import SessionIds
from socketeer.engine.transports.polling import (
    POSTED,
    PollingTransport,
    is_binary,
    is_old_browser,
    poll_headers,
    post_headers,
)


class Exchange(Protocol):
    """Who has brought a request and takes its answer."""

    def request(self) -> Request:
        """The request, made when somebody asks for it."""
        ...

    def reply(self, response: Response) -> None:
        """Send the answer."""
        ...

    def reply_known(self, known: KnownHeaders, body: bytes) -> None:
        """Send an answer of which the headers are known."""
        ...

    def waits(self, gone: Callable[[], None]) -> None:
        """The answer comes later; ``gone`` is to be called if the client goes before."""
        ...


class Terms:
    """What the head of a request comes to: the same for each that has this head, on the same connection.

    A client that polls sends the same ones again and again. ``t``, by which browsers are kept from answering out
    of their cache, makes no difference here.
    """

    __slots__ = (
        "_polled",
        "_posted",
        "accepts",
        "binary",
        "cors",
        "encoded",
        "old_browser",
        "polls",
        "protocol",
        "sid",
    )

    def __init__(self, request: Request, sid: str, protocol: int, cors: dict[str, str]) -> None:
        fields = request.fields
        self.sid: Final = sid
        self.protocol: Final = protocol
        self.polls: Final = request.method == "GET"
        self.cors: Final = cors
        """Headers that the answer is to have."""
        self.accepts: Final = fields.get("accept-encoding", "")
        self.old_browser: Final = is_old_browser(request)
        self.binary: Final = is_binary(request)
        self.encoded: Final = "content-encoding" in fields
        self._polled: dict[str, KnownHeaders] = {}
        self._posted: KnownHeaders | None = None

    def polled(self, content_type: str) -> KnownHeaders:
        """The headers of the answer to a poll."""
        known = self._polled.get(content_type)
        if known is None:
            headers = poll_headers(content_type, self.old_browser)
            known = self._polled[content_type] = KnownHeaders(headers | self.cors)
        return known

    @property
    def posted(self) -> KnownHeaders:
        """The headers of the answer to a POST that has been taken."""
        if self._posted is None:
            self._posted = KnownHeaders(post_headers(self.old_browser) | self.cors)
        return self._posted


def terms_of(engine: EngineServer, request: Request) -> Terms | None:
    """What a request's head comes to; None where it cannot be answered at once."""
    try:
        query = request.params
        check_headers(request)
    except (RequestRefused, ValueError):
        return None
    sid = query.get("sid")
    if sid is None or request.repeated or "j" in query or query.get("transport") != "polling":
        return None
    if request.method not in ("GET", "POST"):
        return None
    cors = engine.cors_at_once(request)
    return None if cors is None else Terms(request, sid, 4 if query.get("EIO") == "4" else 3, cors)


def handle_at_once(engine: EngineServer, terms: Terms, body: bytes, exchange: Exchange) -> bool:
    """Answer a request, now or when there is something to poll; False has changed nothing and answers nothing."""
    session = engine.sessions.get(terms.sid)
    if session is None or session.protocol != terms.protocol:
        return False
    transport = session.transport
    if not isinstance(transport, PollingTransport):
        return False
    if terms.polls:
        answer = partial(_answer_poll, engine, terms, transport, exchange)
        outcome = transport.poll_at_once(answer)
        if outcome is None:
            answer()
        elif isinstance(outcome, Response):
            _reply(engine, terms, outcome, exchange)
        else:
            exchange.waits(outcome.gone)
        return True
    refusal = transport.receive_at_once(body, terms.binary, terms.encoded)
    if refusal is None:
        _reply_known(engine, terms.posted, POSTED, exchange)
    else:
        _reply(engine, terms, refusal, exchange)
    return True


def _answer_poll(engine: EngineServer, terms: Terms, transport: PollingTransport, exchange: Exchange) -> None:
    content_type, body, compressible = transport.take()
    if compressible:
        response = Response(200, poll_headers(content_type, terms.old_browser), body)
        transport.compress(response, terms.accepts)
        _reply(engine, terms, response, exchange)
    else:
        _reply_known(engine, terms.polled(content_type), body, exchange)


def _reply_known(engine: EngineServer, known: KnownHeaders, body: bytes, exchange: Exchange) -> None:
    if engine.tells_headers:
        response = Response(200, dict(known.headers), body)
        engine.emit("headers", response.headers, exchange.request())
        exchange.reply(response)
    else:
        exchange.reply_known(known, body)


def _reply(engine: EngineServer, terms: Terms, response: Response, exchange: Exchange) -> None:
    response.headers.update(terms.cors)
    if engine.tells_headers:
        engine.emit("headers", response.headers, exchange.request())
    exchange.reply(response)


Admitted = tuple[Session | None, dict[str, str]]
"""The session that a handshake wants to join, if any, and the ``cors`` headers for the answer."""


def open_at_once(engine: EngineServer, request: Request) -> Response | None:
    """Answer a handshake by polling that is let in; None has changed nothing and answers nothing."""
    admitted = _admit(engine, request, "polling") if request.method == "GET" else None
    if admitted is None or admitted[0] is not None:
        return None
    response = engine.open_polling(request)
    response.headers.update(admitted[1])
    engine.emit("headers", response.headers, request)
    request.settle()
    return response


def admit_at_once(engine: EngineServer, request: Request) -> Admitted | None:
    """As :meth:`EngineServer.admit`, for a handshake that is let in; None has changed nothing and says nothing."""
    admitted = _admit(engine, request, "websocket")
    if admitted is not None and engine.tells_headers:
        session, headers = admitted
        if session is None:
            engine.emit("initial_headers", headers, request)
        engine.emit("headers", headers, request)
    return admitted


def _admit(engine: EngineServer, request: Request, transport: str) -> Admitted | None:
    options, session = engine.options, None
    try:
        query = request.params
        if (
            query.get("transport") != transport
            or query.get("EIO") != "4"
            or transport not in options.transports
            or "j" in query
            or request.repeated
        ):
            return None
        check_headers(request)
        sid = query.get("sid")
        if sid is not None:
            session = engine.sessions.get(sid)
            if session is None or session.protocol != 4 or not options.allow_upgrades:
                return None
        elif options.allow_request is not None or not isinstance(engine.generate_id, SessionIds):
            return None
        else:
            check_room(request, options.limits, engine.closing, len(engine.sessions), engine.addresses)
    except (RequestRefused, ValueError):
        return None
    headers = engine.cors_at_once(request)
    return None if headers is None else (session, headers)
