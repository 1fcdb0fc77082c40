"""``socketeer run``: the user's server or application on uvicorn, until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from socketeer.cli.address import check, for_a_browser
from socketeer.cli.target import find
from socketeer.cli.trouble import Trouble
from socketeer.integrations.asgi import AsgiApp
from socketeer.integrations.hosting import Server, loop_factory
from socketeer.integrations.uvicorn import Server as UvicornServer
from socketeer.integrations.uvicorn import make_config


def serve(target: str, host: str, port: int, log_level: str, access_log: bool) -> None:
    """Import what ``target`` means and serve it; returns after Ctrl-C.

    Raises:
        Trouble: there is no such thing, the address is taken, or the application did not start.
    """
    configure_logging(log_level, access_log)
    found = find(target)
    check(host, port)
    listening = False

    def ready(url: str) -> None:
        nonlocal listening
        listening = True
        print(f"{target} listens on {for_a_browser(url)} (Ctrl-C ends it)", flush=True)

    try:
        run_asgi(found.asgi() if isinstance(found, Server) else found, host, port, ready, access_log)
    except SystemExit:  # uvicorn's way to say that it could not start; it has logged why
        if listening:
            raise
    if not listening:
        raise Trouble(f"{target} ended before it listened", "What was logged above says why.")


def configure_logging(level: str, access_log: bool) -> None:
    """Log on standard error; an application that configures logging itself has the last word."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    if level != "debug":
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it repeats what we print
    if access_log:
        logging.getLogger("uvicorn.access").setLevel(logging.INFO)


def run_asgi(app: AsgiApp, host: str, port: int, ready: Callable[[str], None], access_log: bool) -> None:
    """Serve an ASGI application as ``io.run`` serves a server."""
    config = make_config(app, host, port, access_log, log_level=None)
    server = UvicornServer(config, lambda urls: ready(urls[0]))
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(server.serve())
    except KeyboardInterrupt:
        pass
