"""Connections accepted by us and not by the loop, so that a WebSocket needs no transport of the loop's.

Each is looked at once it is accepted. Where an ordinary WebSocket handshake is there, whole, and is let in, it is answered, and
the descriptor goes into the native lane. Anything else (another request, half of one, a client that says nothing
yet) becomes a transport of the loop with uvicorn's protocol, unread, and goes the way it always went.

Only :class:`socketeer.integrations.uvicorn.Server` does this, for plain TCP, where the native lane serves and there is a short
way (:mod:`.uvicorn_direct`). docs/decisions/0014-connect-path.md has the figures.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from socketeer.engine.at_once import Admitted
from socketeer.engine.carriers.lane import BUILT
from socketeer.integrations.request_head import HeadReader, RequestHead
from socketeer.integrations.uvicorn_direct import Address, Direct, DirectRequest, Peer
from socketeer.integrations.uvicorn_http import HttpProtocol
from socketeer.integrations.uvicorn_site import site_of
from socketeer.integrations.uvicorn_websocket import let_in

if BUILT or TYPE_CHECKING:
    from socketeer.engine.carriers.lane import _lane
    from socketeer.engine.carriers.lane import carrier as lane
    from socketeer.integrations.handover import take_accepted, with_subprotocol

log = logging.getLogger("socketeer")

#: Connections accepted in one turn of the loop, which has others to serve. With 4, each costs a tenth more.
AT_ONCE: Final = 16

#: Seconds without accepting where the system has no more to give; asyncio waits as long.
PAUSE: Final = 1.0

#: Seconds for which the system keeps a connection to itself on which nothing has come.
SILENT: Final = 1

#: What `accept` says of a connection that has ended meanwhile, or of a signal.
_GO_ON: Final = frozenset({errno.ECONNABORTED, errno.EINTR, errno.EPERM, errno.EPROTO})

_MARK: Final = b"transport=websocket"


def to_listen_on(sockets: list[socket.socket] | None) -> list[socket.socket] | None:
    """The sockets that the loop's servers are to have: copies, for these are closed where we accept ourselves."""
    return sockets if sockets is None or not BUILT else [each.dup() for each in sockets]


def accept_directly(
    servers: list[asyncio.Server], config: Config, server_state: ServerState, app_state: dict[str, Any]
) -> list[Any]:
    """The loop's servers; or, where there is a way into the lane, what accepts in their place."""
    direct = _direct_to_lane(config)
    if direct is None:
        return servers
    door = Door(direct, config, server_state, app_state)
    found: list[Any] = []
    for server in servers:
        if all(sock.family in (socket.AF_INET, socket.AF_INET6) for sock in server.sockets):
            found += [Listener(sock.dup(), door) for sock in server.sockets]
            server.close()
        else:
            found.append(server)
    return found


def _direct_to_lane(config: Config) -> Direct | None:
    kind: Any = config.http_protocol_class
    if config.is_ssl or not (isinstance(kind, type) and issubclass(kind, HttpProtocol)):
        return None
    for name in ("connection_made", "data_received"):
        if getattr(kind, name) is not getattr(HttpProtocol, name):
            return None  # somebody's own class, which is to see each connection
    site = site_of(config, kind.header_timeout)
    if site.direct is None or site.websocket is None or site.direct.carrier != "lane":
        return None
    return site.direct


class Door:
    """Decides where connections go that have been accepted."""

    def __init__(
        self, direct: Direct, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self._direct = direct
        self._loop = asyncio.get_running_loop()
        self._lane = lane.lane_of(self._loop)
        self._connections = server_state.connections
        self._app_state = app_state
        kind: Any = config.http_protocol_class
        self._protocol = partial(kind, config=config, server_state=server_state, app_state=app_state)

    def enter(self, fd: int, client: Address, seen: bytes, kind: Callable[..., socket.socket]) -> None:
        """Take a connection over; ``seen`` is the beginning of what has come, which is still unread."""
        direct = self._direct
        may_be_ours = _MARK in seen and not direct.engine.middlewares
        if may_be_ours and direct.context().run(self._shake, fd, client, seen):
            return
        sock = kind(fileno=fd)
        self._go_on(self._loop.connect_accepted_socket(self._protocol, sock), sock)

    def _shake(self, fd: int, client: Address, seen: bytes) -> bool:
        """Answer an ordinary handshake that is let in; False has done nothing. Where it fails, the descriptor is closed."""
        direct = self._direct
        try:
            guest = self._let_in(client, seen)
        except BaseException:
            os.close(fd)
            raise
        if guest is None:
            return False
        head, accept, request, (session, cors) = guest
        fields = head.fields.headers
        _lane.skip(fd, head.body)
        try:  # from here on it is not ours to close
            take_accepted(
                fd,
                self._lane,
                self._connections,
                accept,
                direct.engine.options,
                with_subprotocol(list(cors.items()), fields.get("sec-websocket-protocol")),
                partial(direct.engine.open_websocket, request, session),
            )
        except Exception:
            log.exception("a WebSocket handshake has failed")
        return True

    def _let_in(
        self, client: Address, seen: bytes
    ) -> tuple[RequestHead, bytes, DirectRequest, Admitted] | None:
        """The handshake, what its key is answered with, and who may come in; None where it is for the loop to see."""
        direct = self._direct
        head = HeadReader(direct.target).read(seen)
        if head is None or not head.fields.upgrade:
            return None
        accept = lane.accept_of(head.fields.headers["sec-websocket-key"])
        if accept is None:
            return None
        request = direct.request(head, Peer(client, secure=False), None)
        admitted = let_in(direct, request)
        if admitted is None:
            return None
        direct.asked_for(self._app_state)
        return head, accept, request, admitted

    def _go_on(self, opening: Coroutine[Any, Any, Any], sock: socket.socket, _: object = None) -> None:
        """Go on with a transport's opening, which waits once, for its future: a task would cost more than all of it."""
        try:
            awaited: asyncio.Future[Any] = opening.send(None)
        except StopIteration:
            pass
        except Exception:
            log.exception("a connection could not be served")
            sock.close()
        else:
            awaited.add_done_callback(partial(self._go_on, opening, sock))


def _kind(family: socket.AddressFamily) -> Callable[..., socket.socket]:
    """Sockets of a known family: loops ask each three times, and the standard library makes an enum of it each time."""
    known = {"__slots__": (), "family": family, "type": socket.SOCK_STREAM}
    return partial(type("Accepted", (socket.socket,), known), family, socket.SOCK_STREAM, socket.IPPROTO_TCP)


class Listener:
    """A listening socket, among uvicorn's servers."""

    def __init__(self, sock: socket.socket, door: Door) -> None:
        self.sockets = (sock,)
        self._sock = sock
        self._kind = _kind(sock.family)
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._resumption: asyncio.TimerHandle | None = None
        self._exhausted = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit it
        with suppress(OSError):  # not every system has it, and it only saves work
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SILENT)
        self._listen()

    def close(self) -> None:
        """Accept nobody any more."""
        if self._sock.fileno() < 0:
            return
        if self._resumption is not None:
            self._resumption.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    async def wait_closed(self) -> None:
        """It is closed at once; uvicorn itself waits for the connections."""

    def _listen(self) -> None:
        self._resumption = None
        self._loop.add_reader(self._sock, self._ready)

    def _ready(self) -> None:
        for _ in range(AT_ONCE):
            fd = self._sock.fileno()
            if fd < 0:
                return
            try:
                came = _lane.accept(fd)
            except OSError as error:
                if error.errno in _GO_ON:
                    continue
                self._pause(error)
                return
            if came is None:
                return
            self._exhausted = False
            self._door.enter(*came, self._kind)

    def _pause(self, error: OSError) -> None:
        """The socket stays ready all the while, so whoever went on asking would do nothing else."""
        self._loop.remove_reader(self._sock)
        self._resumption = self._loop.call_later(PAUSE, self._listen)
        if not self._exhausted:
            self._exhausted = True
            log.error("no connections can be accepted for now: %s", error)
