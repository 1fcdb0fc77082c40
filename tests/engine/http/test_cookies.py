"""The expected values are those that npm's ``cookie`` 0.7 gives for engine.io's defaults and these options."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from http.cookies import SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.http.cookies import session_cookie
from socketeer.options import Cookie

SID = "ojIckSD2jqNzOqIrAGzL"
AT = datetime(2015, 10, 21, 9, 28, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        (Cookie(), "Path=/; HttpOnly; SameSite=Lax"),
        (Cookie(max_age=60), "Max-Age=60; Path=/; HttpOnly; SameSite=Lax"),
        (Cookie(max_age=0), "Max-Age=0; Path=/; HttpOnly; SameSite=Lax"),
        (Cookie(max_age=-1), "Max-Age=-1; Path=/; HttpOnly; SameSite=Lax"),
        (
            Cookie(domain="a.example", secure=True, max_age=3600),
            "Max-Age=3600; Domain=a.example; Path=/; HttpOnly; Secure; SameSite=Lax",
        ),
        (Cookie(path=None), "HttpOnly; SameSite=Lax"),
        (Cookie(path=""), "HttpOnly; SameSite=Lax"),
        (Cookie(domain=""), "Path=/; HttpOnly; SameSite=Lax"),
        (Cookie(path="/chat"), "Path=/chat; HttpOnly; SameSite=Lax"),
        (Cookie(http_only=False), "Path=/; SameSite=Lax"),
        (Cookie(same_site="strict"), "Path=/; HttpOnly; SameSite=Strict"),
        (Cookie(same_site="none", secure=True), "Path=/; HttpOnly; Secure; SameSite=None"),
        (Cookie(same_site=None), "Path=/; HttpOnly"),
        (Cookie(expires=AT), "Path=/; Expires=Wed, 21 Oct 2015 07:28:00 GMT; HttpOnly; SameSite=Lax"),
        (Cookie(partitioned=True), "Path=/; HttpOnly; Partitioned; SameSite=Lax"),
        (Cookie(priority="low"), "Path=/; HttpOnly; Priority=Low; SameSite=Lax"),
        (
            Cookie(path=None, expires=AT, secure=True, partitioned=True, priority="high"),
            "Expires=Wed, 21 Oct 2015 07:28:00 GMT; HttpOnly; Secure; Partitioned; Priority=High; SameSite=Lax",
        ),
    ],
)
def test_the_attributes_and_their_order(options: Cookie, attributes: str) -> None:
    assert session_cookie(options, SID) == f"io={SID}; {attributes}"


def test_a_name_of_ones_own() -> None:
    assert (session_cookie(Cookie(name="__Host-sid"), SID) or "").startswith(f"__Host-sid={SID}; ")


def test_an_id_is_escaped_as_javascript_does() -> None:
    assert (session_cookie(Cookie(), "abc-_D/é(") or "").startswith("io=abc-_D%2F%C3%A9(; ")
    assert (session_cookie(Cookie(), "a;b\r\nc, d") or "").startswith("io=a%3Bb%0D%0Ac%2C%20d; ")


def test_an_encoding_of_ones_own() -> None:
    options = Cookie(encode=lambda sid: f"node1.{sid.lower()}", path=None, http_only=False, same_site=None)
    assert session_cookie(options, "ABC") == "io=node1.abc"


@pytest.mark.parametrize(
    "encode",
    [
        lambda sid: f"{sid}; Domain=evil.example",
        lambda sid: f"{sid}\r\nX-Evil: 1",
        lambda sid: f"{sid}\xe9",
        lambda sid: sid.encode(),
        lambda _: None,
        lambda _: 1 / 0,
    ],
)
def test_an_encoding_that_gives_no_cookie(
    encode: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert session_cookie(Cookie(encode=encode), SID) is None
    (line,) = caplog.messages
    assert line.startswith("cookie.encode")
    assert SID not in line
    assert line.isprintable()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_id_can_add_an_attribute_or_a_header(sid: str) -> None:
    value = session_cookie(Cookie(), sid)
    assert value is not None
    assert value.isascii()
    assert value.isprintable()
    assert value.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Lax"]


def test_another_parser_reads_it() -> None:
    morsel = SimpleCookie(session_cookie(Cookie(secure=True), SID) or "")["io"]
    assert (morsel.value, morsel["path"], morsel["httponly"], morsel["secure"], morsel["samesite"]) == (
        SID,
        "/",
        True,
        True,
        "Lax",
    )
