"""What the application says of a new client, and what is said of one from a wrong origin."""

from __future__ import annotations

import inspect
import logging

from socketeer.engine.http.message import Request
from socketeer.engine.request import FORBIDDEN, RequestRefused
from socketeer.options import AllowRequest

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
