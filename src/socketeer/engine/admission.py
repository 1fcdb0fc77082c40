"""What the application says of a new client, whether there is room for it, and what is said of a wrong origin."""

from __future__ import annotations

import inspect
import logging

from socketeer.engine.http.message import Request
from socketeer.engine.request import BAD_REQUEST, FORBIDDEN, RequestRefused
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


def check_room(request: Request, limits: Limits, closing: bool, sessions: int, of_address: int) -> None:
    """Whether there is room for one session more, of ``sessions`` in all and ``of_address`` from the same address.

    Raises:
        RequestRefused: there is not, or the server is closing.
    """
    if closing or (limits.max_sessions is not None and sessions >= limits.max_sessions):
        raise RequestRefused(BAD_REQUEST, {"name": "TOO_MANY_SESSIONS"}, request, 503)
    each = limits.max_sessions_per_address
    if each is not None and of_address >= each:
        raise RequestRefused(BAD_REQUEST, {"name": "TOO_MANY_SESSIONS_PER_ADDRESS"}, request, 429)
