"""An HTTP/1.1 answer as bytes, as uvicorn writes it."""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus

from socketeer.engine.http.message import KnownHeaders, Response

# What would end a line, or is none of a header's business: as uvicorn, we do not send it.
_BAD_NAME = re.compile('[\x00-\x1f\x7f()<>@,;:\\[\\]={} \t\\\\"]')
_BAD_VALUE = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def encode_answer(
    response: Response, common: list[tuple[bytes, bytes]], keep_alive: bool
) -> tuple[bytes, bool]:
    """The answer, with the headers that the server puts into every one; and whether the connection goes on.

    Raises:
        ValueError: a header that cannot be sent.
    """
    headers = response.headers
    pieces = [_status_line(response.status)]
    pieces += [b"%b: %b\r\n" % pair for pair in common]
    # A cookie may hold a session's id, which is not to be remembered here.
    lines = _lines if "set-cookie" not in headers else _lines.__wrapped__
    pieces.append(lines(tuple(headers.items())))
    body = response.body
    if response.streamed:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    elif response.status != 204:
        pieces.append(b"content-length: %d\r\n" % len(body))
    closing = headers.get("connection")
    if closing is not None and "close" in [token.strip() for token in closing.lower().split(",")]:
        keep_alive = False
    elif not keep_alive:
        pieces.append(b"connection: close\r\n")
    if response.streamed:
        pieces.append(b"transfer-encoding: chunked\r\n")
    pieces += (b"\r\n", body)
    return b"".join(pieces), keep_alive


class _Beginning:
    """A 200 with the headers that a server puts into every answer. They stay the same for a second."""

    __slots__ = ("lines", "pairs")

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self.pairs = pairs
        self.lines = _status_line(200) + b"".join([b"%b: %b\r\n" % pair for pair in pairs])


def encode_known(
    known: KnownHeaders, body: bytes, common: list[tuple[bytes, bytes]], keep_alive: bool
) -> bytes:
    """A 200 of which the headers are known, as :func:`encode_answer` writes it.

    Raises:
        ValueError: a header that cannot be sent.
    """
    lines = known.written
    if lines is None:
        lines = known.written = _lines.__wrapped__(tuple(known.headers.items()))
    beginning = _beginnings[0]
    if beginning.pairs != common:
        beginning = _beginnings[0] = _Beginning(list(common))
    last = b"" if keep_alive else b"connection: close\r\n"
    return b"%b%bcontent-length: %d\r\n%b\r\n%b" % (beginning.lines, lines, len(body), last, body)


def encode_refusal(status: int, body: bytes, date: str) -> bytes:
    """The answer to a WebSocket handshake that is refused, as the ``websockets`` library writes it for uvicorn."""
    return (
        _status_line(status)
        + b"content-type: text/html\r\nconnection: close\r\ncontent-length: %d\r\nDate: %b\r\n\r\n"
        % (len(body), date.encode())
        + body
    )


@lru_cache(maxsize=32)
def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


@lru_cache(maxsize=64)
def _lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    """A poll's headers are the same each time."""
    for name, value in headers:
        if _BAD_NAME.search(name) or _BAD_VALUE.search(value):
            raise ValueError(f"no HTTP header: {name!r}: {value!r:.100}")
    return "".join([f"{name.lower()}: {value}\r\n" for name, value in headers]).encode("latin-1")


_beginnings = [_Beginning([])]
"""The last one."""
