"""What the application says of a new client or puts around it, whether there is room, and what is said of a wrong origin."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from socketeer.engine.http.message import Request
from socketeer.engine.request import BAD_REQUEST, FORBIDDEN, RequestRefused
from socketeer.errors import UsageError
from socketeer.options import AllowRequest, Limits

log = logging.getLogger("socketeer")

#: Origins that are warned of.
_WARNED = 16


async def ask_allow_request(allow: AllowRequest | None, request: Request) -> None:
    """Ask the application about a handshake.

    Raises:
        RequestRefused: it says no, or fails.
    """
    if allow is None:
        return
    try:
        verdict = allow(request)
        if inspect.isawaitable(verdict):
            verdict = await verdict
    except Exception:
        log.exception("allow_request failed; the request is refused")
        verdict = False
    if verdict is not True:
        reason = {"message": verdict} if isinstance(verdict, str) else {}
        raise RequestRefused(FORBIDDEN, reason, request, 403)


class OriginWarnings:
    """Once for each origin, and for a bounded number of them: it is the first thing people trip over."""

    __slots__ = ("_warned",)

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def warn(self, origin: str) -> None:
        """This origin has been refused."""
        if origin not in self._warned and len(self._warned) < _WARNED:
            self._warned.add(origin)
            log.warning(
                "origin %.200r is not allowed; allow it by Server(cors=Cors(origin=%.200r))", origin, origin
            )


def check_middleware(middleware: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Whether it can be put around an application.

    Raises:
        UsageError: it is an ``async def``, so no middleware but an application.
        TypeError: it cannot be called with an application and these options.
    """
    if inspect.iscoroutinefunction(middleware):
        raise UsageError(
            f"engine.use({middleware.__name__}): expected a middleware class or a function (app) -> app, got "
            "an async function; for one that takes (request, call_next) use Starlette's BaseHTTPMiddleware"
        )
    try:
        signature = inspect.signature(middleware)
    except ValueError:  # written in C: it will say so itself
        pass
    else:
        signature.bind(None, **options)


def check_room(
    request: Request, limits: Limits, closing: bool, sessions: int, addresses: Mapping[str, int]
) -> None:
    """Whether there is room for one session more, of ``sessions`` in all, and so many from each address.

    Raises:
        RequestRefused: there is not, or the server is closing.
    """
    if closing or (limits.max_sessions is not None and sessions >= limits.max_sessions):
        raise RequestRefused(BAD_REQUEST, {"name": "TOO_MANY_SESSIONS"}, request, 503)
    each = limits.max_sessions_per_address
    if each is not None and addresses.get(request.address, 0) >= each:
        raise RequestRefused(BAD_REQUEST, {"name": "TOO_MANY_SESSIONS_PER_ADDRESS"}, request, 429)
