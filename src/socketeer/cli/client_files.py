"""The official browser client: fetched by npm, checked, and kept in the user's cache.

Nothing of it is in this package. What is kept is the archive as npm's registry publishes it, so that
each start can check all of it against the hash below, and the files are read out of it in memory.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

log = logging.getLogger("socketeer")

PACKAGE: Final = "socket.io-client"
VERSION: Final = "4.8.4"
#: The hash of the published archive, as in a package-lock.json.
INTEGRITY: Final = (
    "sha512-7wjKAvVXYOJsbmUgkWbnhPD4bFpkqrUR0++XOjpGFmqDqsqV1CI93VTraeExLxpjxEqrWgFoSRZu1ihjLWfkAA=="
)

#: Seconds that npm may take.
PATIENCE: Final = 90.0

_ARCHIVE: Final = f"{PACKAGE}-{VERSION}.tgz"


class ClientUnavailable(Exception):
    """There is no browser client; the message says why, ``advice`` what to do."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(why)
        self.advice = advice


class ClientFiles:
    """The files of the client, read out of its archive."""

    def __init__(self, archive: bytes) -> None:
        self._archive = archive

    def read(self, name: str) -> bytes:
        """One file of the package's ``dist`` folder, such as ``socket.io.esm.min.js``.

        Raises:
            KeyError: there is no such file.
        """
        with tarfile.open(fileobj=io.BytesIO(self._archive), mode="r:gz") as tar:
            file = tar.extractfile(f"package/dist/{name}")
            if file is None:
                raise KeyError(name)
            return file.read()


def load(waiting: AbstractContextManager[object] | None = None) -> ClientFiles:
    """The client: from the cache, or else from npm. ``waiting`` is entered while npm is at work.

    Raises:
        ClientUnavailable: it is not in the cache, and npm is missing or failed.
    """
    place = cache_folder() / _ARCHIVE
    archive = _kept(place)
    if archive is None:
        npm = shutil.which("npm")
        if npm is None:
            raise ClientUnavailable(
                f"npm, which fetches the browser client ({PACKAGE} {VERSION}), was not found",
                "Install Node.js 18 or newer, which brings npm, and start the demo again.",
            )
        with waiting or nullcontext():
            archive = _fetch(npm)
        _keep(place, archive)
    return ClientFiles(archive)


def cache_folder() -> Path:
    """Where the client is kept: ``SOCKETEER_CACHE``, or the user's cache by the platform's custom."""
    named = os.environ.get("SOCKETEER_CACHE")
    if named:
        return Path(named)
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if Path(xdg).is_absolute():  # a relative one is to be ignored, says the specification
        return Path(xdg) / "socketeer"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "socketeer"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "socketeer" / "Cache"
    return Path.home() / ".cache" / "socketeer"


def is_genuine(archive: bytes) -> bool:
    """Whether these are the bytes that were published, by :data:`INTEGRITY`."""
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    return hmac.compare_digest(f"sha512-{digest}", INTEGRITY)


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
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{_ARCHIVE}.", delete=False) as file:
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
        f"See whether `npm view {PACKAGE}@{VERSION}` works, and start the demo again.",
    )


def _reason(stderr: str) -> str:
    """What npm says that helps: its first lines, without its prefix and without where its log is."""
    lines = [
        line.removeprefix("npm").strip().removeprefix("error").removeprefix("ERR!").strip()
        for line in stderr.splitlines()
    ]
    telling = [line for line in lines if line and "complete log" not in line and not line.endswith(".log")]
    return "; ".join(telling[:3]) or "it said nothing"
