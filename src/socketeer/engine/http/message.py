"""HTTP requests and responses as the engine sees them, whatever server carries them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

#: Parameters of a query string that are read; more are a sign of abuse and refuse the request.
MAX_QUERY_FIELDS = 256

#: Of nearly every WebSocket handshake.
USUAL_QUERY: Final = "EIO=4&transport=websocket"
_USUAL: Final[Mapping[str, str]] = {"EIO": "4", "transport": "websocket"}
_NOTHING: Final[frozenset[str]] = frozenset()


class Request:
    """One HTTP request, or the HTTP side of a WebSocket handshake. Header names are lower case.

    A session keeps its first request as long as it lasts, so what is read out of it is made when somebody looks:
    the slots of ``_MADE``. The engine looks at ``fields`` and ``params``, which :meth:`settle` forgets; what an
    application has been given, ``headers`` and ``query``, stays.

    Attributes:
        path: the whole path, decoded, as the client asked for it.
        address: the client's address, without the port; empty where the server does not tell.
        secure: whether it came over TLS.
        body: the body in pieces, as they arrive; None for a WebSocket handshake.
        disconnected: waits until the client has gone.
        scope: the ASGI scope, with what the middlewares of ``io.engine.use`` have put into it.
        sid: the id that a handshake's session is to have, once there is one.
        whole: the body, where all of it has come with the request; then there is no ``body``.
        raw_headers: each header line, the name in lower case.
        headers: the headers by name; several of one name are joined by a comma, the Cookie's by ``; ``.
        query: the parameters of the query string; of a repeated one, the last, where that is allowed.
            ValueError: there are more than ``MAX_QUERY_FIELDS``.
        fields: the headers, for the engine, which changes nothing in them.
        params: the parameters, for the engine.
        repeated: the names of parameters that are given more than once.
    """

    __slots__ = (
        "__weakref__",
        "address",
        "body",
        "disconnected",
        "fields",
        "headers",
        "method",
        "params",
        "path",
        "query",
        "query_string",
        "raw_headers",
        "repeated",
        "scope",
        "secure",
        "sid",
        "whole",
    )

    forgotten: ClassVar[tuple[str, ...]] = ("fields", "params", "repeated")
    """What :meth:`settle` forgets."""

    raw_headers: Sequence[tuple[str, str]]
    headers: dict[str, str]
    query: dict[str, str]
    scope: Mapping[str, Any]
    fields: Mapping[str, str]
    params: Mapping[str, str]
    repeated: frozenset[str]

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
        if raw_headers is not None:
            self.raw_headers = raw_headers
        self.address = address
        self.secure = secure
        self.body = body
        self.disconnected = disconnected
        if scope is not None:
            self.scope = scope
        self.sid = sid
        self.whole = whole

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.path[:100]!r}>"

    def __getattr__(self, name: str) -> Any:
        """Called for a slot that is empty: make what belongs there. It costs nothing once it is there."""
        make = _MADE.get(name)
        if make is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        make(self)
        return getattr(self, name)

    def _read_raw_headers(self) -> None:
        """For the classes that keep the headers in another form."""
        self.raw_headers = []

    def _make_scope(self) -> None:
        """For the classes that have an ASGI scope to tell of."""
        self.scope = {}

    def with_header(self, name: str, value: str) -> Request:
        """The same request with one header line more."""
        lines = [*self.raw_headers, (name, value)]
        return Request(
            self.method, self.path, self.query_string, lines, self.address, self.secure, scope=self.scope
        )

    def settle(self) -> None:
        """It has been answered: forget what was needed for that and can be made again."""
        self.body = self.disconnected = self.whole = None
        for name in self.forgotten:
            try:
                delattr(self, name)
            except AttributeError:
                continue

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

    def _read_fields(self) -> None:
        headers: dict[str, str] = {}
        for name, value in self.raw_headers:
            separator = "; " if name == "cookie" else ", "
            headers[name] = headers[name] + separator + value if name in headers else value
        self.fields = headers

    def _copy_fields(self) -> None:
        self.headers = dict(self.fields)

    def _copy_params(self) -> None:
        self.query = dict(self.params)

    def _read_query(self) -> None:
        text = self.query_string
        if text == USUAL_QUERY:
            self.params, self.repeated = _USUAL, _NOTHING
            return
        if "%" in text or "+" in text or text.count("&") >= MAX_QUERY_FIELDS:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
        else:  # nothing to decode: the same, at a tenth of the price
            pairs = []
            for part in text.split("&"):
                if part:
                    name, _, value = part.partition("=")
                    pairs.append((name, value))
        query = dict(pairs)
        self.repeated = _NOTHING
        if len(query) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            self.repeated = frozenset(name for name, count in counts.items() if count > 1)
        self.params = query

    @property
    def url(self) -> str:
        """Path and query string, as in ``socket.handshake.url``."""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path


#: What is made when somebody looks, and how.
_MADE: Final[dict[str, Callable[[Any], None]]] = {
    "raw_headers": lambda request: request._read_raw_headers(),  # noqa: SLF001 - a subclass may do it otherwise
    "scope": lambda request: request._make_scope(),  # noqa: SLF001
    "fields": Request._read_fields,  # noqa: SLF001
    "headers": Request._copy_fields,  # noqa: SLF001
    "params": Request._read_query,  # noqa: SLF001
    "repeated": Request._read_query,  # noqa: SLF001
    "query": Request._copy_params,  # noqa: SLF001
}


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
