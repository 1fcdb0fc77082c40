"""The expected values are those that npm's ``cookie`` 0.7 gives for engine.io's defaults and these options."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.http.cookies import session_cookie
from socketeer.options import Cookie

SID = "ojIckSD2jqNzOqIrAGzL"


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
    ],
)
def test_the_attributes_and_their_order(options: Cookie, attributes: str) -> None:
    assert session_cookie(options, SID) == f"io={SID}; {attributes}"


def test_a_name_of_ones_own() -> None:
    assert session_cookie(Cookie(name="__Host-sid"), SID).startswith(f"__Host-sid={SID}; ")


def test_an_id_is_escaped_as_javascript_does() -> None:
    assert session_cookie(Cookie(), "abc-_D/é(").startswith("io=abc-_D%2F%C3%A9(; ")
    assert session_cookie(Cookie(), "a;b\r\nc, d").startswith("io=a%3Bb%0D%0Ac%2C%20d; ")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_id_can_add_an_attribute_or_a_header(sid: str) -> None:
    value = session_cookie(Cookie(), sid)
    assert value.isascii()
    assert value.isprintable()
    assert value.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Lax"]


def test_another_parser_reads_it() -> None:
    morsel = SimpleCookie(session_cookie(Cookie(secure=True), SID))["io"]
    assert (morsel.value, morsel["path"], morsel["httponly"], morsel["secure"], morsel["samesite"]) == (
        SID,
        "/",
        True,
        True,
        "Lax",
    )
