"""The head of an ordinary HTTP/1.1 request, read in one go.

What browsers, phones and Node.js send is read here; whatever is out of the ordinary in any way (odd characters, repeated or
folded lines, chunked bodies, ``Expect``, other methods, half a request) is left to the full parser, which decides what
it means. So the two never understand one request differently.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import Final

from socketeer.engine.at_once import Terms
from socketeer.engine.http.message import USUAL_QUERY

#: Bytes of a head, and lines: longer ones are left to the full parser, and few are.
_MAX_HEAD: Final = 8192
_MAX_LINES: Final = 64

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STAMP = re.compile(rb"[0-9A-Za-z._-]{1,64}(?=[& ])")
_LAST = " HTTP/1.1"
_USUAL = f"{USUAL_QUERY}{_LAST}".encode()

#: Header names as they are written, and in lower case. It has an end: names are the client's to choose.
_names: dict[str, str] = {}
_MAX_NAMES: Final = 256

#: Header lines as name and value. Most clients send the same, and a session keeps those of its handshake, so they
#: share them. Lines are the client's to choose, so there is an end: then it begins anew, and who has lines keeps them.
_lines: dict[str, tuple[str, str]] = {}
_MAX_LINES_KNOWN: Final = 512
_LONGEST_KNOWN: Final = 512
_KEY_NAME: Final = "sec-websocket-key"
#: What each client has for itself, or each request, and what is nobody else's business.
_SECRET: Final = frozenset(
    {
        "authorization",
        "cf-connecting-ip",
        "cf-ray",
        "cookie",
        "forwarded",
        "proxy-authorization",
        "traceparent",
        "true-client-ip",
        "x-api-key",
        "x-auth-token",
        "x-forwarded-for",
        "x-real-ip",
        "x-request-id",
    }
)
_ITS_OWN: Final = _SECRET | {"content-length", _KEY_NAME}

#: Whole blocks of header lines: clients of one kind send the same to one site. Of WebSocket handshakes all but the key.
_blocks: dict[bytes, Fields] = {}
_handshakes: dict[bytes, Handshake] = {}
_MAX_BLOCKS: Final = 128
_LONGEST_BLOCK: Final = 1024
#: As nearly all write it.
_KEY_LINE: Final = b"\r\nSec-WebSocket-Key: "
_KEY_LENGTH: Final = 24

_UPGRADES = frozenset({"upgrade", "keep-alive, upgrade", "keep-alive,upgrade"})
#: Headers that change how the rest of the connection is read.
_LEFT_ALONE = ("transfer-encoding", "expect", "proxy-connection")


class Fields:
    """The header lines of a request."""

    __slots__ = ("forwarded", "headers", "keep_alive", "length", "pairs", "upgrade")

    def __init__(
        self,
        headers: dict[str, str],
        pairs: tuple[tuple[str, str], ...],
        length: int,
        keep_alive: bool,
        upgrade: bool,
    ) -> None:
        self.headers = headers
        self.pairs = pairs
        self.length = length
        self.keep_alive = keep_alive
        self.upgrade = upgrade
        """Whether it is a WebSocket handshake."""
        self.forwarded = "x-forwarded-for" in headers or "x-forwarded-proto" in headers


class Handshake:
    """The header lines of a WebSocket handshake, for any key."""

    __slots__ = ("_before", "_behind", "_headers")

    def __init__(self, fields: Fields) -> None:
        self._headers = {**fields.headers, _KEY_NAME: ""}
        at = list(fields.headers).index(_KEY_NAME)
        self._before, self._behind = fields.pairs[:at], fields.pairs[at + 1 :]

    def with_key(self, key: str) -> Fields:
        """As a client has sent them."""
        headers = self._headers.copy()
        headers[_KEY_NAME] = key
        return Fields(headers, (*self._before, (_KEY_NAME, key), *self._behind), 0, True, True)


class RequestHead:
    """A whole head, and where in what was received the body begins and ends.

    Clients that poll send the same one each time, but for a stamp by which they get round caches, the parameter ``t``. So one
    object may stand for many requests, one after the other.
    """

    __slots__ = (
        "_before",
        "_behind",
        "_query",
        "_stamp",
        "_start",
        "block",
        "body",
        "end",
        "fields",
        "method",
        "terms",
    )

    def __init__(
        self, method: str, query: str, fields: Fields, text: bytes, start: int, block: bytes
    ) -> None:
        self.method = method
        self.fields = fields
        self.block = block
        """Its header lines."""
        self.body = len(text)
        self.end = self.body + fields.length
        self.terms: Terms | None = None
        """What the engine has found out about it. The stamp makes no difference there."""
        self._query: str | None = query
        self._start = start
        """Where the query begins."""
        self._before, self._stamp, self._behind = text, b"", b""
        """All of it, or what is before the stamp, the stamp, and what is behind."""
        if "&t=" in query:
            self._part(text)

    def _part(self, text: bytes) -> None:
        before, mark, rest = text.partition(b"&t=")
        found = _STAMP.match(rest)
        if found is not None:
            self._before, self._stamp, self._behind = before + mark, found[0], rest[found.end() :]

    def begins(self, data: bytes) -> bool:
        """Whether ``data`` begins with this head, perhaps with another stamp; then it is the head of that."""
        before = self._before
        if not data.startswith(before):
            return False
        behind = self._behind
        if behind:
            found = _STAMP.match(data, len(before))
            if found is None or not data.startswith(behind, found.end()):
                return False
            self._stamp, self._query = found[0], None
            self.body = found.end() + len(behind)
            self.end = self.body + self.fields.length
        return True

    @property
    def query(self) -> str:
        """The query string."""
        if self._query is None:
            text = self._before + self._stamp + self._behind
            self._query = text[self._start : text.find(b" ", self._start)].decode("ascii")
        return self._query


class HeadReader:
    """Reads the heads that come over one connection, for one path.

    A client that polls sends the same ones again and again, or with another time stamp, so the last GET and the last POST
    are remembered.
    """

    __slots__ = ("_get", "_post", "_target")

    def __init__(self, target: Target) -> None:
        self._target = target
        self._get: RequestHead | None = None
        self._post: RequestHead | None = None

    def read(self, data: bytes) -> RequestHead | None:
        """The head at the beginning of ``data``; None leaves it to the full parser."""
        known = self._get if data[:1] == b"G" else self._post
        if known is not None and known.begins(data):
            return known
        return self._read(data, known)

    def _read(self, data: bytes, known: RequestHead | None) -> RequestHead | None:
        if not data.startswith(self._target.prefixes):
            return None
        line = data.find(b"\r\n", 0, _MAX_HEAD)
        end = data.find(b"\r\n\r\n", line, _MAX_HEAD)
        if line < 0 or end <= line:
            return None
        is_get = data[0] == 71
        start = self._target.lengths[is_get]
        block = data[line + 2 : end]
        if known is not None and known.block == block:
            fields = known.fields
        else:
            read = _read_block(block)
            if read is None or (is_get and read.length) or (read.upgrade and not is_get):
                return None
            fields = read
        query = _query_in(data[start:line])
        if query is None:
            return None
        head = RequestHead("GET" if is_get else "POST", query, fields, data[: end + 4], start, block)
        if is_get:
            self._get = head
        else:
            self._post = head
        return head


class Target:
    """What the requests begin with that are read here: ``/socket.io/?``."""

    __slots__ = ("lengths", "prefixes")

    def __init__(self, path: str) -> None:
        start = f"{path}/?".encode("ascii")
        self.prefixes = (b"GET " + start, b"POST " + start)
        self.lengths = (len(self.prefixes[1]), len(self.prefixes[0]))
        """Of the second one and of the first: by whether it is a GET."""


def is_plain(path: str) -> bool:
    """Whether a path is the same in a URL: no character of it is ever escaped."""
    return re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+", path) is not None


def _query_in(line: bytes) -> str | None:
    """The query string, of what stands behind the path and the question mark in the request's first line."""
    if line == _USUAL:
        return USUAL_QUERY
    try:
        text = line.decode("ascii")
    except UnicodeDecodeError:
        return None
    query = text[: -len(_LAST)]
    plain = text.endswith(_LAST) and query.isprintable() and " " not in query and "#" not in query
    return query if plain else None


def _read_block(block: bytes) -> Fields | None:
    """As :func:`_read_fields`, which is not asked again where a whole block is known, or all but a handshake's key."""
    start = block.find(_KEY_LINE) + len(_KEY_LINE)
    if start < len(_KEY_LINE):
        return _blocks.get(block) or _learn_block(block)
    end = start + _KEY_LENGTH
    rest = block[:start] + block[end:]
    known = _handshakes.get(rest)
    if known is None:
        return _learn_handshake(block, rest)
    key = block[start:end]
    return known.with_key(key.decode("ascii")) if _is_key(key) else None


def _learn_block(block: bytes) -> Fields | None:
    fields = _read_fields(block)
    if fields is not None and not fields.upgrade and _may_be_known(fields, block):
        if len(_blocks) >= _MAX_BLOCKS:
            _blocks.clear()
        _blocks[block] = fields
    return fields


def _learn_handshake(block: bytes, rest: bytes) -> Fields | None:
    fields = _read_fields(block)
    if fields is not None and fields.upgrade and _may_be_known(fields, rest):
        if len(_handshakes) >= _MAX_BLOCKS:
            _handshakes.clear()
        _handshakes[rest] = Handshake(fields)
    return fields


def _may_be_known(fields: Fields, text: bytes) -> bool:
    return len(text) <= _LONGEST_BLOCK and _SECRET.isdisjoint(fields.headers)


def _read_fields(block: bytes) -> Fields | None:
    try:
        lines = block.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return None
    if len(lines) > _MAX_LINES:
        return None
    headers: dict[str, str] = {}
    pairs = []
    known = _lines
    for line in lines:
        pair = known.get(line) or _read_line(line)
        if pair is None or pair[0] in headers:
            return None
        headers[pair[0]] = pair[1]
        pairs.append(pair)
    for name in _LEFT_ALONE:
        if name in headers:
            return None
    return _interpret(headers, tuple(pairs))


def _read_line(line: str) -> tuple[str, str] | None:
    """The name in lower case and the value; None where the line is not as lines are."""
    name, colon, value = line.partition(":")
    known = _names.get(name) or _learn(name)
    if known is None or not colon or not value.isprintable():
        return None
    if value[:1] == " ":
        value = value[1:]
    if value[:1] == " " or value[-1:] == " ":
        return None
    pair = (known, value)
    if known not in _ITS_OWN and len(line) <= _LONGEST_KNOWN:
        if len(_lines) >= _MAX_LINES_KNOWN:
            _lines.clear()
        _lines[line] = pair
    return pair


def _interpret(headers: dict[str, str], pairs: tuple[tuple[str, str], ...]) -> Fields | None:
    connection = headers.get("connection", "keep-alive").lower()
    upgrade = "upgrade" in headers
    if upgrade:
        if connection not in _UPGRADES or headers["upgrade"].lower() != "websocket":
            return None
        if headers.get("sec-websocket-version") != "13" or not _is_key(headers.get(_KEY_NAME, "").encode()):
            return None
    elif connection not in ("keep-alive", "close"):
        return None
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > 15 or (upgrade and declared != "0"):
        return None
    return Fields(headers, pairs, int(declared), connection != "close", upgrade)


def _is_key(key: bytes) -> bool:
    """Whether it is what a handshake must have: 16 bytes as base64 (RFC 6455 section 4.2.1)."""
    try:
        return len(key) == _KEY_LENGTH and len(a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        return False


def _learn(name: str) -> str | None:
    """The name in lower case; None where it is none."""
    if _TOKEN.fullmatch(name) is None:
        return None
    lower = name.lower()
    if len(_names) < _MAX_NAMES and len(name) <= 64:
        _names[name] = lower
    return lower
