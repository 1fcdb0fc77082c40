"""Is this request acceptable? The checks of the official server, in its order, with its codes.

Nothing here does I/O: the same request and the same sessions give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from socketeer.engine.http.message import Request, Response
from socketeer.engine.session import Session
from socketeer.options import EngineOptions
from socketeer.protocol.engineio import ERROR_MESSAGES, error_body

UNKNOWN_TRANSPORT = 0
UNKNOWN_SID = 1
BAD_HANDSHAKE_METHOD = 2
BAD_REQUEST = 3
FORBIDDEN = 4
UNSUPPORTED_PROTOCOL_VERSION = 5


@dataclass(eq=False)
class RequestRefused(Exception):
    """A request that is not acceptable; given to ``io.engine.on("connection_error")``.

    Attributes:
        code: 0 to 5, as of the official server.
        context: what was wrong, for the log and for listeners.
        request: the request.
    """

    code: int
    context: dict[str, Any] = field(default_factory=dict)
    request: Request | None = None
    status: int = 400

    @property
    def message(self) -> str:
        """The official server's words for the code."""
        return ERROR_MESSAGES[self.code]

    @property
    def text(self) -> str:
        """What the client is told: the reason that ``allow_request`` gave, or the words for the code."""
        return self.context.get("message") or self.message

    def response(self) -> Response:
        """The answer to an HTTP request: a JSON object with ``code`` and ``message``."""
        return Response(self.status, {"content-type": "application/json"}, error_body(self.code, self.text))


def check(
    request: Request, sessions: Mapping[str, Session], options: EngineOptions, websocket: bool
) -> Session | None:
    """The session that the request belongs to, or None for a handshake.

    Raises:
        RequestRefused: with the code that the official server gives.
    """
    transport = _parameter(request, "transport")
    if transport not in options.transports:
        raise RequestRefused(UNKNOWN_TRANSPORT, {"transport": transport}, request)
    check_headers(request)
    if "j" in request.params and not _may_be_jsonp(request, transport, options):
        raise RequestRefused(BAD_REQUEST, {"name": "JSONP_UNSUPPORTED"}, request)
    if "sid" in request.params:
        return _check_session(request, sessions, transport, websocket)
    if request.method != "GET":
        raise RequestRefused(BAD_HANDSHAKE_METHOD, {"method": request.method}, request)
    if (transport == "websocket") is not websocket:
        raise RequestRefused(BAD_REQUEST, {"name": "TRANSPORT_HANDSHAKE_ERROR"}, request)
    return None


def protocol_of(request: Request) -> int:
    """The revision of Engine.IO that a request speaks: whatever does not say 4 is 3, as for the official server."""
    return 4 if _parameter(request, "EIO") == "4" else 3


def check_version(request: Request, allow_eio3: bool = False) -> None:
    """The protocol version, which the official server looks at last.

    Raises:
        RequestRefused: it is not 4, and 3 is not allowed.
    """
    if not allow_eio3 and protocol_of(request) != 4:
        protocol = _parameter(request, "EIO")
        raise RequestRefused(UNSUPPORTED_PROTOCOL_VERSION, {"protocol": protocol}, request)


def with_origin_of_page(request: Request) -> Request:
    """The request of a script element (JSONP) as one that names its origin, which browsers leave out there.

    Any page may contain such an element, and reads the answer: CORS would be void. The page stands in ``Referer``;
    one that hides itself counts as ``null``, which ``origin="*"`` allows and hardly anything else.
    """
    if "j" not in request.params or "origin" in request.fields:
        return request
    try:
        page = urlsplit(request.fields.get("referer", ""))
    except ValueError:  # brackets that hold no IPv6 address
        page = urlsplit("")
    origin = f"{page.scheme}://{page.netloc}" if page.scheme and page.netloc else "null"
    return request.with_header("origin", origin)


def _may_be_jsonp(request: Request, transport: str | None, options: EngineOptions) -> bool:
    """Only clients of Engine.IO 3 know it; the official server answers it to others too."""
    return options.allow_eio3 and protocol_of(request) == 3 and transport == "polling"


def _parameter(request: Request, name: str) -> str | None:
    """A parameter of the query, or None where it is missing or given twice."""
    return None if name in request.repeated else request.params.get(name)


def _check_session(
    request: Request, sessions: Mapping[str, Session], transport: str | None, websocket: bool
) -> Session:
    sid = _parameter(request, "sid")
    session = sessions.get(sid) if sid is not None else None
    if session is None:
        raise RequestRefused(UNKNOWN_SID, {"sid": sid}, request)
    if not websocket and session.transport.name != transport:
        raise RequestRefused(BAD_REQUEST, {"name": "TRANSPORT_MISMATCH"}, request)
    if websocket and transport != "websocket":
        raise RequestRefused(BAD_REQUEST, {"name": "TRANSPORT_MISMATCH"}, request)
    if protocol_of(request) != session.protocol:
        raise RequestRefused(BAD_REQUEST, {"name": "PROTOCOL_MISMATCH"}, request)
    return session


#: A name or an address, and a port.
_HOST = re.compile(r"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_LAST_PORT = 65_535


def check_headers(request: Request) -> None:
    """One Host at most, and one that could be: what compares with it must not be misled; and a readable Origin.

    Raises:
        RequestRefused: it is not so.
    """
    headers = request.fields
    origin = headers.get("origin")
    if origin is not None and not (origin.isascii() and origin.isprintable()):
        raise RequestRefused(BAD_REQUEST, {"name": "INVALID_ORIGIN"}, request)
    host = headers.get("host")  # two are joined by a comma, which none may have
    if host is not None and not _could_be_host(host):
        raise RequestRefused(BAD_REQUEST, {"name": "INVALID_HOST"}, request)


@lru_cache(maxsize=64)
def _could_be_host(host: str) -> bool:
    found = _HOST.fullmatch(host)
    return found is not None and int(found[1] or 0) <= _LAST_PORT
