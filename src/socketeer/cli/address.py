"""Whether a server can listen where it is asked to, and how that place is called."""

from __future__ import annotations

import errno
import os
import socket

from socketeer.cli.trouble import Trouble

_EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104 - compared, not listened on


def check(host: str, port: int) -> None:
    """Try the address, so that what is wrong with it is said before anything else starts.

    Raises:
        Trouble: nothing can listen there.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise Trouble(
            f"there is no address {host!r} ({error.strerror})", "Give another one by --host."
        ) from None
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # elsewhere this would take the port from a server that is running
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(address)
            except OSError as error:
                raise _trouble(host, port, error) from None


def _trouble(host: str, port: int, error: OSError) -> Trouble:
    if error.errno == errno.EADDRINUSE:
        return Trouble(
            f"port {port} of {host} is taken: another program listens there",
            f"End that program, or give another port: --port {port + 1 if port < 65535 else 3000}.",
        )
    if error.errno == errno.EACCES:
        return Trouble(
            f"port {port} is not allowed: the system keeps it for administrators",
            "Give one above 1023 by --port.",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return Trouble(
            f"{host} is no address of this machine", "Give one that is by --host; 0.0.0.0 is all of them."
        )
    return Trouble(
        f"cannot listen on {host}:{port}: {error.strerror}", "Give another address by --host and --port."
    )


def for_a_browser(url: str) -> str:
    """The URL under which a browser on this machine finds what listens at ``url``."""
    scheme, _, authority = url.partition("://")
    host, _, port = authority.rpartition(":")
    if host.strip("[]") in _EVERYWHERE | {"127.0.0.1"}:
        host = "localhost"
    return f"{scheme}://{host}:{port}"
