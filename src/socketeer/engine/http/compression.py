"""Compression of long-polling answers: whether, and by which of gzip and deflate."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache

from socketeer.engine.http.message import Response
from socketeer.options import Compression

#: Characters of an Accept-Encoding header. Browsers send about thirty; a header longer than this
#: is not looked at and its answer goes out as it is, which every client must understand.
MAX_ACCEPT_ENCODING = 512

#: The encodings in order of preference, each with what tells zlib to write its format: 15 is the
#: largest window, 16 more asks for gzip's header. HTTP's "deflate" is the zlib format (RFC 9110).
_WINDOW_BITS = {"gzip": 16 + 15, "deflate": 15}

#: The number at the start of a quality, as JavaScript's ``parseFloat`` sees it. Linear: where one part
#: ends, the next cannot go on with the same characters.
_QUALITY = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def compress(response: Response, accept_encoding: str, options: Compression) -> None:
    """Compress the answer's body in place, if it is long enough and the client takes an encoding.

    A compressed answer is ``streamed``, without ``content-length``, like the official server's.
    """
    if len(response.body) < options.threshold or len(accept_encoding) > MAX_ACCEPT_ENCODING:
        return
    encoding = preferred_encoding(accept_encoding)
    if encoding is None:
        return
    # Level 1, the option's default: on chat events in JSON, level 6 (zlib's default) took about twice as long at
    # 4 kB (shrunk to 28 % instead of 30 %) and five times at 200 kB (21 % instead of 26 %).
    deflater = zlib.compressobj(options.level, zlib.DEFLATED, _WINDOW_BITS[encoding], options.mem_level)
    response.body = deflater.compress(response.body) + deflater.flush()
    response.headers["content-encoding"] = encoding
    response.streamed = True


# The same few headers come again and again: each kind of browser has one.
@lru_cache(maxsize=128)
def preferred_encoding(accept_encoding: str, offered: tuple[str, ...] = tuple(_WINDOW_BITS)) -> str | None:
    """What the client would rather have of the encodings ``offered``; None is the content as it is.

    The rules are those of npm's ``negotiator``: an encoding's own entry goes before ``*``, of
    several entries the best counts, the higher quality wins, and between equals the one named
    first. An encoding of quality 0 is refused. A quality that is no number counts as 0.
    """
    offers = _parse(accept_encoding)
    ranked: list[tuple[float, int, int, int, str]] = []
    for index, encoding in enumerate(offered):
        matches = [
            (int(name == encoding), quality, position)
            for position, (name, quality) in enumerate(offers)
            if name in (encoding, "*")
        ]
        exact, quality, position = max(matches, default=(0, 0.0, 0))
        if quality > 0:
            ranked.append((-quality, -exact, position, index, encoding))
    return min(ranked)[-1] if ranked else None


def _parse(accept_encoding: str) -> list[tuple[str, float]]:
    """The header's entries as (name in lower case, quality); a broken entry has a name that nothing has."""
    offers: list[tuple[str, float]] = []
    for part in accept_encoding.split(","):
        name, *parameters = part.split(";")
        offers.append((name.strip().lower(), _quality(parameters)))
    return offers


def _quality(parameters: list[str]) -> float:
    """The value of the first ``q`` parameter; 1 where there is none."""
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            number = _QUALITY.match(value.strip())
            return float(number[0]) if number else 0.0
    return 1.0
