"""The public :class:`Server`: the Socket.IO server with the ways to put it on the network."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from functools import cached_property, partial
from typing import Any

from socketeer.adapters.forwarding import Forwarding, forwarding_for
from socketeer.errors import OptionError
from socketeer.integrations.asgi import AsgiApp, SocketeerApp
from socketeer.integrations.processes import this_program
from socketeer.integrations.uvicorn import Server as UvicornServer
from socketeer.integrations.uvicorn import make_config
from socketeer.integrations.worker import LOG_FORMAT, WorkerServer, check_recovery, current
from socketeer.integrations.workers import Plan, Supervisor, check_platform, check_settings
from socketeer.server.adapter import AdapterFactory
from socketeer.server.memory import MemoryAdapter
from socketeer.server.server import BaseServer

log = logging.getLogger("socketeer")


class Server(BaseServer):
    """A Socket.IO server for browsers, phones and every other Socket.IO 3 and 4 client.

    ::

        io = Server(cors=Cors(origin="http://localhost:5174"))

        @io.on("connection")
        def connection(socket):
            print(socket.id)

        io.run(port=3004)
    """

    _forwarding: Forwarding | None = None

    def _choose_adapter(self, adapter: AdapterFactory, path: str) -> AdapterFactory:
        """In a worker, the default reaches the other workers."""
        worker = current()
        if worker is not None and adapter is MemoryAdapter and self.recovery is None:
            return worker.adapter(path)
        return super()._choose_adapter(adapter, path)

    def _check_adapter(self) -> None:
        super()._check_adapter()
        if current() is not None:
            check_recovery(self)

    def start(self) -> None:
        """As :meth:`BaseServer.start`; in a cluster, what belongs to other nodes is passed on to them."""
        if not self.started:
            if current() is not None and not self.adapter.capabilities.cluster:
                log.warning("%s reaches the clients of this worker only", type(self.adapter).__name__)
            self._forwarding = forwarding_for(self.make_adapter, self.engine)
            if self._forwarding is not None:
                self._forwarding.start()
        super().start()

    async def end_sessions(self) -> None:
        """What :meth:`close` does to the clients, for a web server that is closing already."""
        forwarding, self._forwarding = self._forwarding, None
        if forwarding is not None:
            await forwarding.leave()
        await super().end_sessions()
        if forwarding is not None:
            await forwarding.close()

    @cached_property
    def _hosts(self) -> dict[UvicornServer, asyncio.Event]:
        """The web servers that run for us, each with the news of its end."""
        return {}

    def asgi(self, other: AsgiApp | None = None) -> SocketeerApp:
        """An ASGI application: Socket.IO below the server's path, ``other`` for everything else.

        It can also be mounted in another application; then clients add where to their ``path``, and the other
        application, which passes no lifespan on, has to ``await io.close()`` at its end.
        """
        return SocketeerApp(self, other)

    async def serve(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 3000,
        app: AsgiApp | None = None,
        ready: Callable[[str], None] | None = None,
        access_log: bool = False,
        **uvicorn_settings: Any,
    ) -> None:
        """Serve on uvicorn until Ctrl-C, SIGTERM or cancellation.

        Args:
            host: the address to listen on; ``"0.0.0.0"`` for all.
            port: 0 takes a free one.
            app: another ASGI application for all other paths.
            ready: called with the URL once the server listens.
            access_log: whether each HTTP request is logged.
            uvicorn_settings: any setting of ``uvicorn.Config``, such as ``ssl_keyfile``; uvicorn
                refuses names that it does not know.

        Raises:
            OSError: the address is taken.
            RuntimeError: the other application's lifespan failed.
        """

        def on_listening(urls: list[str]) -> None:
            log.info("listening on %s", ", ".join(urls))
            if ready is not None:
                ready(urls[0])

        if "workers" in uvicorn_settings:
            raise OptionError("workers: expected io.run or `socketeer run` to start them, not io.serve")
        config = self._config(app, host, port, access_log, uvicorn_settings)
        await self._host(UvicornServer(config, on_listening))

    def _config(
        self, app: AsgiApp | None, host: str, port: int, access_log: bool, settings: dict[str, Any]
    ) -> Any:
        limits = self.engine.options.limits
        return make_config(self.asgi(app), host, port, access_log, limits.header_timeout, **settings)

    async def _host(self, server: UvicornServer, sockets: Any = None) -> None:
        self.start()
        if self._forwarding is not None:
            await self._forwarding.ready()
        ended = asyncio.Event()
        self._hosts[server] = ended
        try:
            await server.serve(sockets)
        except SystemExit as ending:
            # uvicorn ends the process where it cannot start; a library must not.
            if server.lifespan.should_exit:
                raise RuntimeError("the application did not start; the log says why") from ending
            where = f"{server.config.host}:{server.config.port}"
            raise OSError(f"cannot listen on {where}; is another server running there?") from ending
        finally:
            del self._hosts[server]
            ended.set()

    async def close(self) -> None:
        """Disconnect everybody with reason ``server shutting down``, and end what :meth:`serve` or :meth:`run` serve.

        Under another web server only the clients are disconnected, and new ones refused.
        """
        await super().close()
        for server, ended in list(self._hosts.items()):
            if not server.should_exit:  # one that ends already may be waiting for who calls this
                server.should_exit = True
                await ended.wait()

    def run(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 3000,
        app: AsgiApp | None = None,
        ready: Callable[[str], None] | None = None,
        access_log: bool = False,
        workers: int | None = None,
        **uvicorn_settings: Any,
    ) -> None:
        """Serve until Ctrl-C or SIGTERM, on uvloop where there is one. The other arguments are :meth:`serve`'s.

        Where nobody has configured logging, what Socketeer has to say goes to the standard error.

        Args:
            host: as for :meth:`serve`.
            port: as for :meth:`serve`.
            app: as for :meth:`serve`.
            ready: as for :meth:`serve`; with workers, called in their parent.
            access_log: as for :meth:`serve`.
            workers: so many processes share the port. Each runs the program once more, up to this call, which does
                not return there; this process only looks after them. Unless the server has an adapter of its own,
                they reach each other by themselves. One that dies is replaced, and SIGHUP renews one after another.
            uvicorn_settings: as for :meth:`serve`.

        Raises:
            OSError: the address is taken.
            RuntimeError: the other application's lifespan failed, or no worker came up.
            OptionError: the server, or a setting, cannot be shared by workers.
            UsageError: there can be no workers here: under Windows, in an interactive session.
        """
        worker = None if workers is None else current()
        if not logging.root.handlers:
            plain = "%(levelname)s: %(message)s"
            logging.basicConfig(level=logging.INFO, format=plain if worker is None else LOG_FORMAT)
        if workers is None:
            run_loop(
                self.serve(
                    host=host, port=port, app=app, ready=ready, access_log=access_log, **uvicorn_settings
                )
            )
            return
        if worker is None:
            check_platform()
            check_recovery(self)
        check_settings(uvicorn_settings)
        config = self._config(app, host, port, access_log, uvicorn_settings)
        if worker is not None:
            run_loop(self._host(WorkerServer(config, worker), list(worker.sockets)))
            sys.exit()  # what follows this call is for the parent
        plan = Plan(workers, this_program(), host, port, secure=config.is_ssl, backlog=config.backlog)
        run_loop(Supervisor(plan, partial(_announce, ready)).run())


def _announce(ready: Callable[[str], None] | None, url: str) -> None:
    log.info("listening on %s", url)
    if ready is not None:
        ready(url)


def run_loop(serving: Coroutine[Any, Any, None]) -> None:
    """Run this to its end, or until Ctrl-C."""
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serving)
    except KeyboardInterrupt:
        pass


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's, where there is uvloop; None stands for asyncio's own."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop  # noqa: PLC0415 - there is none for Windows
    except ImportError:  # an interpreter that uvloop does not support
        return None
    return uvloop.new_event_loop
