"""``socketeer demo``: a chat for two browser tabs, or for two clients that talk here, and what its server sees."""

from __future__ import annotations

import asyncio
import webbrowser
from importlib.resources import files
from typing import Final

from rich.console import Console
from rich.text import Text

from socketeer.cli.address import check, for_a_browser
from socketeer.cli.chat import TERMINAL, Chat, Tell
from socketeer.cli.client_files import ClientUnavailable, load
from socketeer.cli.page import Page
from socketeer.cli.run import configure_logging
from socketeer.cli.terminal import Transcript
from socketeer.cli.visitors import talk
from socketeer.cli.waiting import Waiting
from socketeer.integrations.client_package import PACKAGE, VERSION, ClientFiles

#: The one file of the official client that the page asks for.
CLIENT: Final = "socket.io.esm.min.js"


def show(host: str, port: int, terminal: bool, open_page: bool) -> None:
    """Run the demo until Ctrl-C.

    Raises:
        Trouble: the address is taken.
    """
    console = Console(highlight=False)
    configure_logging("warning", access_log=False)
    check(host, port)
    client = _client(console)
    terminal = terminal or client is None
    visits: set[asyncio.Task[None]] = set()
    tell: Tell = Transcript(console).tell if terminal else _keep_silent

    def ready(url: str) -> None:
        _introduce(console, for_a_browser(url), client is not None, terminal)
        if open_page:
            webbrowser.open(for_a_browser(url))
        if terminal:  # what holds the task is this set; the loop does not
            visits.add(asyncio.get_running_loop().create_task(talk(for_a_browser(url) + TERMINAL, tell)))

    # `lifespan`: the page has nothing to start and nothing to end.
    Chat(tell).io.run(host=host, port=port, app=Page(page(client)), ready=ready, lifespan="off")
    console.print("The demo has ended.", style="dim")


def page(client: ClientFiles | None) -> dict[str, bytes]:
    """The files of the page by their paths; without a client, the page says what is missing."""
    here = files("socketeer.cli")
    served = {f"/{name}": (here / name).read_bytes() for name in ("demo_page.css", "demo_page.js")}
    served["/"] = (here / "demo_page.html").read_bytes()
    if client is not None:
        served[f"/{CLIENT}"] = client.read(CLIENT)
    return served


def _client(console: Console) -> ClientFiles | None:
    fetching = f"Fetching the browser client, {PACKAGE} {VERSION}, by npm (once) ..."
    try:
        return load(Waiting(console, fetching))
    except ClientUnavailable as error:
        console.print(Text.assemble(("No page: ", "bold yellow"), f"{error}."), soft_wrap=True)
        console.print(Text(error.advice), soft_wrap=True)
        console.print()
        return None


def _introduce(console: Console, url: str, has_page: bool, terminal: bool) -> None:
    if has_page:
        line = Text.assemble(
            "The chat is on ", (url, "bold underline"), ": open it in two tabs. Ctrl-C ends it."
        )
    else:
        line = Text.assemble("The chat's server is on ", (url, "bold underline"), ". Ctrl-C ends it.")
    console.print(line, soft_wrap=True)
    if terminal:
        console.print("Two clients talk. Below is what the server sees, and what they hear.", style="dim")
        console.print(
            Text(f"Join them from another terminal:  socketeer connect {url}{TERMINAL}"), soft_wrap=True
        )
        if not has_page:
            request = f'curl "{url}/socket.io/?EIO=4&transport=polling"'
            console.print(
                Text(f"Any Socket.IO client can come, and this is a beginning:  {request}"), soft_wrap=True
            )
        console.print()


def _keep_silent(who: str, what: str, detail: str) -> None:
    """Nobody reads along in the terminal."""
