"""Which origins may talk to this server, and the headers that tell a browser so.

Two questions that are easily taken for one:

- May this request in? :meth:`CorsPolicy.allows` is our own check, for the WebSocket handshake as
  well, to which browsers apply no same-origin policy.
- May the page read the answer? The browser decides that, by :meth:`CorsPolicy.headers` and
  :meth:`CorsPolicy.preflight`, which are those of npm's ``cors`` package.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Collection
from functools import lru_cache, partial
from weakref import WeakKeyDictionary

from socketeer.checks import group
from socketeer.engine.http.message import Request, Response
from socketeer.options import Cors, CorsFunction

log = logging.getLogger("socketeer")

#: Characters of an origin: a host name has at most 253. A longer one is malformed, which also
#: bounds what the memory of verdicts can hold and what an application's pattern has to search.
MAX_ORIGIN = 512

#: Origins whose verdict is remembered.
_REMEMBERED = 256

#: Characters of Access-Control-Request-Headers that are repeated in the answer.
_MAX_REQUESTED_HEADERS = 4096

#: One origin: printable ASCII with no space, and no comma, which would make it a list.
_WELL_FORMED = re.compile(r"[!-+\--~]+")
_PRINTABLE = re.compile(r"[ -~]+")

_DEFAULT_PORTS = {"http": "80", "https": "443"}


class CorsPolicy:
    """The decisions about origins, made from the ``cors`` option; without it, same origin only."""

    def __init__(self, options: Cors | None, failures: set[type[Exception]] | None = None) -> None:
        rule = False if options is None else options.origin
        self._rule: object = rule
        self._off = _is_off(rule)
        self._ask = rule if callable(rule) else None
        # A rule that is no callable says the same of an origin each time, and each client of
        # long-polling asks with every request.
        self._permits = lru_cache(maxsize=_REMEMBERED)(partial(_permits, rule))
        self._asked: WeakKeyDictionary[Request, object] = WeakKeyDictionary()
        self._failures = set[type[Exception]]() if failures is None else failures
        self._common = {} if options is None else _common_headers(options)
        self._preflight = {} if options is None else _preflight_headers(options)
        self._preflight_status = 204 if options is None else options.options_success_status
        self._repeats_requested = options is not None and options.allowed_headers is None

    async def allows(self, request: Request) -> bool:
        """Whether the request may come in: it names no origin, our own, or one that the rule allows."""
        origin = request.fields.get("origin")
        if origin is None:
            return True  # no browser, or a page of our own
        if self._ask is None and self._permitted(self._rule, origin):
            return True  # first, because it is remembered
        if _is_same_origin(origin, request):
            return True
        return self._ask is not None and self._permitted(await self._rule_for(request), origin)

    def headers_at_once(self, request: Request) -> dict[str, str] | None:
        """As :meth:`headers`, for a request that :meth:`allows` lets in; None where both have to be asked."""
        if self._ask is not None:
            return None
        rule, origin = self._rule, request.fields.get("origin")
        if origin is not None and not self._permitted(rule, origin) and not _is_same_origin(origin, request):
            return None
        return {} if self._off else self._origin_headers(rule, request) | self._common

    async def headers(self, request: Request) -> dict[str, str]:
        """The CORS headers of the answer to this request; none when CORS is off for it."""
        rule = await self._rule_for(request)
        if _is_off(rule):
            return {}
        return self._origin_headers(rule, request) | self._common

    async def preflight(self, request: Request) -> Response | None:
        """The whole answer to a browser's preflight; None for any other request, or with CORS off.

        An origin that is not allowed gets an answer too, without ``access-control-allow-origin``:
        that is how a browser learns of it.
        """
        if request.method.upper() != "OPTIONS":
            return None
        rule = await self._rule_for(request)
        if _is_off(rule):
            return None
        headers = self._origin_headers(rule, request) | self._common | self._preflight
        if self._repeats_requested:
            headers["vary"] = ", ".join(filter(None, (headers.get("vary"), "Access-Control-Request-Headers")))
            requested = request.fields.get("access-control-request-headers", "")
            if len(requested) <= _MAX_REQUESTED_HEADERS and _PRINTABLE.fullmatch(requested):
                headers["access-control-allow-headers"] = requested
        return Response(self._preflight_status, headers)

    async def _rule_for(self, request: Request) -> object:
        """The rule that applies to this request: the option, or what the application's callable says."""
        if self._ask is None:
            return self._rule
        origin = request.fields.get("origin")
        if origin is None:
            return True
        if not _is_well_formed(origin):
            return False
        if request not in self._asked:  # several questions about one request, one call
            self._asked[request] = await self._answer(self._ask, origin)
        return self._asked[request]

    async def _answer(self, ask: Callable[[str], object], origin: str) -> object:
        try:
            answer = ask(origin)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception as error:
            if type(error) not in self._failures:
                self._failures.add(type(error))
                log.exception("cors: the origin callable failed, so %r is refused (logged once)", origin)
            return False

    def _permitted(self, rule: object, origin: str) -> bool:
        if rule == "*":
            return True
        if len(origin) > MAX_ORIGIN:
            return False
        return self._permits(origin) if rule is self._rule else _permits(rule, origin)

    def _origin_headers(self, rule: object, request: Request) -> dict[str, str]:
        if rule == "*":
            return {"access-control-allow-origin": "*"}
        origin = request.fields.get("origin")
        if origin is not None and self._permitted(rule, origin):
            return {"access-control-allow-origin": origin, "vary": "Origin"}
        if isinstance(rule, str):  # one fixed origin is no secret: any other page is told of it
            return {"access-control-allow-origin": rule, "vary": "Origin"}
        return {"vary": "Origin"}


class CorsFailed(Exception):
    """The application's ``cors`` function gives no rules for a request, so that it must be refused."""


class ChosenCorsPolicy:
    """The same decisions, where a function of the application's gives the rules for each request."""

    def __init__(self, choose: CorsFunction) -> None:
        self._choose = choose
        self._chosen: WeakKeyDictionary[Request, CorsPolicy | None] = WeakKeyDictionary()
        self._failures: set[type[Exception]] = set()
        self._origin_failures: set[type[Exception]] = set()

    async def allows(self, request: Request) -> bool:
        """As :meth:`CorsPolicy.allows`.

        Raises:
            CorsFailed: the function has failed.
        """
        policy = await self._policy_for(request)
        if policy is None:
            raise CorsFailed
        return await policy.allows(request)

    def headers_at_once(self, request: Request) -> dict[str, str] | None:  # noqa: ARG002 - as a CorsPolicy's
        """As :meth:`CorsPolicy.headers_at_once`: the function has to be asked."""
        return None

    async def headers(self, request: Request) -> dict[str, str]:
        """As :meth:`CorsPolicy.headers`; none where the function has failed."""
        policy = await self._policy_for(request)
        return {} if policy is None else await policy.headers(request)

    async def preflight(self, request: Request) -> Response | None:
        """As :meth:`CorsPolicy.preflight`; None, as with CORS off, where the function has failed."""
        if request.method.upper() != "OPTIONS":
            return None
        policy = await self._policy_for(request)
        return None if policy is None else await policy.preflight(request)

    async def _policy_for(self, request: Request) -> CorsPolicy | None:
        if request not in self._chosen:  # several questions about one request, one call
            self._chosen[request] = await self._ask(request)
        return self._chosen[request]

    async def _ask(self, request: Request) -> CorsPolicy | None:
        try:
            answer = self._choose(request)
            options = group(Cors, "cors", await answer if inspect.isawaitable(answer) else answer)
        except Exception as error:  # noqa: BLE001 - the application's own, which is logged
            if type(error) not in self._failures:
                self._failures.add(type(error))
                log.error("cors: the function failed, so requests are refused (logged once): %.300r", error)  # noqa: TRY400
            return None
        return CorsPolicy(options, self._origin_failures)


def cors_policy(option: Cors | CorsFunction | None) -> CorsPolicy | ChosenCorsPolicy:
    """Who decides, as the ``cors`` option wants it."""
    return CorsPolicy(option) if option is None or isinstance(option, Cors) else ChosenCorsPolicy(option)


def _is_off(rule: object) -> bool:
    """False and the like turn CORS off. An empty list does not: it allows nobody, in so many headers."""
    return not rule and not isinstance(rule, (list, tuple, set, frozenset))


def _permits(rule: object, origin: str) -> bool:
    """Whether a rule (the option's or one that a callable answered) allows the origin."""
    return _is_well_formed(origin) and _matches(rule, origin)


def _matches(rule: object, origin: str) -> bool:
    if isinstance(rule, str):
        return rule.lower() == origin.lower()  # scheme and host have no case
    if isinstance(rule, re.Pattern):
        # A sandboxed frame of any page at all calls itself "null": ".*" does not mean that one.
        return origin != "null" and rule.search(origin) is not None
    if isinstance(rule, Collection):
        return any(isinstance(each, (str, re.Pattern)) and _matches(each, origin) for each in rule)
    return bool(rule)


def _is_well_formed(origin: str) -> bool:
    return len(origin) <= MAX_ORIGIN and _WELL_FORMED.fullmatch(origin) is not None


def _is_same_origin(origin: str, request: Request) -> bool:
    """Whether the page came from the host (and port) that this request went to."""
    scheme, _, authority = origin.partition("://")
    default_port = _DEFAULT_PORTS.get(scheme.lower())
    if default_port is None or not _is_well_formed(authority):
        return False
    page = _endpoint(authority, default_port)
    # Without TLS here, a proxy may have ended it: then Host's own default port is not known.
    if page == _endpoint(request.fields.get("host", ""), "443" if request.secure else default_port):
        return True
    # No page can set this header on a request to another origin without a preflight, and none at all
    # on a WebSocket handshake.
    forwarded = request.fields.get("x-forwarded-host")
    return forwarded is not None and page == _endpoint(forwarded.partition(",")[0].strip(), default_port)


def _endpoint(authority: str, default_port: str) -> tuple[str, str]:
    """Host and port of ``host[:port]``; the host may be an IPv6 address in brackets."""
    host, _, port = authority.lower().rpartition(":")
    if not host or "]" in port:
        return authority.lower(), default_port
    return host, port or default_port


def _common_headers(options: Cors) -> dict[str, str]:
    """The headers that every answer has, whoever asks."""
    headers: dict[str, str] = {}
    if options.credentials:
        headers["access-control-allow-credentials"] = "true"
    if options.exposed_headers:
        headers["access-control-expose-headers"] = ",".join(options.exposed_headers)
    return headers


def _preflight_headers(options: Cors) -> dict[str, str]:
    """The headers that only the answer to a preflight has."""
    headers: dict[str, str] = {}
    if options.methods:
        headers["access-control-allow-methods"] = ",".join(options.methods)
    if options.allowed_headers:
        headers["access-control-allow-headers"] = ",".join(options.allowed_headers)
    if options.max_age is not None:
        headers["access-control-max-age"] = str(options.max_age)
    return headers
