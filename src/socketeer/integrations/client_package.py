"""The official browser client as npm publishes it: which version, its hash, and where the user's copy is.

Nothing of it is in this package. What is kept is the published archive, so that each start can check
all of it against the hash below, and the files are read out of it in memory.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Final

PACKAGE: Final = "socket.io-client"
VERSION: Final = "4.8.4"
#: The hash of the published archive, as in a package-lock.json.
INTEGRITY: Final = (
    "sha512-7wjKAvVXYOJsbmUgkWbnhPD4bFpkqrUR0++XOjpGFmqDqsqV1CI93VTraeExLxpjxEqrWgFoSRZu1ihjLWfkAA=="
)
ARCHIVE: Final = f"{PACKAGE}-{VERSION}.tgz"

_SCRIPTS: Final = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")
#: The files for browsers, by the names under which the official server serves them.
FILES: Final = frozenset((*_SCRIPTS, *(f"{name}.map" for name in _SCRIPTS)))


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


def cache_folder() -> Path:
    """Where the client is kept: ``SOCKETEER_CACHE``, or the user's cache by the platform's custom.

    Raises:
        RuntimeError: the user has no home folder.
    """
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
