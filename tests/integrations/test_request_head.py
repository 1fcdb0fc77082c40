"""The head of an ordinary request is read in one go; whatever is not ordinary is left to the full parser."""

from __future__ import annotations

import contextlib

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from socketeer.integrations import request_head
from socketeer.integrations.request_head import HeadReader, RequestHead, Target, is_plain

START = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"
TARGET = Target("/socket.io")


def read(data: bytes) -> RequestHead | None:
    return HeadReader(TARGET).read(data)


def test_what_is_read() -> None:
    head = read(START + b"Host: a:1\r\nX-One:1\r\nConnection: close\r\n\r\nrest")
    assert head is not None
    assert (head.method, head.query) == ("GET", "EIO=4&transport=polling")
    assert head.fields.pairs == (("host", "a:1"), ("x-one", "1"), ("connection", "close"))
    assert (head.fields.length, head.fields.keep_alive, head.fields.upgrade) == (0, False, False)


def test_where_the_body_begins() -> None:
    data = START.replace(b"GET", b"POST") + b"Host: a\r\nContent-Length: 3\r\n\r\nabcGET"
    head = read(data)
    assert head is not None
    assert data[head.body : head.body + head.fields.length] == b"abc"


def test_known_lines_are_not_read_again() -> None:
    reader = HeadReader(TARGET)
    first, second = (reader.read(START + b"Host: a\r\n\r\n") for _ in range(2))
    third = reader.read(START + b"Host: b\r\n\r\n")
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.fields is second.fields
    assert third.fields.headers == {"host": "b"}


STAMPED = b"GET /socket.io/?EIO=4&t=%b&sid=x HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_head_with_another_stamp_is_the_same() -> None:
    reader = HeadReader(TARGET)
    first = reader.read(STAMPED % b"1")
    assert first is not None
    for stamp in (b"1", b"abc", b"P-8_.z", b"x" * 64, b"1"):
        data = STAMPED % stamp
        head = reader.read(data + b"rest")
        assert head is not None
        assert head is first
        assert (head.body, head.end) == (len(data), len(data))
        assert head.query == f"EIO=4&t={stamp.decode()}&sid=x"


@pytest.mark.parametrize(
    "stamp", [b"", b"%41", b"a=b", b"a&t=b", b"x" * 65, b"a&sid=y", b"a#", b"a b", b"\xe9", b"a+"]
)
def test_what_is_no_stamp_is_read_anew(stamp: bytes) -> None:
    reader = HeadReader(TARGET)
    first = reader.read(STAMPED % b"1")
    head, expected = reader.read(STAMPED % stamp), read(STAMPED % stamp)
    assert head is not first
    assert (head is None) is (expected is None)
    if head is not None and expected is not None:
        assert (head.query, head.fields.pairs) == (expected.query, expected.fields.pairs)


def test_names_are_not_remembered_for_ever() -> None:
    for number in range(1000):
        read(START + b"X-%d: 1\r\n\r\n" % number)
    assert len(request_head._names) <= request_head._MAX_NAMES
    assert read(START + b"X-Late: 1\r\n\r\n") is not None


@pytest.mark.parametrize("path", ["/socket.io", "/a/b-c_d~e"])
def test_plain_paths(path: str) -> None:
    assert is_plain(path)


@pytest.mark.parametrize("path", ["", "/", "/a b", "/a/", "/\u00e9", "/a?", "/a%20", "a"])
def test_paths_that_are_escaped(path: str) -> None:
    assert not is_plain(path)


class Parsed:
    """What the full parser says."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[str, str]] = []
        self.complete = False
        parser = httptools.HttpRequestParser(self)
        self._parser = parser
        with contextlib.suppress(httptools.HttpParserUpgrade):
            parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.complete = True
        self.method: bytes = self._parser.get_method()
        self.keep_alive: bool = self._parser.should_keep_alive()


_PIECES = [
    *(
        b"GET ",
        b"POST ",
        b"/socket.io/?",
        b"EIO=4",
        b"GET /socket.io/?EIO=4&t=",
        b"&sid=x",
        b"&sid=x HTTP/1.1\r\nHost: a",
        b"#",
        b" ",
        b"  ",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b"\r\n",
        b"\r",
        b"\n",
    ),
    *(
        b"\r\n\r\n",
        b"Host",
        b":",
        b": ",
        b"a",
        b"\t",
        b"\x00",
        b"\xe9",
        b"Content-Length: 1",
        b"Content-Length: +1",
    ),
    *(
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: upgrade",
        b"=",
    ),
    *(
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"\x7f",
    ),
]


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map(b"".join), st.sampled_from([b"GET", b"POST"]))
@example(b"Host: a\r\n b", b"GET")
@example(b"Host : a", b"GET")
@example(b"Connection: close\r\nConnection: keep-alive", b"GET")
def test_what_is_read_the_full_parser_reads_alike(lines: bytes, method: bytes) -> None:
    for data in (
        method + START[3:] + lines + b"\r\n\r\n",
        lines + b"\r\n\r\n",
        method + START[3:-2] + lines + b"\r\n\r\n",
    ):
        reader = HeadReader(TARGET)
        reader.read(STAMPED % b"1")
        head = reader.read(data)
        assert (head is None) is (read(data) is None)
        if head is None:
            continue
        parsed = Parsed(data[: head.body])
        assert parsed.complete
        assert parsed.url == b"/socket.io/?" + head.query.encode()
        assert parsed.method.decode() == head.method
        assert tuple(parsed.headers) == head.fields.pairs
        if not head.fields.upgrade:
            assert parsed.keep_alive is head.fields.keep_alive


def test_clients_share_equal_lines_but_no_secrets() -> None:
    request_head._lines.clear()  # it begins anew when it is full of what other tests have sent
    lines = b"Host: a:1\r\nCookie: sid=secret\r\nSec-WebSocket-Protocol: x\r\n\r\n"
    one, other = read(START + lines), read(START + lines)
    assert one is not None
    assert other is not None
    shared = [mine is yours for mine, yours in zip(one.fields.pairs, other.fields.pairs, strict=True)]
    assert shared == [True, False, True]


def test_what_is_shared_has_an_end() -> None:
    for number in range(2000):
        assert read(START + b"Host: a\r\nX-Own: %d\r\n\r\n" % number) is not None
    assert len(request_head._lines) <= 512
    assert read(START + b"Host: a\r\nX-Own: " + b"x" * 600 + b"\r\n\r\n") is not None
    assert max(map(len, request_head._lines)) <= 512


HANDSHAKE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\nOrigin: http://a\r\n\r\n"
)
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    "key",
    [
        *(KEY, b"A+/9" * 5 + b"AA==", b"", b"A" * 24, b"A" * 22 + b"=", b"A" * 23 + b"==", b" " + KEY[1:]),
        *(
            b"=" * 24,
            KEY + b" ",
            KEY + b"\r\nX: 1",
            b"AAAA\r\nX: AAAAAAAAAAAA==",
            b"\xe9" * 24,
            b"A" * 21 + b"_==",
        ),
    ],
)
@pytest.mark.parametrize("last", [b"\r\nX-Last: 1", b""])
def test_a_handshake_that_is_known_but_for_its_key(key: bytes, last: bytes) -> None:
    """It is read as it would be by who sees it for the first time."""

    def told() -> object:
        head = read((HANDSHAKE % key).replace(b"\r\n\r\n", last + b"\r\n\r\n"))
        if head is None:
            return None
        fields = head.fields
        flags = fields.length, fields.keep_alive, fields.upgrade, fields.forwarded
        return list(fields.headers.items()), fields.pairs, flags, head.query, head.end

    request_head._handshakes.clear()
    at_first = told()
    read((HANDSHAKE % b"AAAAAAAAAAAAAAAAAAAAAA==").replace(b"\r\n\r\n", last + b"\r\n\r\n"))
    assert request_head._handshakes
    assert told() == at_first
    assert (at_first is None) is (key not in {KEY, b"A+/9" * 5 + b"AA==", KEY + b"\r\nX: 1"})


@pytest.mark.parametrize(
    "line",
    [
        b"Cookie: a=b",
        b"Authorization: Basic x",
        b"X-Forwarded-For: 192.0.2.1",
        b"X-Real-IP: 192.0.2.1",
        b"X-Api-Key: x",
    ],
)
def test_no_block_is_kept_that_says_who_somebody_is(line: bytes) -> None:
    request_head._blocks.clear()
    request_head._handshakes.clear()
    assert read(START + line + b"\r\n\r\n") is not None
    assert read((HANDSHAKE % KEY).replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")) is not None
    assert (request_head._blocks, request_head._handshakes) == ({}, {})


def test_no_handshake_is_kept_with_its_key() -> None:
    request_head._blocks.clear()
    request_head._handshakes.clear()
    assert read((HANDSHAKE % KEY).replace(b"Sec-WebSocket-Key", b"sec-websocket-key")) is not None
    assert (request_head._blocks, request_head._handshakes) == ({}, {})


def test_what_is_kept_of_blocks_has_an_end() -> None:
    for number in range(300):
        assert read(START + b"X-Own: %d\r\n\r\n" % number) is not None
        assert read((HANDSHAKE % KEY).replace(b"Host: a", b"Host: a%d" % number)) is not None
    assert 0 < len(request_head._blocks) <= request_head._MAX_BLOCKS
    assert 0 < len(request_head._handshakes) <= request_head._MAX_BLOCKS
    assert read(START + b"X-Own: " + b"x" * 1100 + b"\r\n\r\n") is not None
    assert max(map(len, request_head._blocks)) <= 1024
