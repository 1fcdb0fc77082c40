from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.http.cors import MAX_ORIGIN, ChosenCorsPolicy, CorsFailed, CorsPolicy, cors_policy
from socketeer.engine.http.message import Request
from socketeer.options import Cors, CorsFunction, OriginRule

A = "http://a.example"
SUB = "http://x.b.example"
EVIL = "http://evil.example"

ANYWHERE = [A, "https://a.example:8443", "null", "capacitor://localhost", "http://[::1]:5174"]
MALFORMED = [
    "",
    "http://a.example, http://a.example",
    "http://a.example http://b.example",
    "http://a.example\r\nx: y",
    "http://a.example\x00",
    "http://b\xfccher.example",
    "http://" + "a" * MAX_ORIGIN,
]


def ask(
    origin: str | None = None,
    method: str = "GET",
    *,
    host: str = "server.example",
    secure: bool = False,
    headers: dict[str, str] | None = None,
) -> Request:
    raw = [("host", host)]
    if origin is not None:
        raw.append(("origin", origin))
    raw.extend((headers or {}).items())
    return Request(method, "/socket.io/", "EIO=4&transport=polling", raw, "192.0.2.1", secure=secure)


def policy(origin: OriginRule) -> CorsPolicy:
    return CorsPolicy(Cors(origin))


# --- who may come in ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", [None, Cors(A), Cors([]), Cors(False), Cors(lambda _: False)])
async def test_a_request_without_an_origin_may_come_in(options: Cors | None) -> None:
    assert await CorsPolicy(options).allows(ask())


@pytest.mark.parametrize("rule", ["*", True])
@pytest.mark.parametrize("origin", ANYWHERE)
async def test_any_origin(rule: OriginRule, origin: str) -> None:
    assert await policy(rule).allows(ask(origin))


@pytest.mark.parametrize("origin", MALFORMED)
async def test_a_malformed_origin_is_allowed_by_a_star_alone(origin: str) -> None:
    assert await policy("*").allows(ask(origin))
    rules: list[OriginRule] = [True, A, [A, re.compile("")], re.compile(""), lambda _: True]
    for rule in rules:
        assert not await policy(rule).allows(ask(origin))
        if rule != A:
            assert "access-control-allow-origin" not in await policy(rule).headers(ask(origin))


async def test_several_origin_headers_are_malformed() -> None:
    assert not await policy(A).allows(ask(A, headers={"origin": A}))


@pytest.mark.parametrize(
    ("rule", "origin", "allowed"),
    [
        (A, A, True),
        (A, "HTTP://A.Example", True),
        ("http://A.EXAMPLE", A, True),
        ("http://localhost:5174/", "http://localhost:5174", True),  # the tutorial writes it so
        (A, EVIL, False),
        (A, "https://a.example", False),
        (A, "http://a.example:8080", False),
        (A, "http://a.example.evil.example", False),
        (A, "http://evil.example/http://a.example", False),
        (A, "null", False),
        ([A, re.compile(r"\.b\.example$")], A, True),
        ([A, re.compile(r"\.b\.example$")], SUB, True),
        ([A, re.compile(r"\.b\.example$")], "http://x.b.example.evil.example", False),
        ([A, re.compile(r"\.b\.example$")], EVIL, False),
        ({A, SUB}, SUB, True),
        ([], A, False),
        (["*"], A, False),  # as in the official server
        (re.compile("b\\.example"), SUB, True),  # found anywhere in it, as JavaScript's test() does
        (re.compile("b\\.example"), A, False),
        (re.compile(".*"), "null", False),
        ("null", "null", True),
        (["null"], "null", True),
        (False, A, False),
        ("", A, False),
    ],
)
async def test_the_rule_decides(rule: OriginRule, origin: str, allowed: bool) -> None:
    cors = policy(rule)
    assert [await cors.allows(ask(origin)) for _ in range(2)] == [allowed, allowed]


async def test_without_the_option_no_other_origin_may_come_in() -> None:
    for origin in [*ANYWHERE, *MALFORMED, "http://server.example.evil.example", "http://server.example:8080"]:
        assert not await CorsPolicy(None).allows(ask(origin))


# --- same origin -------------------------------------------------------------------------------

# Each row: what the page's origin is, and the Host headers of requests to it.
OWN = {
    "http://localhost:3004": ["localhost:3004", "LocalHost:3004"],
    "http://server.example": ["server.example", "Server.Example", "Server.Example:80", "server.example:"],
    "http://server.example:80": ["server.example"],
    "https://server.example": ["server.example", "server.example:443"],  # a proxy has ended TLS
    "http://[::1]:3004": ["[::1]:3004"],
    "http://[::1]": ["[::1]", "[::1]:80"],
}
OTHER = {
    "http://localhost:5174": ["localhost:3004", "localhost", "5174", ""],
    "http://server.example": ["server.example:3004", "example", "a.server.example", "server.example, a"],
    "http://server.example:3004": ["server.example", "server.example:443"],
    "http://server.example@evil.example": ["server.example"],
    "http://[::1]:5174": ["[::1]:3004", "[::1]", "[::2]:5174"],
    "capacitor://localhost": ["localhost"],
    "file://": ["", ":80"],
    "http://": ["", ":80"],
    "http:localhost": ["localhost"],
    "localhost": ["localhost"],
    "null": ["null"],
    "http://a, b": ["a, b"],
}


@pytest.mark.parametrize("options", [None, Cors(A), Cors(False), Cors(lambda _: False)])
async def test_the_servers_own_pages_may_come_in(options: Cors | None) -> None:
    for origin, hosts in OWN.items():
        for host in hosts:
            assert await CorsPolicy(options).allows(ask(origin, host=host)), (origin, host)


async def test_another_port_or_host_is_another_origin() -> None:
    for origin, hosts in OTHER.items():
        for host in hosts:
            assert not await CorsPolicy(None).allows(ask(origin, host=host)), (origin, host)


async def test_over_tls_the_servers_port_is_443() -> None:
    assert await CorsPolicy(None).allows(ask("https://server.example", secure=True))
    assert not await CorsPolicy(None).allows(ask("http://server.example", secure=True))


async def test_behind_a_proxy_the_forwarded_host_counts() -> None:
    async def allows(forwarded: str) -> bool:
        headers = {"x-forwarded-host": forwarded}
        return await CorsPolicy(None).allows(
            ask("https://chat.example", host="10.0.0.7:3004", headers=headers)
        )

    for own in ("chat.example", "Chat.Example:443", "chat.example, inner.example"):
        assert await allows(own), own
    for other in ("", ",", "inner.example", "inner.example, chat.example", "chat.example:8443"):
        assert not await allows(other), other


async def test_a_request_without_host_is_answered() -> None:
    request = Request("GET", "/", "", [("origin", A)], "", secure=False)
    assert not await CorsPolicy(None).allows(request)


# --- callables ---------------------------------------------------------------------------------


async def later(origin: str) -> bool:
    return origin == A


@pytest.mark.parametrize("rule", [lambda origin: origin == A, later])
async def test_a_callable_decides(rule: Callable[[str], bool | Awaitable[bool]]) -> None:
    cors = policy(rule)
    assert await cors.allows(ask(A))
    assert not await cors.allows(ask(EVIL))
    assert await cors.headers(ask(A)) == {"access-control-allow-origin": A, "vary": "Origin"}
    assert await cors.headers(ask(EVIL)) == {}
    assert await cors.preflight(ask(EVIL, "OPTIONS")) is None


async def test_a_callable_is_asked_once_per_request() -> None:
    asked: list[str] = []

    def rule(origin: str) -> bool:
        asked.append(origin)
        return True

    cors = policy(rule)
    for request in (ask(A), ask(A)):
        assert await cors.allows(request)
        await cors.headers(request)
        await cors.preflight(request)
    assert asked == [A, A]


async def test_a_callable_is_asked_about_other_origins_only() -> None:
    asked: list[str] = []
    cors = policy(asked.append)  # type: ignore[arg-type]
    assert await cors.allows(ask())
    assert await cors.allows(ask("http://server.example"))
    for origin in MALFORMED:
        assert not await cors.allows(ask(origin))
    assert await cors.headers(ask()) == {"vary": "Origin"}
    assert asked == []


async def test_decisions_go_with_their_requests() -> None:
    cors = policy(lambda _: True)
    for _ in range(10):
        await cors.allows(ask(A))
    assert len(cors._asked) == 0


YES = [A, "*", [A], re.compile("a\\.example$"), re.match("h", A)]
NO = ["http://other.example", ["http://other.example"], re.compile("other"), b"http://other.example", None, 0]


@pytest.mark.parametrize("answered", [*YES, *NO])
async def test_what_else_a_callable_may_answer(answered: Any) -> None:
    # npm's callables may answer with a rule: such an answer must not pass for "yes".
    assert await policy(lambda _: answered).allows(ask(A)) is (answered in YES)


async def test_a_callable_that_fails_refuses_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def rule(origin: str) -> bool:
        raise LookupError("no database")

    cors = policy(rule)
    with caplog.at_level(logging.ERROR, "socketeer"):
        for _ in range(3):
            assert not await cors.allows(ask(A))
            assert await cors.headers(ask(A)) == {}
    assert len(caplog.records) == 1
    assert "no database" in caplog.text


# --- the headers, as npm's cors 2.8 answers the same requests -------------------------------------

ALL_METHODS = {"access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE"}
CREDENTIALS = {"access-control-allow-credentials": "true"}
ANY = {"access-control-allow-origin": "*"}
FIXED = {"access-control-allow-origin": A, "vary": "Origin"}
NOBODY = {"vary": "Origin"}
FULL = Cors(A, ["GET", "POST"], ["x-one", "x-two"], ["X-A", "X-B"], credentials=True, max_age=600)
FULL_COMMON = CREDENTIALS | {"access-control-expose-headers": "X-A,X-B"}
LIST = Cors([A, re.compile(r"\.b\.example$")], credentials=True)


@pytest.mark.parametrize(
    ("options", "origin", "expected"),
    [
        (None, A, {}),
        (Cors(), None, ANY),
        (Cors(), A, ANY),
        (Cors(), "null", ANY),
        (Cors(), "http://a, http://b", ANY),
        (Cors(credentials=True), A, ANY | CREDENTIALS),
        (Cors(A), None, FIXED),
        (Cors(A), A, FIXED),
        (Cors(A), EVIL, FIXED),
        (Cors(A), "null", FIXED),
        (Cors("http://A.Example"), A, FIXED),  # the browser compares byte by byte
        (FULL, A, FIXED | FULL_COMMON),
        (FULL, EVIL, FIXED | FULL_COMMON),
        (LIST, None, NOBODY | CREDENTIALS),
        (LIST, A, FIXED | CREDENTIALS),
        (LIST, SUB, {"access-control-allow-origin": SUB, "vary": "Origin"} | CREDENTIALS),
        (LIST, EVIL, NOBODY | CREDENTIALS),
        (Cors([]), A, NOBODY),
        (Cors(["*"]), A, NOBODY),
        (Cors(re.compile("b\\.example")), SUB, {"access-control-allow-origin": SUB, "vary": "Origin"}),
        (Cors(re.compile("b\\.example")), A, NOBODY),
        (Cors(True), None, NOBODY),
        (Cors(True), EVIL, {"access-control-allow-origin": EVIL, "vary": "Origin"}),
        (Cors(True), "null", {"access-control-allow-origin": "null", "vary": "Origin"}),
        (Cors(False), A, {}),
        (Cors(""), A, {}),
        (Cors(lambda _: True), A, FIXED),
        (Cors(lambda _: False), A, {}),
    ],
)
async def test_the_headers(options: Cors | None, origin: str | None, expected: dict[str, str]) -> None:
    assert await CorsPolicy(options).headers(ask(origin)) == expected


async def test_the_headers_are_the_callers_own() -> None:
    cors = CorsPolicy(FULL)
    first = await cors.headers(ask(A))
    first["x"] = "y"
    assert "x" not in await cors.headers(ask(A))


REQUESTED = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-a"}
VARY_BOTH = {"vary": "Origin, Access-Control-Request-Headers"}
VARY_HEADERS = {"vary": "Access-Control-Request-Headers"}
REPEATED = {"access-control-allow-headers": "content-type,x-a"}
FULL_PREFLIGHT = {
    "access-control-allow-methods": "GET,POST",
    "access-control-allow-headers": "x-one,x-two",
    "access-control-max-age": "600",
}


@pytest.mark.parametrize(
    ("options", "origin", "requested", "expected"),
    [
        (Cors(), None, {}, ANY | ALL_METHODS | VARY_HEADERS),
        (Cors(), A, REQUESTED, ANY | ALL_METHODS | VARY_HEADERS | REPEATED),
        (Cors(A), A, REQUESTED, FIXED | ALL_METHODS | VARY_BOTH | REPEATED),
        (Cors(A), EVIL, {}, FIXED | ALL_METHODS | VARY_BOTH),
        (LIST, A, REQUESTED, FIXED | ALL_METHODS | CREDENTIALS | VARY_BOTH | REPEATED),
        (LIST, EVIL, {}, ALL_METHODS | CREDENTIALS | VARY_BOTH),
        (Cors(max_age=0), A, {}, ANY | ALL_METHODS | VARY_HEADERS | {"access-control-max-age": "0"}),
        (Cors(allowed_headers=[]), A, REQUESTED, ANY | ALL_METHODS),
        (Cors(methods=[]), A, {}, ANY | VARY_HEADERS),
        (FULL, A, REQUESTED, FIXED | FULL_COMMON | FULL_PREFLIGHT),
    ],
)
async def test_the_answer_to_a_preflight(
    options: Cors, origin: str | None, requested: dict[str, str], expected: dict[str, str]
) -> None:
    response = await CorsPolicy(options).preflight(ask(origin, "OPTIONS", headers=requested))
    assert response is not None
    assert (response.status, response.body, response.streamed) == (204, b"", False)
    assert response.headers == expected


async def test_a_preflight_with_another_status() -> None:
    response = await CorsPolicy(Cors(A, options_success_status=200)).preflight(ask(A, "OPTIONS"))
    assert response is not None
    assert (response.status, response.body, response.streamed) == (200, b"", False)


async def test_there_is_no_preflight_with_cors_off_or_by_another_method() -> None:
    for options in (None, Cors(False), Cors("")):
        assert await CorsPolicy(options).preflight(ask(A, "OPTIONS")) is None
    for method in ("GET", "POST", "HEAD", "PUT", "OPTION", ""):
        assert await CorsPolicy(Cors()).preflight(ask(A, method)) is None


@pytest.mark.parametrize("requested", ["", "x\r\ny: z", "x-\xe4", "x" * 5000])
async def test_what_cannot_stand_in_a_header_is_not_repeated(requested: str) -> None:
    headers = {"access-control-request-headers": requested}
    response = await policy("*").preflight(ask(A, "OPTIONS", headers=headers))
    assert response is not None
    assert "access-control-allow-headers" not in response.headers


# --- rules for each request ----------------------------------------------------------------------


def chosen(choose: CorsFunction) -> ChosenCorsPolicy:
    policy = cors_policy(choose)
    assert isinstance(policy, ChosenCorsPolicy)
    return policy


async def by_host_later(request: Request) -> Any:
    await asyncio.sleep(0)
    return by_host(request)


def by_host(request: Request) -> Any:
    hosts = {
        "open.example": {},
        "a.example": Cors(A, credentials=True),
        "off.example": None,
        "no.example": False,
    }
    return hosts[request.headers["host"]]


@pytest.mark.parametrize("choose", [by_host, by_host_later])
async def test_a_function_chooses_for_each_request(choose: CorsFunction) -> None:
    cors = chosen(choose)
    for host, options in {"open.example": Cors(), "a.example": Cors(A, credentials=True)}.items():
        fixed = CorsPolicy(options)
        for request in (ask(A, host=host), ask(EVIL, host=host), ask(None, host=host)):
            assert await cors.allows(request) is await fixed.allows(request)
            assert await cors.headers(request) == await fixed.headers(request)
            assert await cors.preflight(request) is None
        found, expected = [await policy.preflight(ask(A, "OPTIONS", host=host)) for policy in (cors, fixed)]
        assert found is not None
        assert expected is not None
        assert (found.status, found.headers) == (expected.status, expected.headers)
    for host in ("off.example", "no.example"):
        assert not await cors.allows(ask(A, host=host))
        assert await cors.allows(ask(f"http://{host}", host=host)), "the same origin"
        assert await cors.headers(ask(A, host=host)) == {}
        assert await cors.preflight(ask(A, "OPTIONS", host=host)) is None


async def test_the_function_is_called_once_for_each_request() -> None:
    asked: list[Request] = []
    cors = chosen(asked.append)

    async def question() -> Request:
        request = ask(A)
        await cors.allows(request)
        await cors.headers(request)
        return request

    assert [await question(), await question()] == asked
    asked.clear()
    gc.collect()
    assert len(cors._chosen) == 0


async def fail(request: Request) -> Any:
    raise LookupError("no\ndatabase")


WRONG: list[Any] = [fail, lambda _: A, lambda _: 7, lambda _: {"origins": A}, lambda _: Cors, lambda: None]


@pytest.mark.parametrize("choose", WRONG)
async def test_a_function_that_fails_refuses_and_is_logged_once(
    choose: CorsFunction, caplog: pytest.LogCaptureFixture
) -> None:
    cors = chosen(choose)
    for origin in (A, None, "http://server.example"):
        with pytest.raises(CorsFailed):
            await cors.allows(ask(origin))
        assert await cors.headers(ask(origin)) == {}
        assert await cors.preflight(ask(origin, "OPTIONS")) is None
    (line,) = caplog.messages
    assert line.startswith("cors: the function failed")
    assert line.isprintable()


# --- hostile input -----------------------------------------------------------------------------


async def test_the_memory_of_verdicts_is_bounded() -> None:
    cors = policy([A])
    for number in range(2000):
        assert not await cors.allows(ask(f"http://{number}.evil.example"))
    assert await cors.allows(ask(A))
    assert cors._permits.cache_info().currsize == 256


async def test_an_endless_origin_is_not_remembered() -> None:
    cors = policy([A])
    assert not await cors.allows(ask("http://" + "a" * MAX_ORIGIN))
    assert cors._permits.cache_info().currsize == 0


origins = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="htps:/[]@.,:0189 ae\r\n\t", max_size=40),
    st.text(alphabet="a[]:,.@0 ", max_size=20).map("http://{}".format),
)


@given(origins, origins, st.booleans())
async def test_no_header_breaks_the_policy_or_the_answer(origin: str, host: str, secure: bool) -> None:
    for options in (None, Cors(), Cors(True), FULL, LIST, Cors(lambda _: True)):
        cors = CorsPolicy(options)
        headers = {"access-control-request-headers": host}
        request = ask(origin, "OPTIONS", host=host, secure=secure, headers=headers)
        assert await cors.allows(request) in {True, False}
        response = await cors.preflight(request)
        assert (response is None) or all(
            value.isascii() and value.isprintable() for value in response.headers.values()
        )


@given(origins)
async def test_a_list_allows_what_is_in_it_and_nothing_else(origin: str) -> None:
    assert await policy([A, SUB]).allows(ask(origin, host="")) is (origin.lower() in {A, SUB})
