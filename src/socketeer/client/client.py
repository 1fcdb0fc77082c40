"""``Client``: a connection to a server, and the namespace that its URL names.

https://socket.io/docs/v4/client-api/
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl as tls
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from socketeer.client.manager import Manager
from socketeer.client.socket import ClientSocket
from socketeer.client_options import Auth, ConnectOptions, ReconnectOptions, SocketOptions
from socketeer.engine.client import server_root
from socketeer.engine.parting import PATIENCE
from socketeer.errors import UsageError
from socketeer.options import Backpressure, Limits, TransportName
from socketeer.protocol.parsers import PacketParser, choose_parser

_CONNECT = ConnectOptions()
_RECONNECT = ReconnectOptions()


class Client(ClientSocket):
    """A client, with the methods of the namespace that its URL names; :meth:`of` gives others over one connection.

    ::

        async with Client("http://localhost:3004") as client:
            print(client.id)
            print(await client.emit_with_ack("chat message", "hello", timeout=5))
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth | None = None,
        query: Mapping[str, str] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        transports: Collection[TransportName] = _CONNECT.transports,
        path: str = _CONNECT.path,
        parser: PacketParser | str = "default",
        reconnection: bool = _RECONNECT.reconnection,
        reconnection_attempts: float = math.inf,
        reconnection_delay: float = _RECONNECT.reconnection_delay,
        reconnection_delay_max: float = _RECONNECT.reconnection_delay_max,
        randomization_factor: float = _RECONNECT.randomization_factor,
        timeout: float | None = _RECONNECT.timeout,
        retries: int | None = None,
        ack_timeout: float | None = None,
        upgrade: bool = _CONNECT.upgrade,
        remember_upgrade: bool = _CONNECT.remember_upgrade,
        try_all_transports: bool = _CONNECT.try_all_transports,
        force_base64: bool = _CONNECT.force_base64,
        ssl: tls.SSLContext | bool = _CONNECT.ssl,
        proxy: str | None = None,
        max_message_size: int = _CONNECT.max_message_size,
        backpressure: Backpressure = _CONNECT.backpressure,
        limits: Limits = _CONNECT.limits,
    ) -> None:
        """Make a client; nothing is connected yet.

        Args:
            url: ``http(s)://host:port``, or ``ws(s)://``; its path is the namespace, its query is sent along.
            auth: what the server gets as ``handshake.auth``: a mapping, or a function (also async) that gives
                one and is asked at each connection.
            query: parameters of the handshake's query.
            extra_headers: headers of each request.
            transports: which ones may be used; the first is tried first.
            path: where the server answers, below the root of the host.
            parser: how packets are encoded: ``"default"``, ``"msgpack"`` or an object; the server's own.
            reconnection: whether a broken connection is made again.
            reconnection_attempts: how often that is tried.
            reconnection_delay: seconds before the first attempt; each further one waits twice as long.
            reconnection_delay_max: seconds that no wait exceeds.
            randomization_factor: how far a wait is moved at random, from 0 to 1.
            timeout: seconds that one attempt to connect may take; None for as long as it needs.
            retries: how often an event is sent again that nobody acknowledged; None for never.
            ack_timeout: seconds to wait for an acknowledgement, where a call does not say.
            upgrade: whether to move from long-polling to WebSocket.
            remember_upgrade: whether to begin with WebSocket where the last connection got as far.
            try_all_transports: whether to try the next transport where the first cannot connect.
            force_base64: whether binary goes as text over WebSocket, too.
            ssl: a context for TLS; True for the default one, False to check no certificate.
            proxy: ``http://``, ``https://`` or ``socks5://`` of a proxy.
            max_message_size: bytes of one message from the server, at most.
            backpressure: water marks of the outgoing queue.
            limits: what the server may ask of the client.

        Raises:
            OptionError: an option is out of its range.
            UsageError: the URL is none.
        """
        try:
            parts = urlsplit(url)
            server_root(url)
        except ValueError as error:
            raise UsageError(f"url: {error}, in {url!r}") from None
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise UsageError(f"url: expected a URL such as 'http://localhost:3004', got {url!r}")
        connect = ConnectOptions(
            path=path,
            transports=tuple(transports),
            query={**dict(parse_qsl(parts.query, keep_blank_values=True)), **(query or {})},
            extra_headers=extra_headers or {},
            upgrade=upgrade,
            remember_upgrade=remember_upgrade,
            try_all_transports=try_all_transports,
            force_base64=force_base64,
            ssl=ssl,
            proxy=proxy,
            max_message_size=max_message_size,
            backpressure=backpressure,
            limits=limits,
        )
        reconnect = ReconnectOptions(
            reconnection=reconnection,
            reconnection_attempts=reconnection_attempts,
            reconnection_delay=reconnection_delay,
            reconnection_delay_max=reconnection_delay_max,
            randomization_factor=randomization_factor,
            timeout=timeout,
        )
        base = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
        manager = Manager(base, connect, reconnect, choose_parser(parser, limits.max_attachments))
        self._socket_options = SocketOptions(auth=auth, retries=retries, ack_timeout=ack_timeout)
        self._sockets: dict[str, ClientSocket] = {}
        super().__init__(manager, parts.path.rstrip("/") or "/", self._socket_options)
        self._sockets[self.nsp] = self

    def of(self, namespace: str, *, auth: Auth | None = None) -> ClientSocket:
        """The socket of another namespace over the same connection; ``await`` its ``connect()``.

        Asked again, the same one. ``auth`` is its own; without it, the client's is used.
        """
        nsp = namespace if namespace.startswith("/") else f"/{namespace}"
        socket = self._sockets.get(nsp)
        if socket is None:
            options = self._socket_options
            socket = self._sockets[nsp] = ClientSocket(
                self.io,
                nsp,
                SocketOptions(
                    auth=options.auth if auth is None else auth,
                    retries=options.retries,
                    ack_timeout=options.ack_timeout,
                ),
            )
        return socket

    async def close(self) -> None:
        """Leave all namespaces, end the connection and wait until nothing is left of it; ``connect`` may follow.

        The server has two seconds to read what was emitted, and with ``retries`` as long again to acknowledge it.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                for socket in list(self._sockets.values()):
                    await socket.delivered()
        for socket in list(self._sockets.values()):
            socket.disconnect()
        await self.io.closed()

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:  # a cancellation, too: whoever never got in will not leave either
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
