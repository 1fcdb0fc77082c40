"""The official browser client: fetched by npm, checked, and kept in the user's cache.

Which version it is and where it is kept says :mod:`socketeer.integrations.client_package`.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

from socketeer.integrations.client_package import (
    ARCHIVE,
    PACKAGE,
    VERSION,
    ClientFiles,
    cache_folder,
    is_genuine,
)

log = logging.getLogger("socketeer")

#: Seconds that npm may take.
PATIENCE: Final = 90.0


class ClientUnavailable(Exception):
    """There is no browser client; the message says why, ``advice`` what to do."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(why)
        self.advice = advice


def load(waiting: AbstractContextManager[object] | None = None) -> ClientFiles:
    """The client: from the cache, or else from npm. ``waiting`` is entered while npm is at work.

    Raises:
        ClientUnavailable: it is not in the cache, and npm is missing or failed.
    """
    place = cache_folder() / ARCHIVE
    archive = _kept(place)
    if archive is None:
        npm = shutil.which("npm")
        if npm is None:
            raise ClientUnavailable(
                f"npm, which fetches the browser client ({PACKAGE} {VERSION}), was not found",
                "Install Node.js 18 or newer, which brings npm, and try again.",
            )
        with waiting or nullcontext():
            archive = _fetch(npm)
        _keep(place, archive)
    return ClientFiles(archive)


def _kept(place: Path) -> bytes | None:
    try:
        archive = place.read_bytes()
    except OSError:
        return None
    if is_genuine(archive):
        return archive
    log.warning("%s is damaged; the client is fetched again", place)
    return None


def _keep(place: Path, archive: bytes) -> None:
    """Into the cache, whole or not at all; without a cache the next start fetches it again."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{ARCHIVE}.", delete=False) as file:
            file.write(archive)
        Path(file.name).replace(place)
    except OSError as error:
        log.warning("the browser client cannot be kept in %s: %s", place.parent, error)


def _fetch(npm: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="socketeer-") as folder:
        # In an empty folder: the settings of a project that happens to be around are not ours.
        # Without --pack-destination, which npm 6 does not know: the archive comes to where we are.
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--loglevel=error"]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command, no shell
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _failed(f"npm did not answer within {PATIENCE:.0f} seconds") from None
        except OSError as error:
            raise _failed(f"npm could not be started: {error}") from None
        if done.returncode != 0:
            raise _failed(f"npm ended with code {done.returncode}: {_reason(done.stderr)}")
        archives = list(Path(folder).glob("*.tgz"))
        archive = archives[0].read_bytes() if archives else b""
    if not is_genuine(archive):
        raise ClientUnavailable(
            f"what npm brought is not {PACKAGE} {VERSION} as it was published: its hash is another one",
            "Look at what stands between this machine and npm's registry; nothing of it was kept.",
        )
    return archive


def _failed(why: str) -> ClientUnavailable:
    return ClientUnavailable(
        f"the browser client ({PACKAGE} {VERSION}) could not be fetched: {why}",
        f"See whether `npm view {PACKAGE}@{VERSION}` works, and try again.",
    )


def _reason(stderr: str) -> str:
    """What npm says that helps: its first lines, without its prefix and without where its log is."""
    lines = [
        line.removeprefix("npm").strip().removeprefix("error").removeprefix("ERR!").strip()
        for line in stderr.splitlines()
    ]
    telling = [line for line in lines if line and "complete log" not in line and not line.endswith(".log")]
    return "; ".join(telling[:3]) or "it said nothing"
