"""Answers as bytes, as uvicorn writes them."""

from __future__ import annotations

import pytest

from socketeer.engine.http.message import Response
from socketeer.integrations.http_answer import encode_answer, encode_refusal

COMMON = [(b"date", b"today")]


def test_an_answer() -> None:
    answer = Response(200, {"Content-Type": "text/plain", "set-cookie": "io=1"}, b"ok")
    assert encode_answer(answer, COMMON, True) == (
        b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-type: text/plain\r\nset-cookie: io=1\r\ncontent-length: 2\r\n\r\nok",
        True,
    )


def test_no_content() -> None:
    assert encode_answer(Response(204), [], True) == (b"HTTP/1.1 204 No Content\r\n\r\n", True)


def test_the_last_answer_says_so() -> None:
    assert encode_answer(Response(299), [], False) == (
        b"HTTP/1.1 299 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        False,
    )
    said = Response(400, {"connection": "x, Close"})
    assert encode_answer(said, [], True) == (
        b"HTTP/1.1 400 Bad Request\r\nconnection: x, Close\r\ncontent-length: 0\r\n\r\n",
        False,
    )


def test_in_chunks() -> None:
    data, _ = encode_answer(Response(200, {}, b"x" * 20, streamed=True), [], True)
    assert (
        data == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n"
    )
    data, _ = encode_answer(Response(200, streamed=True), [], True)
    assert data.endswith(b"\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "header", [("a", "b\r\nc: d"), ("a\r\n", "b"), ("a b", "c"), ("a", "\x00"), ("a", "\u20ac")]
)
def test_what_is_no_header_is_not_sent(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of two kinds
        encode_answer(Response(200, dict([header])), [], True)


def test_a_refusal() -> None:
    assert encode_refusal(403, b"no", "today") == (
        b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: 2\r\n"
        b"Date: today\r\n\r\nno"
    )
