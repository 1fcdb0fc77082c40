"""The public :class:`Server`: the Socket.IO server with the ways to put it on the network."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

from socketeer.adapters.forwarding import Forwarding, forwarding_for
from socketeer.integrations.asgi import AsgiApp, SocketeerApp
from socketeer.integrations.uvicorn import Server as UvicornServer
from socketeer.integrations.uvicorn import make_config
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

    def start(self) -> None:
        """Take clients, and join the other nodes where there are any."""
        if not self.started:
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

        limits = self.engine.options.limits
        config = make_config(
            self.asgi(app), host, port, access_log, limits.header_timeout, **uvicorn_settings
        )
        server = UvicornServer(config, on_listening)
        self.start()
        ended = asyncio.Event()
        self._hosts[server] = ended
        try:
            await server.serve()
        except SystemExit as ending:
            # uvicorn ends the process where it cannot start; a library must not.
            if server.lifespan.should_exit:
                raise RuntimeError("the application did not start; the log says why") from ending
            raise OSError(f"cannot listen on {host}:{port}; is another server running there?") from ending
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
        **uvicorn_settings: Any,
    ) -> None:
        """Serve until Ctrl-C or SIGTERM, on uvloop where there is one. The arguments are :meth:`serve`'s.

        Where nobody has configured logging, what Socketeer has to say goes to the standard error.
        """
        serving = self.serve(
            host=host, port=port, app=app, ready=ready, access_log=access_log, **uvicorn_settings
        )
        if not logging.root.handlers:
            logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
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
