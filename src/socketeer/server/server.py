"""The Socket.IO server: namespaces above an Engine.IO server. How it is reached over the network is not its business.

https://socket.io/docs/v4/server-api/#server
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeVar, overload

from socketeer.engine.server import EngineServer
from socketeer.engine.timers import TimerWheel
from socketeer.errors import OptionError
from socketeer.messaging.connection import Connection
from socketeer.messaging.handlers import Function, HandlerTable, Payload
from socketeer.messaging.listening import M
from socketeer.options import (
    AllowRequest,
    Backpressure,
    Compression,
    Cookie,
    Cors,
    CorsFunction,
    EngineOptions,
    Limits,
    PerMessageDeflate,
    Recovery,
    ServeClient,
    ServerOptions,
    TransportName,
)
from socketeer.protocol.parsers import PacketParser, choose_parser
from socketeer.server.adapter import Adapter, AdapterFactory
from socketeer.server.dynamic import NameRule, ParentNamespace, Parents
from socketeer.server.entrance import Entrance
from socketeer.server.events import SharedListening
from socketeer.server.memory import MemoryAdapter
from socketeer.server.namespace import Namespace
from socketeer.server.operators import Broadcasting, BroadcastOperator
from socketeer.server.recovery import RecoveringAdapter

_ENGINE = EngineOptions()
_SERVER = ServerOptions()

N = TypeVar("N", bound=Namespace)


class BaseServer(Broadcasting, SharedListening):
    """Namespaces, and the main one's methods and events at hand. :class:`socketeer.Server` adds the ways to run it.

    Attributes:
        engine: the Engine.IO server below, with its own events.
        sockets: the main namespace, ``/``.
    """

    def __init__(
        self,
        *,
        path: str = _ENGINE.path,
        add_trailing_slash: bool = _ENGINE.add_trailing_slash,
        transports: Collection[TransportName] = _ENGINE.transports,
        ping_interval: float = _ENGINE.ping_interval,
        ping_timeout: float = _ENGINE.ping_timeout,
        upgrade_timeout: float = _ENGINE.upgrade_timeout,
        connect_timeout: float = _SERVER.connect_timeout,
        max_http_buffer_size: int = _ENGINE.max_http_buffer_size,
        allow_upgrades: bool = _ENGINE.allow_upgrades,
        allow_eio3: bool = _ENGINE.allow_eio3,
        initial_packet: str | None = _ENGINE.initial_packet,
        allow_request: AllowRequest | None = None,
        adapter: AdapterFactory = MemoryAdapter,
        connection_state_recovery: Recovery | Mapping[str, Any] | bool | None = None,
        cors: Cors | Mapping[str, Any] | CorsFunction | None = None,
        cookie: Cookie | Mapping[str, Any] | bool | None = None,
        http_compression: Compression | Mapping[str, Any] | bool | None = True,
        per_message_deflate: PerMessageDeflate | Mapping[str, Any] | bool | None = False,
        backpressure: Backpressure = _ENGINE.backpressure,
        limits: Limits = _ENGINE.limits,
        parser: Literal["default", "msgpack"] | PacketParser = "default",
        cleanup_empty_child_namespaces: bool = _SERVER.cleanup_empty_child_namespaces,
        serve_client: ServeClient = _SERVER.serve_client,
    ) -> None:
        """Make a server; nothing listens yet.

        Args:
            path: where it answers, below the root of the host.
            add_trailing_slash: False answers without the slash behind the path, too.
            transports: which ones clients may use.
            ping_interval: seconds between the server's pings.
            ping_timeout: seconds that a client may take to answer a ping.
            upgrade_timeout: seconds that an upgrade to WebSocket may take.
            connect_timeout: seconds after which a connection without a namespace is closed.
            max_http_buffer_size: bytes of one message, or of one long-polling body, at most.
            allow_upgrades: whether long-polling clients may move to WebSocket.
            allow_eio3: whether clients of Socket.IO 2 may connect too. Their ``socket.id`` holds the session's id,
                so do not show it to others. Browsers of theirs send credentials, which ``cors`` has to allow.
            initial_packet: the data of a message that follows the open packet at once.
            allow_request: called with each handshake's request; True lets it in.
            adapter: makes the adapter of each namespace: a class or an object of :mod:`socketeer.adapters`.
            connection_state_recovery: what is kept of clients whose connection broke, so that they miss
                nothing; True for the defaults of :class:`~socketeer.Recovery`, None for nothing.
            cors: which other origins may connect; None for none. Or a function, plain or async, that is called
                with each request and gives its rules; one that fails refuses the request.
            cookie: a cookie with the session id; None for none.
            http_compression: when long-polling answers are compressed; False for never.
            per_message_deflate: when WebSocket messages are compressed; False for never. It counts where Socketeer
                serves the WebSocket: ``io.run``, ``io.serve``, ``socketeer run``, and uvicorn with our WebSocket
                class. Other ASGI servers compress by their own settings.
            backpressure: water marks of each client's queue.
            limits: what one client may ask for.
            parser: how packets become messages: ``"default"``, ``"msgpack"`` (for clients with
                socket.io-msgpack-parser) or a :class:`PacketParser`. Every client must use the same.
            cleanup_empty_child_namespaces: whether a dynamic namespace ends when its last client has
                gone. Where clients make up the names, it keeps the server from holding all of them.
            serve_client: serve the browser client as ``/socket.io/socket.io.js`` and so on: True from
                where ``socketeer fetch-client`` has put it, a path from that folder, False not at all.

        Raises:
            OptionError: an option is out of its range.
            TypeError: there is no option of that name.
        """
        self.options = ServerOptions(
            connect_timeout=connect_timeout,
            connection_state_recovery=connection_state_recovery,  # type: ignore[arg-type]
            cleanup_empty_child_namespaces=cleanup_empty_child_namespaces,
            serve_client=serve_client,
        )
        engine = EngineOptions(
            path=path,
            add_trailing_slash=add_trailing_slash,
            transports=tuple(transports),
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            upgrade_timeout=upgrade_timeout,
            max_http_buffer_size=max_http_buffer_size,
            allow_upgrades=allow_upgrades,
            allow_eio3=allow_eio3,
            initial_packet=initial_packet,
            allow_request=allow_request,
            cors=cors,  # type: ignore[arg-type]
            cookie=cookie,  # type: ignore[arg-type]
            http_compression=http_compression,  # type: ignore[arg-type]
            per_message_deflate=per_message_deflate,  # type: ignore[arg-type]
            backpressure=backpressure,
            limits=limits,
        )
        if not callable(adapter):
            raise OptionError(
                f"adapter: expected a class or an object of socketeer.adapters, or a function "
                f"(namespace) -> Adapter, got {adapter!r}"
            )
        self.make_adapter: AdapterFactory = self._choose_adapter(adapter, path)
        self.parser = choose_parser(parser, limits.max_attachments)
        self.started = False
        """Whether a loop runs and the adapters have been started."""
        self._namespaces: dict[str, Namespace] = {}
        self._parents = Parents(self, self._namespaces, self.options.cleanup_empty_child_namespaces)
        self._entrance = Entrance(self, self._namespaces, self._parents, self.options.connect_timeout)
        self.on_joined: Callable[[Connection], None] = self._entrance.on_joined
        """For the namespaces: a connection has joined one."""
        self.engine = EngineServer(engine, self._entrance.take)
        self.sockets = self.of("/")
        self._check_adapter()
        if allow_eio3:
            self.engine.on("connection", self._entrance.join_main)

    def _choose_adapter(self, adapter: AdapterFactory, path: str) -> AdapterFactory:  # noqa: ARG002
        """What makes adapters, from the option; how the server is hosted may change the default."""
        return RecoveringAdapter if self.recovery is not None and adapter is MemoryAdapter else adapter

    def _check_adapter(self) -> None:
        """Refuse an adapter that cannot do what the options ask for."""
        if self.recovery is not None and not self.adapter.capabilities.recovery:
            raise OptionError(
                f"connection_state_recovery: expected an adapter that keeps sessions and packets "
                f"(capabilities.recovery), got {self.adapter!r}; use another adapter, or None"
            )

    # --- namespaces -----------------------------------------------------------------------------

    @overload
    def of(self, name: str, listener: Function | None = None) -> Namespace: ...
    @overload
    def of(self, name: N, listener: Function | None = None) -> N: ...
    @overload
    def of(self, name: NameRule, listener: Function | None = None) -> ParentNamespace: ...
    def of(self, name: str | Namespace | NameRule, listener: Function | None = None) -> Namespace:
        r"""The namespace of that name, made if it is not there; or one that makes namespaces as clients ask for them.

        Or attach one that you have made yourself, of a class of your own: ``chat = io.of(Chat("/chat"))``.

        ::

            @io.of(re.compile(r"^/project-\d+$")).on("connection")
            def connection(socket):
                print(socket.nsp.name)  # /project-101

        See https://socket.io/docs/v4/namespaces/#dynamic-namespaces.

        Args:
            name: a namespace; a name, to which a missing slash in front is added; a compiled pattern, which may match
                anywhere in the name (``^`` and ``$`` tie it to the ends); or a function
                ``(name, auth) -> bool``, plain or async, given the client's ``auth`` (empty where there is
                none). Patterns and functions are asked in the order in which they were given here, and the
                first that says yes makes the namespace. A function that raises says no.
            listener: called at each connection, as by ``.on("connect", listener)``.

        Returns:
            The namespace. For a pattern or a function it is their parent: what is added to it, each
            namespace made afterwards gets; what is emitted on it reaches them all. A new name that fits a
            pattern becomes a child of its parent; functions are only asked when clients connect.

        Raises:
            UsageError: ``name`` is none of the four; or a namespace that is another server's, or whose name
                is taken.
        """
        if isinstance(name, str):
            nsp = self._named(name if name.startswith("/") else f"/{name}")
        elif isinstance(name, Namespace):
            nsp = self._attach(name)
        else:
            nsp = self._parents.add(name)
        if listener is not None:
            nsp.on("connect", listener)
        return nsp

    def _named(self, name: str) -> Namespace:
        nsp = self._namespaces.get(name) or self._parents.adopt(name)
        if nsp is None:
            nsp = self._attach(Namespace(name))
        return nsp

    @property
    def namespaces(self) -> Mapping[str, Namespace]:
        """The namespaces that there are, by name, to read; patterns and functions stand for none themselves."""
        return MappingProxyType(self._namespaces)

    def register_namespace(self, namespace: N) -> N:
        """The same as :meth:`of`, under the name that users of python-socketio know."""
        return self.of(namespace)

    def _attach(self, nsp: Namespace) -> Namespace:
        there = self._namespaces.get(nsp.name)
        if there is nsp:
            return nsp
        nsp.attach(self, there)
        if there is not None:
            self._parents.release(there)
        self._namespaces[nsp.name] = nsp
        if nsp.name == "/":
            self.sockets = nsp
        elif there is None:
            self.sockets.announce("new_namespace", nsp)
        return nsp

    def _tables(self) -> tuple[HandlerTable, ...]:
        return self.sockets._tables()  # noqa: SLF001 - a server listens in its main namespace

    def _place(self, event: str) -> tuple[HandlerTable, Payload]:
        return self.sockets._place(event)  # noqa: SLF001

    def _shared_place(self, event: str) -> tuple[HandlerTable, Payload]:
        return self.sockets._shared_place(event)  # noqa: SLF001

    def use(self, middleware: M) -> M:
        """Ask ``middleware(socket)`` about each client of the main namespace; see :meth:`Namespace.use`."""
        return self.sockets.use(middleware)

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self.sockets)

    def server_side_emit(self, event: str, *args: Any) -> Awaitable[None]:
        """Emit an event to every other server of the cluster; see :meth:`Namespace.server_side_emit`."""
        return self.sockets.server_side_emit(event, *args)

    async def server_side_emit_with_ack(
        self, event: str, *args: Any, timeout: float | None = None
    ) -> list[Any]:
        """As :meth:`server_side_emit`, and wait for the answers; see :meth:`Namespace.server_side_emit_with_ack`."""
        return await self.sockets.server_side_emit_with_ack(event, *args, timeout=timeout)

    @property
    def adapter(self) -> Adapter:
        """The adapter of the main namespace."""
        return self.sockets.adapter

    @property
    def recovery(self) -> Recovery | None:
        """What is kept of clients whose connection broke; None for nothing."""
        return self.options.connection_state_recovery

    @property
    def wheel(self) -> TimerWheel:
        """The timer wheel of the running loop."""
        return self.engine.wheel

    # --- connections ----------------------------------------------------------------------------

    def start(self) -> None:
        """Take clients, and join the other nodes where there are any. :meth:`serve`, :meth:`run` and an ASGI server call it.

        To be called within a running loop; after :meth:`close`, again. More calls change nothing.
        """
        self.engine.reopen()
        if not self.started:
            self.started = True
            for nsp in list(self._namespaces.values()):
                nsp.adapter.start()

    async def close(self) -> None:
        """Disconnect everybody with reason ``server shutting down`` and refuse new clients."""
        await self.end_sessions()

    async def end_sessions(self) -> None:
        """What :meth:`close` does to the clients, for a web server that is closing already."""
        for nsp in list(self._namespaces.values()):
            nsp.shut_down()
        self.engine.close()
        self.started = False
        for nsp in list(self._namespaces.values()):
            await nsp.adapter.close()
        await self._parents.settle()
