"""Opening an Engine.IO session: which transport first, and the handshake.

https://socket.io/docs/v4/engine-io-protocol/#handshake
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from socketeer.client_options import ConnectOptions
from socketeer.engine.carriers.base import Receiver
from socketeer.engine.carriers.picows_client import PicowsClientCarrier, Redirected, open_websocket
from socketeer.engine.carriers.rules import CLOSE_TIMEOUT
from socketeer.engine.client_session import ClientSession
from socketeer.engine.http.client import MAX_REDIRECTS, HttpClient, redirected
from socketeer.engine.http.message import Request
from socketeer.engine.session import Session, SessionHandler, State
from socketeer.engine.timers import TimerWheel
from socketeer.engine.transports.polling_client import PollingClient
from socketeer.engine.transports.upgrade_client import FirstPacket, Upgrade
from socketeer.engine.transports.websocket import websocket_transport
from socketeer.errors import PacketError, TransportError
from socketeer.protocol.engineio import decode_payload, read_open_packet

log = logging.getLogger("socketeer")

#: What an URL's path may hold as it is (RFC 3986 section 3.3); the rest is percent-encoded.
_PATH: Final = "/%:@!$&'()*+,;=~-._"

MakeHandler = Callable[[Session], SessionHandler]
OnClosed = Callable[[Session], None]


class EngineClient:
    """Opens sessions to one address; cookies and what is known of its transports live as long as this does.

    ``url`` is the server's, its path apart from the options' unused; ``user:password@`` in it becomes an
    Authorization header. ``clock`` is the time of day, in seconds.

    Raises:
        ValueError: the URL has a port that is none, or a host that no name server knows.
    """

    __slots__ = (
        "_base",
        "_carriers",
        "_clock",
        "_http",
        "_options",
        "_query",
        "_tasks",
        "_wheel",
        "upgraded_before",
    )

    def __init__(
        self,
        url: str,
        options: ConnectOptions,
        wheel: TimerWheel,
        clock: Callable[[], float] = time.time,
    ) -> None:
        root, credentials = server_root(url)
        self._base = f"{root}{quote(options.path, safe=_PATH)}/"
        self._query = dict(options.query)
        self._options = options
        self._wheel = wheel
        self._clock = clock
        headers = {**credentials, **options.extra_headers}
        self._http = HttpClient(self._base, headers, options)
        self._tasks: set[asyncio.Task[None]] = set()
        self._carriers: set[PicowsClientCarrier] = set()
        self.upgraded_before = False
        """Whether the last WebSocket to this address has worked: what ``remember_upgrade`` remembers."""

    async def open(self, make_handler: MakeHandler, on_closed: OnClosed) -> ClientSession:
        """A session, its handshake done, its first packets delivered. Cancelled, it leaves nothing behind.

        Raises:
            TransportError: no transport that may be tried gets through.
        """
        transports = list(self._options.transports)
        if self._options.remember_upgrade and self.upgraded_before and "websocket" in transports:
            transports.sort(key="websocket".__ne__)
        while True:
            transport = transports.pop(0)
            try:
                if transport == "websocket":
                    return await self._open_websocket(make_handler, on_closed)
                return await self._open_polling(make_handler, on_closed)
            except TransportError as error:
                if not (transports and self._options.try_all_transports):
                    raise
                log.debug("%.300r; trying %s", str(error), transports[0])

    def _url(self, base: str, transport: str, sid: str | None = None) -> str:
        """In the official client's order: the user's parameters, EIO, transport, sid, t, b64."""
        query = {**self._query, "EIO": "4", "transport": transport}
        if sid is not None:
            query["sid"] = sid
        if transport == "polling":
            query["t"] = secrets.token_hex(4)  # no cache on the way has seen it yet
        if self._options.force_base64:
            query["b64"] = "1"
        return f"{base}?{urlencode(query, quote_via=quote)}"

    def _session(self, data: bytes, url: str, on_closed: OnClosed) -> ClientSession:
        """A session from the server's first packet."""
        try:
            handshake = read_open_packet(data)
        except PacketError as error:
            raise TransportError(str(error), error) from error
        parts = urlsplit(url)
        headers = [(name.lower(), value) for name, value in self._options.extra_headers.items()]
        request = Request(
            "GET", unquote(parts.path), parts.query, headers, parts.hostname or "", parts.scheme == "https"
        )
        return ClientSession(handshake, request, self._options, self._wheel, on_closed, self._clock)

    # --- polling --------------------------------------------------------------------------------

    async def _open_polling(self, make_handler: MakeHandler, on_closed: OnClosed) -> ClientSession:
        answer = await self._http.get(self._url(self._base, "polling"))
        # Where a redirect has led the handshake, the session is: all that follows goes there at once.
        base = answer.url.partition("?")[0]
        try:
            first, *rest = decode_payload(answer.body, self._options.limits.max_payload_packets)
        except PacketError as error:
            raise TransportError(str(error), error) from error
        session = self._session(first, answer.url, on_closed)
        url = partial(self._url, base, "polling", session.id)
        transport = PollingClient(session, self._http, url, self.spawn)
        session.begin(transport, make_handler)
        for packet in rest:
            session.receive_text(packet)
        if session.state is State.OPEN:
            transport.start()
            if self._may_upgrade(session):
                session.upgrading = Upgrade(self, session, transport, base)
        return session

    def _may_upgrade(self, session: ClientSession) -> bool:
        options = self._options
        return options.upgrade and "websocket" in options.transports and "websocket" in session.upgrades

    # --- WebSocket ------------------------------------------------------------------------------

    @property
    def base64(self) -> bool:
        """Whether binary goes as text over WebSocket."""
        return self._options.force_base64

    async def connect_websocket(
        self, base: str, sid: str | None, receiver: Receiver
    ) -> tuple[PicowsClientCarrier, str]:
        """A WebSocket for a new session, or for the one with this id; and the address that it was found at.

        Raises:
            TransportError: there is none.
        """
        options = self._options
        url = self._url(base, "websocket", sid)
        for _ in range(MAX_REDIRECTS + 1):
            secure = url.startswith("https:")
            try:
                carrier = await open_websocket(
                    f"ws{url.removeprefix('http')}",
                    receiver,
                    headers=self._http.headers_for(url),
                    context=self._http.context if secure else None,
                    proxy=self._http.proxy,
                    max_size=options.max_message_size,
                    limits=options.limits,
                    backpressure=options.backpressure,
                )
            except Redirected as error:
                url = redirected(url, error.location, error.description)
            except TransportError:
                self.upgraded_before = False
                raise
            else:
                self._carriers.add(carrier)
                carrier.ended.add_done_callback(partial(self._forget, carrier))
                return carrier, url
        raise TransportError(f"websocket: more than {MAX_REDIRECTS} redirects, the last to {url:.200}")

    async def _open_websocket(self, make_handler: MakeHandler, on_closed: OnClosed) -> ClientSession:
        first = FirstPacket()
        carrier, url = await self.connect_websocket(self._base, None, first)
        try:
            session = self._session(await first.wait(), url, on_closed)
        except BaseException:
            self.upgraded_before = False
            carrier.abort()
            raise
        self.upgraded_before = True
        carrier.receiver = session
        session.begin(websocket_transport(carrier, self.base64), make_handler)
        first.hand_over(session)
        return session

    # --- the end --------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task of a session; :meth:`close` sees its end."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget(self, carrier: PicowsClientCarrier, _ended: asyncio.Future[None]) -> None:
        self._carriers.discard(carrier)

    async def close(self) -> None:
        """See the end of all that the sessions have left: closing handshakes, tasks, kept connections."""
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        carriers = [carrier.ended for carrier in self._carriers]
        if tasks or carriers:
            await asyncio.wait([*tasks, *carriers], timeout=CLOSE_TIMEOUT + 1)
        await self._http.close()


def server_root(url: str) -> tuple[str, dict[str, str]]:
    """Scheme, host and port of an URL, in ASCII; and the header that its user and password mean."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host.encode("idna").decode()
    port = "" if parts.port is None else f":{parts.port}"
    headers = {}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["authorization"] = f"Basic {base64.b64encode(user).decode()}"
    return f"{scheme}://{host}{port}", headers
