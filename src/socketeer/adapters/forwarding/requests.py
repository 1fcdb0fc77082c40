"""An HTTP request that is answered by another node: the tunnel's two ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Final

from socketeer.adapters.forwarding.frames import (
    MORE,
    RECORD_HEAD,
    Answered,
    Asked,
    Kind,
    Refused,
    pack,
    records,
    unpack,
)
from socketeer.adapters.forwarding.tunnel import WINDOW, Assembler, Lines, Opened, Tunnel
from socketeer.engine.http.message import Request, Response
from socketeer.engine.request import BAD_REQUEST, UNKNOWN_SID, RequestRefused, protocol_of
from socketeer.engine.transports.polling import PollingTransport, read_body
from socketeer.errors import PacketError

log = logging.getLogger("socketeer")

#: Headers that the owner looks at, and how much of each; a longer one counts as not sent, or its beginning is enough.
_LOOKED_AT: Final = {
    "accept-encoding": (512, False),
    "content-encoding": (64, True),
    "content-length": (64, True),
    "content-type": (256, True),
    "user-agent": (512, True),
}


def asked(request: Request, body: bytes = b"", follows: bool = False) -> Asked:
    """What the owner needs of a request."""
    headers = {}
    for name, (most, begin) in _LOOKED_AT.items():
        value = request.headers.get(name)
        if value is not None and (begin or len(value) <= most):
            headers[name] = "".join(each if " " <= each <= "~" else "?" for each in value[:most])
    return Asked(
        request.params["sid"],
        request.method[:32],
        protocol_of(request),
        "b64" in request.params,
        "j" in request.params,
        headers,
        body,
        follows,
    )


def rebuilt(what: Asked, path: str, websocket: bool) -> Request:
    """A request that the owner answers as it would have answered the one that it stands for."""
    query = f"EIO={what.protocol}&transport={'websocket' if websocket else 'polling'}&sid={_quoted(what.sid)}"
    query += "&b64=1" if what.base64 else ""
    query += "&j=0" if what.jsonp else ""
    return Request(
        method=what.method,
        path=path,
        query_string=query,
        raw_headers=list(what.headers.items()),
        address="",
        secure=False,
    )


def _quoted(sid: str) -> str:
    return "".join(each if each.isalnum() or each in "-_" else f"%{ord(each):02X}" for each in sid)


def refusal(body: bytes, request: Request) -> RequestRefused:
    """Why the owner refuses.

    Raises:
        PacketError: it does not say so.
    """
    what = unpack(Refused, body)
    context = {"sid": request.params.get("sid")} if what.code == UNKNOWN_SID else {"name": what.name}
    return RequestRefused(what.code, context, request, what.status)


def no_such_session(request: Request) -> RequestRefused:
    """The refusal where there is no owner."""
    return RequestRefused(UNKNOWN_SID, {"sid": request.params.get("sid")}, request)


def refused(error: RequestRefused) -> bytes:
    """The same, as a body."""
    name = error.context.get("name")
    return pack(Refused(error.code, error.status, name if isinstance(name, str) else None))


class Asking(Opened):
    """The end at the node where a request has landed.

    Attributes:
        follows: whether the body goes as records.
        waits: whether it is a poll, which the owner can be asked to have answered at once.
    """

    __slots__ = ("_accepted", "_answer", "_body", "_response", "follows", "waits")

    def __init__(self, lines: Lines, peer: str, request: Request, limit: int, follows: bool) -> None:
        super().__init__(lines, peer, request)
        self.follows = follows
        loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[None] = loop.create_future()
        self._answer: asyncio.Future[Response] = loop.create_future()
        self._response: Response | None = None
        self._body = Assembler(limit)
        self.waits = request.method == "GET"

    def hear(self, kind: Kind, body: bytes) -> None:
        """The owner accepts, answers or refuses."""
        if kind is Kind.REFUSED:
            self.refuse(refusal(body, self.request))
            return
        self.agreed_to()
        if not self._accepted.done():
            self._accepted.set_result(None)
        if kind is Kind.RESPONSE and self._response is None:
            what = unpack(Answered, body)
            self._response = Response(what.status, what.headers, what.body, what.streamed)
            if not what.follows:
                self._finish()
        elif kind is Kind.DATA and self._response is not None:
            for _, whole in self._body.take(body):
                self._response.body = whole
                self._finish()
            self.taken(len(body))
        elif kind is not Kind.ACCEPTED:
            raise PacketError(f"{kind.name} does not belong to a request here")

    def _finish(self) -> None:
        self.end()
        if self._response is not None and not self._answer.done():
            self._answer.set_result(self._response)

    def refuse(self, why: RequestRefused) -> None:
        """There will be no answer."""
        if self.ended:
            return
        self.end()
        for future in (self._accepted, self._answer):
            if not future.done():
                future.set_exception(why)
                future.exception()  # who waits sees it; if nobody does, that is no news

    def broken(self) -> None:
        """The owner has gone, and the session with it."""
        self.refuse(no_such_session(self.request))

    @property
    def outcome(self) -> asyncio.Future[Response]:
        """What it comes to."""
        return self._answer

    async def agreed(self) -> None:
        """Wait until the owner has accepted.

        Raises:
            RequestRefused: it does not.
        """
        try:
            await self._accepted
        finally:
            self.leave()

    async def answered(self) -> Response:
        """Send the body, where it is not sent yet, and wait for the answer, unless the client goes.

        Raises:
            RequestRefused: there is none.
        """
        request = self.request
        if self.follows:
            watch: Awaitable[None] = self._send_body()
        elif self.waits and request.disconnected is not None:
            watch = request.disconnected()
        else:
            return await self._or_leave(None)
        watching = asyncio.ensure_future(watch)
        try:
            return await self._or_leave(watching)
        finally:
            watching.cancel()

    async def _or_leave(self, watching: asyncio.Future[None] | None) -> Response:
        try:
            if watching is not None:
                await asyncio.wait((self._answer, watching), return_when=asyncio.FIRST_COMPLETED)
                if not self._answer.done() and (self.waits or self.ended):
                    return Response(400)  # nobody reads it
            return await self._answer
        finally:
            self.leave()

    async def _send_body(self) -> None:
        await self._accepted
        try:
            async for piece in self.request.pieces():
                if piece:
                    self.out.put(MORE, piece)
                    await self.out.below(WINDOW)
        except ConnectionError:
            self.leave()
        else:
            self.out.put(0, b"")

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        if not self.ended:
            self.tell(Kind.LOST)
            self.end()


def fits(request: Request, most: int) -> bool:
    """Whether the body is known to be so small, ``most`` bytes, that it goes with the request."""
    if request.method != "POST":
        return True
    declared = request.headers.get("content-length", "")
    return declared.isdecimal() and len(declared) < 8 and int(declared) <= most


async def small_body(request: Request, patience: float) -> bytes:
    """The body of a request that fits.

    Raises:
        ConnectionError: the client has gone before the end of it.
        TimeoutError: it takes longer than ``patience``.
    """
    if request.method != "POST":
        return b""
    async with asyncio.timeout(patience):
        body = await read_body(request, int(request.headers["content-length"]))
    if body is None:
        raise ConnectionResetError("more than the client has announced")
    return body


class Answering(Tunnel):
    """The end at the node that owns the session."""

    __slots__ = ("_gone", "_news", "_pieces", "_sid", "_whole", "task")

    def __init__(self, lines: Lines, peer: str, tunnel: int, what: Asked) -> None:
        super().__init__(lines, peer, tunnel)
        self._expected = 1
        self._sid = what.sid
        self._gone = asyncio.Event()
        self._pieces: list[tuple[int, bytes]] = []
        """Pieces of the body, each with its size in the window."""
        self._whole = not what.follows
        if what.body:
            self._pieces.append((0, what.body))
        self._news = asyncio.Event()
        request = rebuilt(what, lines.engine.options.path, websocket=False)
        request.body = self._body
        request.disconnected = self._left
        loop = asyncio.get_running_loop()
        self.task = loop.create_task(self._serve(request))
        loop.call_soon(self._accept)

    async def _left(self) -> None:
        await self._gone.wait()

    def _accept(self) -> None:
        """What can be answered at once is answered by now."""
        if not self.ended and not self.task.done():
            self.tell(Kind.ACCEPTED)

    async def _body(self) -> AsyncIterator[bytes]:
        while True:
            pieces, self._pieces = self._pieces, []
            for size, piece in pieces:
                yield piece
                self.taken(size)
            if self._pieces:
                continue
            if self._whole:
                return
            if self._gone.is_set():
                raise ConnectionResetError("the client went away")
            self._news.clear()
            await self._news.wait()

    async def _serve(self, request: Request) -> None:
        try:
            response = await self.lines.engine.answer(request)
        except RequestRefused as error:
            self._say(Kind.REFUSED, refused(error))
        except Exception:
            log.exception("a request that another node has passed on could not be answered")
            self._say(Kind.REFUSED, pack(Refused(BAD_REQUEST, 500)))
        else:
            await self._respond(response)
        finally:
            self.end()

    def _say(self, kind: Kind, body: bytes) -> None:
        if not self.ended:
            self.tell(kind, body)

    async def _respond(self, response: Response) -> None:
        answer = Answered(response.status, response.headers, response.streamed, response.body)
        if len(response.body) > self.lines.chunk // 2:
            answer.body, answer.follows = b"", True
        self._say(Kind.RESPONSE, pack(answer))
        if answer.follows and not self.ended:
            self.out.put(0, response.body)
            await self.out.below(0)

    def hear(self, kind: Kind, body: bytes) -> None:
        """More of the body, or the client has gone."""
        if kind is Kind.DATA and not self._whole:
            for flags, piece in records(body):
                if self._whole:
                    raise PacketError("a body goes on behind its end")
                self._pieces.append((len(piece) + RECORD_HEAD, piece))
                self._whole = not flags & MORE
            self._news.set()
        elif kind is Kind.LOST:
            self.broken()
        elif kind is Kind.RELEASE:
            session = self.lines.engine.sessions.get(self._sid)
            if session is not None and isinstance(session.transport, PollingTransport):
                session.transport.release()
        else:
            raise PacketError(f"{kind.name} does not belong to a request here")

    def broken(self) -> None:
        """The client has gone, or its node."""
        self._gone.set()
        self._news.set()
        self.end()
