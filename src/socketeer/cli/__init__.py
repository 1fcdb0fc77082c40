"""The command line: ``socketeer run``, ``demo``, ``fetch-client``, ``connect`` and ``emit``.

Exit codes: 0 after Ctrl-C or ``--help``, 1 where a command cannot do its work (it says why), 2 for a
wrong option, 3 where an acknowledgement did not come. A command imports what it needs when it is run, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from enum import StrEnum
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
        from socketeer.engine.build import describe

        print(f"socketeer {__version__} ({describe()})")
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
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="So many processes share the port, one for each core; their servers reach each other by themselves. "
            "One that dies is replaced, SIGHUP renews all. Without it: this process serves.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve a `socketeer.Server`, or an ASGI application that has one mounted.

    It runs on uvicorn with Socketeer's fast path for WebSockets, wherever in the application the
    Socket.IO server is. Ctrl-C closes all connections and ends it.
    """
    from socketeer.cli.run import serve

    serve(application, host, port, log_level, access_log, workers)


@app.command(epilog="Examples:  socketeer demo --open   |   socketeer demo --terminal --port 4000")
def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 3004,
    host: Host = "127.0.0.1",
    terminal: Annotated[
        bool,
        typer.Option(
            "--terminal", help="Let two clients talk here, and write down line by line what the server sees."
        ),
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """A chat to try in two browser tabs: ids, transports, who is there, who types.

    The page uses the official browser client. npm fetches it the first time; it is checked and kept
    in the user's cache (the variable SOCKETEER_CACHE names another folder). Without npm the demo
    shows itself in the terminal. `socketeer connect localhost:3004` joins the chat, too.
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


class Transport(StrEnum):
    """What `--transport` takes; typer knows no lists of literals."""

    POLLING = "polling"
    WEBSOCKET = "websocket"


Url = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        show_default=False,
        help="The server, such as localhost:3004 or https://example.org/chat: the path names a namespace.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", metavar="NAME", help="The namespace, such as /chat.")
]
AuthOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="JSON|KEY=VALUE",
        help="What the server gets as `handshake.auth`: a JSON object, or a key and a string; several add up.",
    ),
]
QueryOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE", help="A parameter of the handshake's query; several times for several."
    ),
]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--header", "-H", metavar="'NAME: VALUE'", help="A header of each request; several times for several."
    ),
]
TransportOption = Annotated[
    list[Transport] | None,
    typer.Option(
        help="Only this transport; several in the order in which they are tried. "
        "Otherwise it begins with long-polling, as browsers do.",
        show_default=False,
    ),
]
PathOption = Annotated[str, typer.Option(help="Where the server answers, below the root of the host.")]
ParserOption = Annotated[
    Literal["default", "msgpack"], typer.Option(help="How packets are encoded; the server's own.")
]
InsecureOption = Annotated[bool, typer.Option("--insecure", help="Check no certificate.")]
ProxyOption = Annotated[
    str | None, typer.Option(metavar="URL", help="A proxy, such as socks5://localhost:1080.")
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        min=0.001, help="Seconds to wait for the connection, and for each acknowledgement.", metavar="SECONDS"
    ),
]


@app.command(
    epilog="Examples: `socketeer connect localhost:3004` · "
    "`socketeer connect https://example.org/chat --auth token=abc --transport websocket` · "
    "`echo 'greet \"Milady\" ?' | socketeer connect localhost:3004`"
)
def connect(
    url: Url,
    namespace: NamespaceOption = None,
    auth: AuthOption = None,
    query: QueryOption = None,
    header: HeaderOption = None,
    transport: TransportOption = None,
    path: PathOption = "/socket.io",
    parser: ParserOption = "default",
    insecure: InsecureOption = False,
    proxy: ProxyOption = None,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Talk to a Socket.IO server: type events, see what comes.

    `"chat message" "hello" {"a": 1} ?` sends the event *chat message* with two values; the question
    mark asks for an acknowledgement. Tab completes events that were seen, `/help` lists the commands.

    Without a terminal on standard input its lines are read as if they were typed. Standard output then
    has events as `< NAME VALUES`, and acknowledgements as `= NAME VALUES`; it ends when the input has
    ended and everything asked for was answered.

    Exit status: 0; without a terminal also 1 not connected, refused or cut off, 2 a line or an option
    that means nothing, 3 no acknowledgement in time.
    """
    from socketeer.cli.connect import connect as talk
    from socketeer.cli.dialing import Dial

    dial = Dial(
        *(url, namespace, auth or (), query or (), header or (), transport or ()),
        *(path, parser, insecure, proxy, timeout),
    )
    raise typer.Exit(talk(dial))


@app.command(
    epilog="Examples: `socketeer emit localhost:3004 'chat message' hello --ack` · "
    "`date | socketeer emit localhost:3004 time - @picture.png '{\"a\": 1}' --retries 3`"
)
def emit(
    url: Url,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's name.", show_default=False)],
    args: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ARGS]...",
            show_default=False,
            help="What is sent with it: JSON where it is JSON, otherwise a string. `-` reads one argument from "
            "standard input, `@FILE` sends the bytes of a file. Behind `--` all are arguments: `-- -5`.",
        ),
    ] = None,
    ack: Annotated[
        bool, typer.Option("--ack", help="Wait for the acknowledgement, and print it as JSON.")
    ] = False,
    retries: Annotated[
        int,
        typer.Option(
            min=0,
            help="How often to connect again, and to send again what was not acknowledged; "
            "it waits for the acknowledgement, with or without --ack.",
        ),
    ] = 0,
    namespace: NamespaceOption = None,
    auth: AuthOption = None,
    query: QueryOption = None,
    header: HeaderOption = None,
    transport: TransportOption = None,
    path: PathOption = "/socket.io",
    parser: ParserOption = "default",
    insecure: InsecureOption = False,
    proxy: ProxyOption = None,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Send one event to a Socket.IO server, for scripts.

    With --ack, standard output has the acknowledgement and nothing else: each value that the server
    gives on a line of its own, as JSON, and binary as `{"base64": "..."}`.

    Exit status: 0 sent (with --ack: acknowledged), 1 not connected or refused, 2 wrong usage, 3 no
    acknowledgement in time.
    """
    from socketeer.cli.dialing import Dial
    from socketeer.cli.emit import emit as send

    dial = Dial(
        *(url, namespace, auth or (), query or (), header or (), transport or ()),
        *(path, parser, insecure, proxy, timeout),
    )
    send(dial, event, args or (), ack=ack, retries=retries)
