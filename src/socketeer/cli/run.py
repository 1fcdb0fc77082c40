"""``socketeer run``: the user's server or application on uvicorn, until Ctrl-C."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from socketeer.cli.address import check, for_a_browser
from socketeer.cli.target import find
from socketeer.cli.trouble import Trouble
from socketeer.errors import UsageError
from socketeer.integrations.asgi import AsgiApp
from socketeer.integrations.hosting import Server, run_loop
from socketeer.integrations.processes import this_program
from socketeer.integrations.uvicorn import Server as UvicornServer
from socketeer.integrations.uvicorn import make_config
from socketeer.integrations.worker import WorkerServer, current
from socketeer.integrations.workers import Plan, Supervisor, WorkersFailed, check_platform


def serve(
    target: str, host: str, port: int, log_level: str, access_log: bool, workers: int | None = None
) -> None:
    """Import what ``target`` means and serve it; returns after Ctrl-C.

    With workers, it is imported in each of them, and not here.

    Raises:
        Trouble: there is no such thing, the address is taken, or the application did not start.
    """
    worker = None if workers is None else current()
    configure_logging(log_level, access_log, named=worker is not None)
    if workers is not None and worker is None:
        _supervise(target, host, port, workers)
        return
    found = find(target)
    app = found.asgi() if isinstance(found, Server) else found
    if worker is not None:
        run_loop(WorkerServer(_config(app, host, port, access_log), worker).serve(list(worker.sockets)))
        return
    check(host, port)
    listening = False

    def ready(url: str) -> None:
        nonlocal listening
        listening = True
        _announce(target, url)

    try:
        run_asgi(app, host, port, ready, access_log)
    except SystemExit:  # uvicorn's way to say that it could not start; it has logged why
        if listening:
            raise
    if not listening:
        raise Trouble(f"{target} ended before it listened", "What was logged above says why.")


def _supervise(target: str, host: str, port: int, workers: int) -> None:
    try:
        check_platform()
        plan = Plan(workers, this_program(), host, port)
    except UsageError as error:
        raise Trouble(str(error)) from None
    check(host, port)
    try:
        run_loop(Supervisor(plan, lambda url: _announce(target, url)).run())
    except WorkersFailed as failed:
        raise Trouble(str(failed), "What was logged above says why.") from None
    except OSError as error:  # of the port, if somebody has taken it since; or there can be no more processes
        raise Trouble(f"no workers on {host}:{port}: {error}") from None


def _announce(target: str, url: str) -> None:
    print(f"{target} listens on {for_a_browser(url)} (Ctrl-C ends it)", flush=True)


def configure_logging(level: str, access_log: bool, *, named: bool = False) -> None:
    """Log on standard error; an application that configures logging itself has the last word."""
    who = "[%(processName)s] " if named else ""
    logging.basicConfig(level=level.upper(), format=f"%(asctime)s %(levelname)-7s {who}%(name)s: %(message)s")
    if level != "debug":
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it repeats what we print
    if access_log:
        logging.getLogger("uvicorn.access").setLevel(logging.INFO)


def run_asgi(app: AsgiApp, host: str, port: int, ready: Callable[[str], None], access_log: bool) -> None:
    """Serve an ASGI application as ``io.run`` serves a server."""
    run_loop(UvicornServer(_config(app, host, port, access_log), lambda urls: ready(urls[0])).serve())


def _config(app: AsgiApp, host: str, port: int, access_log: bool) -> Any:
    return make_config(app, host, port, access_log, log_level=None)
