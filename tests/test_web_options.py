"""Which other origins may talk to the server, and the cookie: defaults, what is put right, what is refused."""

from __future__ import annotations

import logging
import re
from dataclasses import fields
from datetime import datetime
from typing import Any

import pytest

from socketeer.errors import OptionError
from socketeer.options import EngineOptions
from socketeer.web_options import Cookie, Cors


def given(group: Any) -> dict[str, Any]:
    return {field.name: getattr(group, field.name) for field in fields(group)}


def test_the_defaults_of_cors() -> None:
    assert given(Cors()) == {
        "origin": "*",
        "methods": ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"),
        "allowed_headers": None,
        "exposed_headers": None,
        "credentials": False,
        "max_age": None,
        "options_success_status": 204,
    }


def test_the_defaults_of_the_cookie() -> None:
    assert given(Cookie()) == {
        "name": "io",
        "path": "/",
        "http_only": True,
        "same_site": "lax",
        "secure": False,
        "domain": None,
        "max_age": None,
        "expires": None,
        "partitioned": False,
        "priority": None,
        "encode": None,
    }


# --- cors --------------------------------------------------------------------------------------


def test_an_origin_with_a_slash_is_compared_without_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "socketeer"):
        cors = Cors("http://localhost:5174/", methods=["GET", "POST"], credentials=True)
        EngineOptions(cors=cors)
    assert cors.origin == "http://localhost:5174"
    assert len(caplog.records) == 1
    assert "'http://localhost:5174/'" in caplog.text


def test_the_slashes_of_a_list_go_too(caplog: pytest.LogCaptureFixture) -> None:
    pattern = re.compile("/$")
    assert Cors(["http://a/", "http://b", pattern]).origin == ("http://a", "http://b", pattern)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("origin", ["file://", "null", "*", "http://localhost:5174"])
def test_other_origins_stay_as_they_are(origin: str, caplog: pytest.LogCaptureFixture) -> None:
    assert Cors(origin).origin == origin
    assert caplog.records == []


def test_a_star_in_a_list_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    Cors(["http://a", "*"])
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("origin", [True, False, re.compile("x"), bool])
def test_other_rules_stay_as_they_are(origin: Any) -> None:
    assert Cors(origin).origin is origin


@pytest.mark.parametrize(
    "origin",
    [
        None,
        5,
        b"http://a",
        re.compile(b"http://a"),
        [b"http://a"],
        [re.compile(b"x")],
        [None],
        [["http://a"]],
        "http://a, http://b",
        "http://a http://b",
        "http://a\r\nx: y",
        ["http://a,http://b"],
        "http://bücher.example",
    ],
)
def test_what_is_no_origin_is_refused(origin: Any) -> None:
    with pytest.raises(OptionError, match=r"^cors\.origin: expected "):
        Cors(origin)


@pytest.mark.parametrize("option", ["methods", "allowed_headers", "exposed_headers"])
def test_names_may_be_a_string_or_a_list(option: str) -> None:
    for value in ("X-A, X-B", ["X-A", " X-B "], ("X-A", "X-B", "")):
        assert getattr(Cors(**{option: value}), option) == ("X-A", "X-B")  # type: ignore[arg-type]
    assert getattr(Cors(**{option: []}), option) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["methods", "allowed_headers", "exposed_headers"])
@pytest.mark.parametrize("value", ["X A", ["X-A\r\nx: y"], ["X-Ä"], ["a,b"], "a;b"])
def test_names_are_tokens(option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=rf"^cors\.{option}: expected "):
        Cors(**{option: value})


@pytest.mark.parametrize("value", ["600", 1.5, True])
def test_max_age_is_a_whole_number(value: Any) -> None:
    with pytest.raises(OptionError, match=r"^cors\.max_age: expected "):
        Cors(max_age=value)
    with pytest.raises(OptionError, match=r"^cookie\.max_age: expected "):
        Cookie(max_age=value)
    assert Cors(max_age=0).max_age == 0
    assert Cookie(max_age=-1).max_age == -1


# --- the cookie --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "ä", "a\r\n", None])
def test_a_cookies_name_is_a_token(name: Any) -> None:
    with pytest.raises(OptionError, match=r"^cookie\.name: expected "):
        Cookie(name=name)


@pytest.mark.parametrize("attribute", ["path", "domain"])
@pytest.mark.parametrize("value", ["/; Secure", "/\r\nx: y", "/a b", "/a,b", "/ä", "/\x7f", 5, False])
def test_a_cookies_attributes_cannot_break_out(attribute: str, value: Any) -> None:
    with pytest.raises(OptionError, match=rf"^cookie\.{attribute}: expected "):
        Cookie(**{attribute: value})


@pytest.mark.parametrize("value", ["Lax", "", "any", True])
def test_same_site_is_one_of_three(value: Any) -> None:
    with pytest.raises(OptionError, match=r"^cookie\.same_site: expected .*'strict'"):
        Cookie(same_site=value)


@pytest.mark.parametrize(
    "attribute",
    [
        {"expires": "tomorrow"},
        {"expires": 3600},
        {"expires": datetime(2030, 1, 1)},  # noqa: DTZ001 - of no time zone, which is what is refused
        {"priority": "highest"},
        {"priority": 1},
        {"encode": "base64"},
    ],
)
def test_other_attributes_of_the_cookie(attribute: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=rf"^cookie\.{next(iter(attribute))}: expected .*, got "):
        Cookie(**attribute)


@pytest.mark.parametrize("status", [199, 300, 404, "204", 204.0, None, True])
def test_the_status_of_a_preflight(status: Any) -> None:
    with pytest.raises(
        OptionError, match=r"^cors\.options_success_status: expected a whole number from 200 to 299"
    ):
        Cors(options_success_status=status)
