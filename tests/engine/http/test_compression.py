from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.http.compression import MAX_ACCEPT_ENCODING, compress, preferred_encoding
from socketeer.engine.http.message import Response
from socketeer.options import Compression

BROWSER = "gzip, deflate, br, zstd"


def answer(body: bytes) -> Response:
    return Response(200, {"content-type": "text/plain; charset=UTF-8"}, body)


def test_gzip() -> None:
    response = answer(b"4hello " * 500)
    compress(response, BROWSER, Compression())
    assert response.headers == {"content-type": "text/plain; charset=UTF-8", "content-encoding": "gzip"}
    assert response.streamed
    assert len(response.body) < 100
    assert gzip.decompress(response.body) == b"4hello " * 500


def test_deflate_is_the_zlib_format() -> None:
    response = answer(b"4hello " * 500)
    compress(response, "deflate", Compression())
    assert response.headers["content-encoding"] == "deflate"
    assert response.streamed
    assert zlib.decompress(response.body) == b"4hello " * 500


@pytest.mark.parametrize(("size", "compressed"), [(0, False), (1023, False), (1024, True), (1025, True)])
def test_the_threshold_counts_bytes(size: int, compressed: bool) -> None:
    response = answer(b"x" * size)
    compress(response, BROWSER, Compression())
    assert response.streamed is compressed
    assert ("content-encoding" in response.headers) is compressed
    assert (response.body == b"x" * size) is not compressed


def test_a_threshold_of_ones_own() -> None:
    response = answer(b"xxx")
    compress(response, BROWSER, Compression(threshold=3))
    assert gzip.decompress(response.body) == b"xxx"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_levels_of_ones_own(encoding: str) -> None:
    body = "".join(f"{n * n % 997} {n} " for n in range(5_000)).encode()

    def size(options: Compression) -> int:
        response = answer(body)
        compress(response, encoding, options)
        unpack = gzip.decompress if encoding == "gzip" else zlib.decompress
        assert unpack(response.body) == body
        return len(response.body)

    least, most = size(Compression(level=9)), size(Compression(level=0))
    assert least < size(Compression()) < len(body) < most
    assert least < size(Compression(level=9, mem_level=1))
    assert size(Compression(level=-1)) == size(Compression(level=6))


@pytest.mark.parametrize("accept_encoding", ["", "br", "identity", "gzip;q=0, deflate;q=0", "*;q=0"])
def test_a_client_that_takes_neither_gets_it_as_it_is(accept_encoding: str) -> None:
    response = answer(b"x" * 5000)
    compress(response, accept_encoding, Compression())
    assert (response.headers, response.body) == (answer(b"").headers, b"x" * 5000)
    assert not response.streamed


# Each row is what npm's accepts 1.3 answers to encodings(["gzip", "deflate"]).
@pytest.mark.parametrize(
    ("accept_encoding", "encoding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("GZip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("deflate, gzip", "deflate"),  # of equals the one named first
        ("br;q=1, deflate, gzip;q=0.5", "deflate"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip;q=0, *", "deflate"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("*;q=0, deflate;q=0.1", "deflate"),
        ("*, gzip;q=0.5", "deflate"),
        ("*, deflate", "deflate"),  # of equals the one with an entry of its own
        ("identity", None),
        ("identity;q=1, gzip;q=0.5", "gzip"),
        ("identity;q=0", None),
        ("br", None),
        ("x-gzip", None),
        ("gzip ; q=0.5 , deflate; q=0.9", "deflate"),
        ("gzip;level=1;q=0.2, deflate;q=0.3", "deflate"),
        ("gzip;;q=0.7, deflate", "deflate"),
        ("gzip;q=1.5, deflate", "gzip"),
        ("gzip;q=1e-3, deflate;q=.4", "deflate"),
        ("gzip;q=0.5x, deflate;q=0.4", "gzip"),
        ("gzip;q=-1", None),
        ("gzip;q=abc", None),
        ("gzip;q", None),
        ("gzip;q=", None),
        ("gzip;q =0", "gzip"),
        ("gzip;q=0, gzip;q=1", "gzip"),
        ("gzip deflate", None),
        (",,, gzip,", "gzip"),
        (";q=1", None),
    ],
)
def test_the_choice_is_the_official_servers(accept_encoding: str, encoding: str | None) -> None:
    assert preferred_encoding(accept_encoding) == encoding


entries = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["gzip", "deflate", "*", "identity", "br", " ", ""]),
        st.sampled_from(["", ";", " ; "]),
        st.sampled_from(
            ["", "q=0", "q=1", "q=0.5", "q=.", "q=+", "q=1e999", "q=nan", "q=inf", "q=-0", "x=y"]
        ),
    ),
)


@given(st.one_of(st.text(max_size=200), st.lists(entries, max_size=8).map(",".join)))
def test_any_header_gives_a_choice(accept_encoding: str) -> None:
    assert preferred_encoding(accept_encoding) in {"gzip", "deflate", None}


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "deflate"]))
def test_what_is_compressed_comes_back(body: bytes, encoding: str) -> None:
    response = answer(body)
    compress(response, encoding, Compression(threshold=0))
    assert response.headers["content-encoding"] == encoding
    # 32 more than the window size: zlib finds out by itself which of the two formats it is.
    assert zlib.decompress(response.body, 32 + 15) == body


@pytest.mark.parametrize("piece", [",", ";", "gzip,", "gzip;q=1,", "q=", " ", "1"])
def test_a_header_of_a_megabyte_is_not_looked_at(piece: str) -> None:
    before = preferred_encoding.cache_info()
    response = answer(b"x" * 5000)
    compress(response, "gzip," + piece * (1_000_000 // len(piece)), Compression())
    assert not response.streamed
    assert preferred_encoding.cache_info() == before


def test_the_longest_header_that_is_looked_at() -> None:
    header = "gzip".ljust(MAX_ACCEPT_ENCODING)
    for accept_encoding, compressed in ((header, True), (header + " ", False)):
        response = answer(b"x" * 5000)
        compress(response, accept_encoding, Compression())
        assert response.streamed is compressed
