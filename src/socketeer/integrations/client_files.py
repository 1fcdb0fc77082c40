"""The browser client below the server's own path: ``/socket.io/socket.io.js`` and its seven siblings.

https://socket.io/docs/v4/server-options/#serveclient. Only these eight names are ever looked for, each
compared as a whole, so no path that a client makes up reaches anything else. Where one of the names is
a symbolic link, it is followed: what a user's folder points to is the user's own business.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from socketeer.engine.http.compression import MAX_ACCEPT_ENCODING, preferred_encoding
from socketeer.engine.http.cors import cors_policy
from socketeer.engine.http.message import Request, Response
from socketeer.integrations.client_package import (
    ARCHIVE,
    PACKAGE,
    VERSION,
    ClientFiles,
    cache_folder,
    is_genuine,
)
from socketeer.options import Cors, CorsFunction, ServeClient

log = logging.getLogger("socketeer")

#: Of 11. Level 5 takes 5 ms for the largest file, the highest 0.5 seconds, while the event loop waits.
_BROTLI_QUALITY: Final = 5

#: What the client's scripts say of themselves in their first lines.
_BANNER: Final = re.compile(rb"Socket\.IO v([0-9A-Za-z.+-]{1,40})\s")
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,40}")
#: Packages in which a user may have found the files.
_PACKAGES: Final = (PACKAGE, "socket.io")

Stamp = tuple[int, int]
"""When a file was written, and its bytes: another pair means that it has to be read again."""


def _deflate(content: bytes) -> bytes:
    return zlib.compress(content)


def _gzip(content: bytes) -> bytes:
    return zlib.compress(content, wbits=31)  # 15 is the largest window, 16 more asks for gzip's header


def _encoders() -> dict[str, Callable[[bytes], bytes]]:
    """The encodings in order of preference; Brotli is among them where the user has a library for it."""
    encoders: dict[str, Callable[[bytes], bytes]] = {"gzip": _gzip, "deflate": _deflate}
    try:
        import brotli  # type: ignore[import-untyped]  # noqa: PLC0415 - nothing depends on it
    except ImportError:
        return encoders
    return {"br": partial(brotli.compress, quality=_BROTLI_QUALITY), **encoders}


_ENCODERS: Final = _encoders()


class Source(Protocol):
    """Where the files come from."""

    advice: str
    """What to do where a file is missing."""

    def stamp(self, name: str) -> Stamp:
        """What changes when the file does.

        Raises:
            OSError: there is no such file.
            RuntimeError: there is no place to look for it.
        """
        ...

    def read(self, name: str) -> tuple[bytes, str]:
        """The file's content and its version.

        Raises:
            OSError: it cannot be read.
        """
        ...


class Cache:
    """The archive that ``socketeer fetch-client`` has put into the user's cache."""

    advice = (
        "Run `socketeer fetch-client` (it needs npm, once), or name a folder that holds the file, such as "
        'Server(serve_client="node_modules/socket.io-client/dist"). Server(serve_client=False) serves none.'
    )

    def stamp(self, name: str) -> Stamp:  # noqa: ARG002 - all are in one archive
        return _stamp(cache_folder() / ARCHIVE)

    def read(self, name: str) -> tuple[bytes, str]:
        place = cache_folder() / ARCHIVE
        archive = place.read_bytes()
        if not is_genuine(archive):
            raise OSError(f"{place} is damaged; run `socketeer fetch-client`")
        return ClientFiles(archive).read(name), VERSION


class Folder:
    """A folder of the user's."""

    advice = (
        "It is not in the folder that Server(serve_client=...) names, such as "
        "node_modules/socket.io-client/dist. `socketeer fetch-client --to FOLDER` puts it there."
    )

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()  # a process may change its folder later

    def stamp(self, name: str) -> Stamp:
        return _stamp(self._path / name)

    def read(self, name: str) -> tuple[bytes, str]:
        content = (self._path / name).read_bytes()
        return content, self._package_version() or _own_version(content)

    def _package_version(self) -> str | None:
        """Of the package.json beside the folder's files or above, if it is the client's and not an application's."""
        for folder in (self._path, self._path.parent):
            try:
                found = json.loads((folder / "package.json").read_bytes())
                name, version = found["name"], str(found["version"])
            except (OSError, ValueError, TypeError, KeyError):
                continue
            if name in _PACKAGES and _VERSION.fullmatch(version):
                return version
        return None


def _own_version(content: bytes) -> str:
    """What a script's banner says; a map has none, and gets a hash of what it holds."""
    banner = _BANNER.search(content[:300])
    return banner[1].decode() if banner else hashlib.sha256(content).hexdigest()[:20]


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@dataclass(slots=True)
class _File:
    """One file as it was read, and as it was sent."""

    stamp: Stamp
    etag: str
    content: bytes
    compressed: dict[str, bytes] = field(default_factory=dict)

    def encoded(self, encoding: str) -> bytes:
        """Its content in this encoding: made once, and kept as long as the file stays as it is."""
        if encoding not in self.compressed:
            self.compressed[encoding] = _ENCODERS[encoding](self.content)
        return self.compressed[encoding]


class ServedClient:
    """Answers requests for the client's files, from memory once each has been asked for."""

    def __init__(self, source: Source, cors: Cors | CorsFunction | None) -> None:
        self._source = source
        self._cors = cors_policy(cors)
        self._files: dict[str, _File] = {}
        self._failed: dict[str, Stamp | None] = {}
        """What could not be had, each with its stamp, or None where there was nothing to be stamped."""

    async def answer(self, name: str, request: Request) -> Response:
        """The answer for one of the eight files, whatever the method, as the official server's."""
        preflight = await self._cors.preflight(request)
        if preflight is not None:
            return preflight
        response = self._respond(name, request)
        for header, value in (await self._cors.headers(request)).items():
            known = response.headers.get(header)
            response.headers[header] = f"{value}, {known}" if known and header == "vary" else value
        if request.method == "HEAD":
            response.body = b""
        return response

    def _respond(self, name: str, request: Request) -> Response:
        file = self._load(name)
        if file is None:
            text = f"{name} is not here. {self._source.advice}\n"
            return Response(404, {"content-type": "text/plain; charset=utf-8"}, text.encode())
        if request.fields.get("if-none-match") in (file.etag, f"W/{file.etag}"):
            return Response(304, streamed=True)
        kind = "json" if name.endswith(".map") else "javascript"
        headers = {
            "cache-control": "public, max-age=0",
            "content-type": f"application/{kind}; charset=utf-8",
            "etag": file.etag,
            # Not the official server's: a cache between it and its clients could mix up the encodings.
            "vary": "Accept-Encoding",
        }
        accepted = request.fields.get("accept-encoding", "")
        encoding = (
            preferred_encoding(accepted, tuple(_ENCODERS)) if len(accepted) <= MAX_ACCEPT_ENCODING else None
        )
        if encoding is None:
            return Response(200, headers, file.content, streamed=True)
        headers["content-encoding"] = encoding
        return Response(200, headers, file.encoded(encoding), streamed=True)

    def _load(self, name: str) -> _File | None:
        """The file as it is now; None where it cannot be had, which is logged once, until it changes."""
        stamp: Stamp | None = None
        try:
            stamp = self._source.stamp(name)
            file = self._files.get(name)
            if file is not None and file.stamp == stamp:
                return file
            if self._failed.get(name) == stamp:
                return None
            content, version = self._source.read(name)
        except (OSError, RuntimeError) as error:
            if name not in self._failed or self._failed[name] != stamp:
                log.warning("%s was asked for and cannot be served: %s", name, error)
            self._failed[name] = stamp
            self._files.pop(name, None)
            return None
        self._failed.pop(name, None)
        file = self._files[name] = _File(stamp, f'"{version}"', content)
        return file


def served_client(option: ServeClient, cors: Cors | CorsFunction | None) -> ServedClient | None:
    """What the option ``serve_client`` asks for; None where it is False."""
    if option is False:
        return None
    return ServedClient(Cache() if option is True else Folder(Path(os.fspath(option))), cors)
