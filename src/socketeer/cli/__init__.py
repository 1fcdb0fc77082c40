"""The command line: ``socketeer run``, ``socketeer demo`` and ``socketeer fetch-client``.

Exit codes: 0 after Ctrl-C or ``--help``, 1 where a command cannot do its work (it says why), 2 for a
wrong option. A command imports what it needs when it is run, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from socketeer._version import __version__
from socketeer.cli.trouble import Trouble

app = typer.Typer(
    name="socketeer",
    help="Socket.IO for Python. `socketeer demo` shows it; `socketeer run` serves yours.",
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine's.")]
Level = Literal["debug", "info", "warning", "error"]


def main() -> None:
    """The entry point of the ``socketeer`` command."""
    try:
        app()
    except Trouble as trouble:
        _show(trouble)
        sys.exit(trouble.code)


def _show(trouble: Trouble) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if trouble.details:
        console.print(Text(trouble.details.rstrip("\n")))
    console.print(Text.assemble(("error: ", "bold red"), trouble.wrong))
    if trouble.advice:
        console.print(Text(trouble.advice))


def _show_version(asked: bool) -> None:
    if asked:
        print(f"socketeer {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end."),
    ] = False,
) -> None:
    """The options of the command itself."""


@app.command(
    epilog="Examples: `socketeer run chat:io` `socketeer run shop.main:app --host 0.0.0.0 --port 8000`"
)
def run(
    application: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME",
            help="Where your server is: `chat:io` is the variable `io` in chat.py, "
            "looked for from the current folder.",
            show_default=False,
        ),
    ],
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 3000,
    log_level: Annotated[Level, typer.Option(help="What is logged, on standard error.")] = "info",
    access_log: Annotated[bool, typer.Option("--access-log", help="Log each HTTP request.")] = False,
) -> None:
    """Serve a `socketeer.Server`, or an ASGI application that has one mounted.

    It runs on uvicorn with Socketeer's fast path for WebSockets, wherever in the application the
    Socket.IO server is. Ctrl-C closes all connections and ends it.
    """
    from socketeer.cli.run import serve

    serve(application, host, port, log_level, access_log)


@app.command(epilog="Examples:  socketeer demo --open   |   socketeer demo --terminal --port 4000")
def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 3004,
    host: Host = "127.0.0.1",
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Write down here, line by line, what the server sees.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """A chat to try in two browser tabs: ids, transports, who is there, who types.

    The page uses the official browser client. npm fetches it the first time; it is checked and kept
    in the user's cache (the variable SOCKETEER_CACHE names another folder). Without npm the demo
    shows itself in the terminal.
    """
    from socketeer.cli.demo import show

    show(host, port, terminal, open_page)


@app.command(epilog="Examples:  socketeer fetch-client   |   socketeer fetch-client --to static/socketio")
def fetch_client(
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FOLDER",
            file_okay=False,
            help="Write the files into this folder, which is made if it is not there, for "
            "`Server(serve_client=FOLDER)` or any other web server. Without it: the user's cache.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fetch the official browser client, for pages that load it from your server.

    A page then needs no bundler and no other host: `<script src="/socket.io/socket.io.js">`, or
    `import { io } from "/socket.io/socket.io.esm.min.js"`.

    npm fetches it once; it is checked against the hash of what was published and kept in the user's
    cache (the variable SOCKETEER_CACHE names another folder), from where every `Server()` of this user
    serves it. Run it again at any time: what is there already is checked and not fetched again.
    """
    from socketeer.cli.fetch_client import fetch

    fetch(to)
