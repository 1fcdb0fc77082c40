"""HTTP requests and responses as the engine sees them, whatever server carries them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

#: Parameters of a query string that are read; more are a sign of abuse and refuse the request.
MAX_QUERY_FIELDS = 256

#: Of nearly every WebSocket handshake.
USUAL_QUERY: Final = "EIO=4&transport=websocket"
_USUAL: Final[Mapping[str, str]] = {"EIO": "4", "transport": "websocket"}
_NOTHING: Final[frozenset[str]] = frozenset()


class Request:
    """One HTTP request, or the HTTP side of a WebSocket handshake. Header names are lower case.

    A session keeps its first request as long as it lasts, so what is read out of it is made when somebody looks. The
    engine looks at ``fields`` and ``params``, which :meth:`settle` forgets; what an application has been given,
    ``headers`` and ``query``, stays.

    Attributes:
        path: the whole path, decoded, as the client asked for it.
        address: the client's address, without the port; empty where the server does not tell.
        secure: whether it came over TLS.
        body: the body in pieces, as they arrive; None for a WebSocket handshake.
        disconnected: waits until the client has gone.
        sid: the id that a handshake's session is to have, once there is one.
        whole: the body, where all of it has come with the request; then there is no ``body``.
    """

    __slots__ = (
        "__weakref__",
        "_fields",
        "_headers",
        "_params",
        "_query",
        "_raw_headers",
        "_repeated",
        "_scope",
        "address",
        "body",
        "disconnected",
        "method",
        "path",
        "query_string",
        "secure",
        "sid",
        "whole",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query_string: str,
        raw_headers: Sequence[tuple[str, str]] | None,
        address: str,
        secure: bool,
        body: Callable[[], AsyncIterator[bytes]] | None = None,
        disconnected: Callable[[], Awaitable[None]] | None = None,
        scope: Mapping[str, Any] | None = None,
        sid: str | None = None,
        whole: bytes | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self._raw_headers = raw_headers
        self.address = address
        self.secure = secure
        self.body = body
        self.disconnected = disconnected
        self._scope = scope
        self.sid = sid
        self.whole = whole
        self._fields: Mapping[str, str] | None = None
        self._params: Mapping[str, str] | None = None
        self._repeated: frozenset[str] | None = None
        self._headers: dict[str, str] | None = None
        self._query: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.path[:100]!r}>"

    # --- made when somebody looks ---------------------------------------------------------------

    @property
    def raw_headers(self) -> Sequence[tuple[str, str]]:
        """Each header line, the name in lower case."""
        if self._raw_headers is None:
            self._raw_headers = self._read_raw_headers()
        return self._raw_headers

    def _read_raw_headers(self) -> Sequence[tuple[str, str]]:
        """For the classes that keep the headers in another form."""
        return ()

    @property
    def scope(self) -> Mapping[str, Any]:
        """The ASGI scope, with what the middlewares of ``io.engine.use`` have put into it."""
        if self._scope is None:
            self._scope = self._make_scope()
        return self._scope

    def _make_scope(self) -> Mapping[str, Any]:
        """For the classes that have an ASGI scope to tell of."""
        return {}

    @property
    def fields(self) -> Mapping[str, str]:
        """The headers, for the engine, which changes nothing in them."""
        if self._fields is None:
            self._fields = self._read_fields()
        return self._fields

    def _read_fields(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        for name, value in self.raw_headers:
            separator = "; " if name == "cookie" else ", "
            headers[name] = headers[name] + separator + value if name in headers else value
        return headers

    @property
    def headers(self) -> dict[str, str]:
        """The headers by name; several of one name are joined by a comma, the Cookie's by ``; ``."""
        if self._headers is None:
            self._headers = dict(self.fields)
        return self._headers

    @property
    def params(self) -> Mapping[str, str]:
        """The parameters, for the engine.

        Raises:
            ValueError: there are more than ``MAX_QUERY_FIELDS``.
        """
        return self._read_query() if self._params is None else self._params

    @property
    def repeated(self) -> frozenset[str]:
        """The names of parameters that are given more than once."""
        if self._repeated is None:
            self._read_query()
        return self._repeated or _NOTHING

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query string; of a repeated one, the last, where that is allowed.

        Raises:
            ValueError: there are more than ``MAX_QUERY_FIELDS``.
        """
        if self._query is None:
            self._query = dict(self.params)
        return self._query

    def _read_query(self) -> Mapping[str, str]:
        text = self.query_string
        if text == USUAL_QUERY:
            self._params, self._repeated = _USUAL, _NOTHING
            return _USUAL
        if "%" in text or "+" in text or text.count("&") >= MAX_QUERY_FIELDS:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
        else:  # nothing to decode: the same, at a tenth of the price
            pairs = []
            for part in text.split("&"):
                if part:
                    name, _, value = part.partition("=")
                    pairs.append((name, value))
        query = dict(pairs)
        self._repeated = _NOTHING
        if len(query) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            self._repeated = frozenset(name for name, count in counts.items() if count > 1)
        self._params = query
        return query

    @property
    def url(self) -> str:
        """Path and query string, as in ``socket.handshake.url``."""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    # --- for the engine -------------------------------------------------------------------------

    def with_header(self, name: str, value: str) -> Request:
        """The same request with one header line more."""
        lines = [*self.raw_headers, (name, value)]
        return Request(
            self.method, self.path, self.query_string, lines, self.address, self.secure, scope=self.scope
        )

    def settle(self) -> None:
        """It has been answered: forget what was needed for that and can be made again."""
        self.body = self.disconnected = self.whole = None
        self._fields = self._params = self._repeated = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it arrives.

        Raises:
            ConnectionError: the client went away before the end of it.
        """
        if self.whole is not None:
            yield self.whole
        elif self.body is not None:
            async for piece in self.body():
                yield piece


@dataclass(slots=True, eq=False)
class Response:
    """An answer: header names in lower case, no ``content-length`` (it is made from the body)."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    streamed: bool = False
    """True sends no ``content-length``: the body goes out in chunks, as the official server's compressed ones."""


class KnownHeaders:
    """The headers of a 200 that many answers have. Nobody changes them, so who sends them may keep how they are written."""

    __slots__ = ("headers", "written")

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers: Final = headers
        self.written: bytes | None = None
        """By whoever sends them."""
