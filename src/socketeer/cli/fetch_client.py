"""``socketeer fetch-client``: brings the official browser client to where a server can serve it from."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from socketeer.cli.client_files import ClientUnavailable, load
from socketeer.cli.trouble import Trouble
from socketeer.cli.waiting import Waiting
from socketeer.integrations.client_package import (
    ARCHIVE,
    FILES,
    PACKAGE,
    VERSION,
    ClientFiles,
    cache_folder,
)


def fetch(folder: Path | None) -> None:
    """Fill the user's cache, or ``folder`` with the eight files; says what to do with them.

    Raises:
        Trouble: npm is missing or failed, or the place cannot be written.
    """
    console = Console(highlight=False, markup=False)
    fetching = f"Fetching the browser client, {PACKAGE} {VERSION}, by npm ..."
    try:
        client = load(Waiting(console, fetching))
    except ClientUnavailable as error:
        raise Trouble(str(error), error.advice) from None
    except RuntimeError as error:
        raise Trouble(
            f"there is no folder to keep the client in: {error}", "Set SOCKETEER_CACHE to one."
        ) from None
    if folder is None:
        place = cache_folder() / ARCHIVE
        if not place.exists():
            raise Trouble(
                f"the client cannot be kept in {place.parent}",
                "Set SOCKETEER_CACHE to a folder that can be written, or name one by --to.",
            )
        console.print(f"{PACKAGE} {VERSION} is in {place}.", soft_wrap=True)
        console.print("Every Server() of this user serves it: /socket.io/socket.io.js and seven more.")
    else:
        _unpack(client, folder)
        console.print(f"The {len(FILES)} files of {PACKAGE} {VERSION} are in {folder}.", soft_wrap=True)
        console.print(f"Server(serve_client={str(folder)!r}) serves them.", soft_wrap=True)


def _unpack(client: ClientFiles, folder: Path) -> None:
    """Each file whole or not at all: a server may be serving the ones of before."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-client-") as beside:
            for name in sorted(FILES):
                written = Path(beside) / name
                written.write_bytes(client.read(name))
                written.replace(folder / name)
    except OSError as error:
        raise Trouble(
            f"the client cannot be written to {folder}: {error.strerror or error}",
            "Name another folder by --to.",
        ) from None
