"""Connections that are accepted here, so that a WebSocket needs no transport of the loop: `io.run`, `io.serve`, `socketeer run`.

A connection on plain TCP is accepted and looked at. If an ordinary WebSocket handshake is there already, whole, and is let
in, it is answered, and the descriptor goes into the native lane at once. Anything else (another request, half of one, a client
that says nothing yet) becomes a transport of the loop with uvicorn's protocol, unread, and goes the way it
always went. docs/decisions/0014-connect-path.md has the figures.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from socketeer.engine.carriers.lane import BUILT
from socketeer.integrations.request_head import HeadReader
from socketeer.integrations.uvicorn_direct import Address, Direct, Peer
from socketeer.integrations.uvicorn_http import HttpProtocol
from socketeer.integrations.uvicorn_site import site_of
from socketeer.integrations.uvicorn_websocket import let_in
from socketeer.messaging.eager import start

if BUILT or TYPE_CHECKING:
    from socketeer.engine.carriers.lane import carrier as lane
    from socketeer.engine.carriers.lane._lane import accept
    from socketeer.integrations.handover import take_accepted, with_subprotocol

log = logging.getLogger("socketeer")

#: Connections accepted in one turn of the loop, which has others to serve as well.
AT_ONCE: Final = 32

#: Seconds without accepting where the system has no more to give, as asyncio's.
PAUSE: Final = 1.0

#: Seconds that the system keeps a connection back on which nothing has come yet.
DEFER: Final = 1

#: What accept reports of a connection that has gone meanwhile (accept(2)).
_ITS_OWN: Final = frozenset({errno.ECONNABORTED, errno.EINTR, errno.EPERM, errno.EPROTO})

_MARK: Final = b"transport=websocket"


def accept_directly(
    servers: list[asyncio.Server], config: Config, server_state: ServerState, app_state: dict[str, Any]
) -> list[Any]:
    """The loop's servers, or what accepts in their place, where handshakes have a short way into the lane."""
    direct = _direct_lane(config)
    if direct is None:
        return servers
    found: list[Any] = []
    for server in servers:
        if all(sock.family in (socket.AF_INET, socket.AF_INET6) for sock in server.sockets):
            door = Door(direct, config, server_state, app_state)
            found += [Listener(sock.dup(), door) for sock in server.sockets]
            server.close()
        else:
            found.append(server)
    return found


def _direct_lane(config: Config) -> Direct | None:
    kind: Any = config.http_protocol_class
    if config.is_ssl or not isinstance(kind, type) or not issubclass(kind, HttpProtocol):
        return None
    if kind.connection_made is not HttpProtocol.connection_made or kind.data_received is not HttpProtocol.data_received:
        return None  # somebody wants to see each connection
    site = site_of(config, kind.header_timeout)
    direct = site.direct
    return direct if direct is not None and site.websocket is not None and direct.carrier == "lane" else None


class Door:
    """Decides who goes where."""

    def __init__(
        self, direct: Direct, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self._direct = direct
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = asyncio.get_running_loop()

    def enter(self, fd: int, client: Address, seen: bytes, family: int) -> None:
        """A connection has been accepted; ``seen`` is what has come."""
        if not self._shake(fd, client, seen):
            sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=fd)
            start(self._loop.connect_accepted_socket(self._protocol, sock))

    def _protocol(self) -> HttpProtocol:
        return self._config.http_protocol_class(  # type: ignore
            config=self._config, server_state=self._server_state, app_state=self._app_state
        )

    def _shake(self, fd: int, client: Address, seen: bytes) -> bool:
        """Answer an ordinary handshake that is let in; False has done nothing."""
        direct = self._direct
        if _MARK not in seen or direct.engine.middlewares:
            return False
        head = HeadReader(direct.target).read(seen)
        if head is None or not head.fields.upgrade:
            return False
        fields = head.fields.headers
        key = lane.accept_of(fields["sec-websocket-key"])
        request = direct.request(head, Peer(client, secure=False), None)
        admitted = None if key is None else let_in(direct, request)
        if key is None or admitted is None:
            return False
        direct.asked_for(self._app_state)
        session, cors = admitted
        try:
            os.read(fd, head.body)
            headers = with_subprotocol(list(cors.items()), fields.get("sec-websocket-protocol"))
            take_accepted(
                fd, self._loop, self._server_state.connections, key, direct.engine.options, headers,
                lambda carrier: direct.engine.open_websocket(request, session, carrier),
            )
        except Exception:
            log.exception("a WebSocket handshake has failed")
        return True


class Listener:
    """A listening socket of ours, for uvicorn in the place of the loop's server."""

    def __init__(self, sock: socket.socket, door: Door) -> None:
        self.sockets: Sequence[socket.socket] = (sock,)
        self._sock = sock
        self._fd = sock.fileno()
        self._family = sock.family.value
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._paused: asyncio.TimerHandle | None = None
        self._short = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER)
        self._loop.add_reader(self._fd, self._ready)

    def _ready(self) -> None:
        for _ in range(AT_ONCE):
            try:
                came = accept(self._fd)
            except OSError as error:
                if error.errno in _ITS_OWN:
                    continue
                self._pause(error)
                return
            if came is None:
                return
            self._door.enter(*came, self._family)

    def _pause(self, error: OSError) -> None:
        self._loop.remove_reader(self._fd)
        self._paused = self._loop.call_later(PAUSE, self._loop.add_reader, self._fd, self._ready)
        if not self._short:
            self._short = True
            log.error("no more connections can be accepted for now: %s", error)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        if self._paused is not None:
            self._paused.cancel()
        self._sock.close()

    async def wait_closed(self) -> None:
        pass
