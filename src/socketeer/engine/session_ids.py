"""The ids of sessions: each is given once, and in a cluster it names the node that owns the session."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Container
from weakref import WeakValueDictionary

from socketeer.engine.http.message import Request
from socketeer.engine.request import BAD_REQUEST, RequestRefused
from socketeer.errors import UsageError
from socketeer.protocol.ids import generate_id, generate_id_of

log = logging.getLogger("socketeer")

Generate = Callable[[Request], "str | Awaitable[str]"]


class SessionIds:
    """Ids of one server's sessions; called with a handshake's request it gives one of its own.

    Attributes:
        node_id: what each begins with; empty where there are no other nodes.
    """

    __slots__ = ("_promised", "node_id")

    def __init__(self) -> None:
        self.node_id = ""
        self._promised: WeakValueDictionary[str, Request] = WeakValueDictionary()
        """Ids whose WebSocket handshake has been accepted and is not over; forgotten with its request."""

    def __call__(self, _request: Request) -> str:
        """The ids of 20 characters that every session gets unless an application has its own."""
        return generate_id_of(self.node_id) if self.node_id else generate_id()

    async def choose(self, generate: Generate, request: Request, taken: Container[str]) -> None:
        """Have an application's own ``generate`` choose the id of a handshake's session.

        Raises:
            RequestRefused: it has failed, or has given what is no new id.
        """
        if generate is self:
            return
        try:
            sid = generate(request)
            if inspect.isawaitable(sid):
                sid = await sid
        except Exception as error:
            log.exception("engine.generate_id failed; the request is refused")
            raise _no_id(request, error) from None
        if not isinstance(sid, str) or not sid or sid in taken or sid in self._promised:
            wrong = UsageError(
                f"engine.generate_id: expected text that is no session's id yet, got {sid!r:.100}"
            )
            log.error("%s; the request is refused", wrong)
            raise _no_id(request, wrong)
        request.sid = sid
        self._promised[sid] = request

    def take(self, request: Request) -> str:
        """The id of the session that begins: the one that has been chosen, or a new one."""
        if request.sid is None:
            return generate_id_of(self.node_id) if self.node_id else generate_id()
        self._promised.pop(request.sid, None)
        return request.sid


def _no_id(request: Request, error: Exception) -> RequestRefused:
    return RequestRefused(BAD_REQUEST, {"name": "ID_GENERATION_ERROR", "error": error}, request)
