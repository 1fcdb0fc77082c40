"""The sockets on which workers listen, bound once by their parent.

Under Linux each worker has sockets of its own, among which the system shares new connections out evenly.
The parent keeps all of them open: connections that wait for a worker that has ended are taken by the next.
Elsewhere all workers share one socket for each address. ``docs/decisions/0015-workers.md`` has the figures.
"""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any

#: Connections that wait to be accepted on one socket, at most; uvicorn's own default.
BACKLOG = 2048

_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def bind(host: str | None, port: int, count: int, backlog: int = BACKLOG) -> list[list[socket.socket]]:
    """For each worker the sockets on which it listens, one for each address that the host has.

    Raises:
        OSError: nothing can listen there.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places: list[list[socket.socket]] = [[] for _ in range(count)]
    refused: OSError | None = None
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                sockets = _bind(family, (address[0], port, *address[2:]), count, backlog)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                refused = error
                continue
            port = sockets[0].getsockname()[1]
            for place, sock in zip(places, sockets, strict=True):
                place.append(sock)
    except BaseException:
        close(places)
        raise
    if not places[0]:
        raise refused or OSError(errno.EADDRNOTAVAIL, f"no address for {host!r}")
    return places


def close(places: list[list[socket.socket]]) -> None:
    """Do not listen any more."""
    for place in places:
        for sock in place:
            sock.close()


def url(sock: socket.socket, *, secure: bool) -> str:
    """Where a socket listens."""
    host, port = sock.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _bind(family: int, address: tuple[Any, ...], count: int, backlog: int) -> list[socket.socket]:
    apart = sys.platform == "linux"
    # Who shares a port does not notice that a stranger does so too: this one would.
    with _bound(family, address, apart=False) as alone:
        if not apart:
            alone.listen(backlog)
            return [alone.dup() for _ in range(count)]
        address = alone.getsockname()
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = _bound(family, address, apart=True)
            sockets.append(sock)
            sock.listen(backlog)
    except BaseException:
        close([sockets])
        raise
    return sockets


def _bound(family: int, address: tuple[Any, ...], *, apart: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if apart:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock
