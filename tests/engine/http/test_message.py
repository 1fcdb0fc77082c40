from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.http.message import MAX_QUERY_FIELDS, Request, Response


def request(query_string: str = "", headers: list[tuple[str, str]] | None = None) -> Request:
    return Request("GET", "/socket.io/", query_string, headers or [], "192.0.2.1", secure=False)


def test_headers_by_name() -> None:
    assert request(headers=[("host", "a.example"), ("origin", "http://b")]).headers == {
        "host": "a.example",
        "origin": "http://b",
    }


def test_repeated_headers_are_joined_in_order() -> None:
    repeated = [("origin", "http://a"), ("cookie", "x=1"), ("origin", "http://b"), ("cookie", "y=2")]
    assert request(headers=repeated).headers == {"origin": "http://a, http://b", "cookie": "x=1; y=2"}


def test_query_keeps_the_last_of_a_repeated_parameter() -> None:
    assert request("sid=a&EIO=4&sid=b").query == {"sid": "b", "EIO": "4"}


def test_query_keeps_blank_values() -> None:
    assert request("sid=&transport=polling").query == {"sid": "", "transport": "polling"}


def test_query_is_decoded() -> None:
    assert request("name=J%C3%BCrgen+M&%74=x").query == {"name": "Jürgen M", "t": "x"}


def test_as_many_query_fields_as_are_allowed() -> None:
    assert len(request("&".join(f"a{n}=1" for n in range(MAX_QUERY_FIELDS))).query) == MAX_QUERY_FIELDS


def test_one_query_field_more_is_refused() -> None:
    with pytest.raises(ValueError, match="fields"):
        _ = request("&".join("a=1" for _ in range(MAX_QUERY_FIELDS + 1))).query


@given(st.text(max_size=200))
def test_a_query_string_of_any_text_can_be_read(text: str) -> None:
    assert all(isinstance(value, str) for value in request(text).query.values())


def test_headers_and_query_are_read_once() -> None:
    asked = request("sid=a", [("host", "a.example")])
    assert asked.headers is asked.headers
    assert asked.query is asked.query


async def test_a_body_that_came_with_its_request_is_one_piece() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"in "
        yield b"pieces"

    asked = request()
    assert [piece async for piece in asked.pieces()] == []
    asked.body = body
    assert [piece async for piece in asked.pieces()] == [b"in ", b"pieces"]
    asked.body, asked.whole = None, b"whole"
    assert [piece async for piece in asked.pieces()] == [b"whole"]


def test_url_has_the_query_string_if_there_is_one() -> None:
    assert request("EIO=4&transport=polling").url == "/socket.io/?EIO=4&transport=polling"
    assert request().url == "/socket.io/"


def test_each_request_is_itself_only() -> None:
    assert request() != request()
    assert len({request(), request()}) == 2


def test_a_response_begins_empty() -> None:
    first, second = Response(200), Response(200)
    assert (first.headers, first.body, first.streamed) == ({}, b"", False)
    assert first.headers is not second.headers


def test_a_settled_request_forgets_what_can_be_made_again() -> None:
    request = Request("GET", "/socket.io/", "EIO=4&a=1&a=2", [("host", "x")], "192.0.2.7", False, whole=b"")
    assert (request.fields, request.params["a"], request.repeated) == ({"host": "x"}, "2", frozenset({"a"}))
    given = request.headers
    given["x-user"] = "mary"  # an application's own
    assert request.fields == {"host": "x"}
    request.settle()
    request.settle()
    assert (request.body, request.disconnected, request.whole) == (None, None, None)
    assert request.headers is given
    assert request.query == {"EIO": "4", "a": "2"}
    assert request.repeated == {"a"}
    assert request.scope == {}
    assert request.with_header("origin", "null").fields == {"host": "x", "origin": "null"}


def test_a_request_says_what_it_asks_for() -> None:
    assert repr(request()) == "<Request GET '/socket.io/'>"
