"""HTTP requests and responses as the engine sees them, whatever server carries them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

#: Parameters of a query string that are read; more are a sign of abuse and refuse the request.
MAX_QUERY_FIELDS = 256

T = TypeVar("T")


class _Lazy(Generic[T]):
    """As ``functools.cached_property``, which before Python 3.12 takes a lock each time: three times for a poll."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        value = instance.__dict__[self._name] = self._function(instance)
        return value


@dataclass(eq=False)
class Request:
    """One HTTP request, or the HTTP side of a WebSocket handshake. Header names are lower case."""

    method: str
    path: str
    """The whole path, decoded, as the client asked for it."""
    query_string: str
    raw_headers: list[tuple[str, str]]
    address: str
    """The client's address, without the port; empty where the server does not tell."""
    secure: bool
    """Whether it came over TLS."""
    body: Callable[[], AsyncIterator[bytes]] | None = None
    """The body in pieces, as they arrive; None for a WebSocket handshake."""
    disconnected: Callable[[], Awaitable[None]] | None = None
    """Waits until the client has gone."""
    scope: Mapping[str, Any] = field(default_factory=dict)
    """The ASGI scope, with what the middlewares of ``io.engine.use`` have put into it."""
    sid: str | None = None
    """The id that a handshake's session is to have, once there is one."""
    whole: bytes | None = None
    """The body, where all of it has come with the request; then there is no ``body``."""

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

    @_Lazy
    def headers(self) -> dict[str, str]:
        """The headers by lower-case name; several of one name are joined by a comma, the Cookie's by ``; ``."""
        headers: dict[str, str] = {}
        for name, value in self.raw_headers:
            separator = "; " if name == "cookie" else ", "
            headers[name] = headers[name] + separator + value if name in headers else value
        return headers

    @_Lazy
    def query(self) -> dict[str, str]:
        """The parameters of the query string; of a repeated one, the last, where that is allowed.

        Raises:
            ValueError: there are more than ``MAX_QUERY_FIELDS``.
        """
        return self._read_query()

    @_Lazy
    def repeated(self) -> frozenset[str]:
        """The names of parameters that are given more than once."""
        self._read_query()
        return self.repeated

    def _read_query(self) -> dict[str, str]:
        text = self.query_string
        if "%" in text or "+" in text or text.count("&") >= MAX_QUERY_FIELDS:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
        else:  # nothing to decode: the same, at a tenth of the price
            parts = [part.partition("=") for part in text.split("&") if part]
            pairs = [(name, value) for name, _, value in parts]
        query = dict(pairs)
        repeated: frozenset[str] = frozenset()
        if len(query) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            repeated = frozenset(name for name, count in counts.items() if count > 1)
        vars(self).update(query=query, repeated=repeated)
        return query

    @property
    def url(self) -> str:
        """Path and query string, as in ``socket.handshake.url``."""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path


@dataclass(slots=True, eq=False)
class Response:
    """An answer: header names in lower case, no ``content-length`` (it is made from the body)."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    streamed: bool = False
    """True sends no ``content-length``: the body goes out in chunks, as the official server's compressed ones."""
