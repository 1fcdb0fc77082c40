"""What browsers are told: which other origins may talk to the server, and the cookie of a session.

The names and the defaults are Socket.IO's (https://socket.io/docs/v4/server-options/#cors and #cookie).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from socketeer.checks import whole
from socketeer.errors import OptionError

__all__ = ["Cookie", "Cors", "CorsFunction", "OriginRule", "is_cookie_value"]

log = logging.getLogger("socketeer")

#: One origin, a pattern, a collection of both, a predicate, or True/"*" for any origin.
OriginRule = (
    str
    | bool
    | re.Pattern[str]
    | Collection["str | re.Pattern[str]"]
    | Callable[[str], "bool | Awaitable[bool]"]
)

#: What HTTP calls a token: a header's name, a method, a cookie's name.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: Printable ASCII without a space or a comma, so that it is one origin. (An international host name
#: stands in an Origin header in its ASCII form.)
_ORIGIN = re.compile(r"[!-+\--~]*")


def _checked_origin(origin: str) -> str:
    """An origin without the slash that people copy from the address bar: a browser never sends one."""
    if not _ORIGIN.fullmatch(origin):
        raise OptionError(f"cors.origin: expected one origin in ASCII, several as a list, got {origin!r}")
    if not origin.endswith("/") or origin.endswith("://"):  # pages of some phones' apps say "file://"
        return origin
    stripped = origin.rstrip("/")
    log.warning("cors origin %r ends with a slash, which no browser sends: compared as %r", origin, stripped)
    return stripped


def _checked_rule(rule: Any) -> Any:
    """One item of ``cors.origin``: an origin or a pattern."""
    if isinstance(rule, str):
        return _checked_origin(rule)
    if isinstance(rule, re.Pattern) and isinstance(rule.pattern, str):
        return rule
    raise OptionError(f"cors.origin: expected strings or compiled patterns of strings, got {rule!r}")


def _names(option: str, value: str | Collection[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    names = tuple(part.strip() for part in parts if part.strip())
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise OptionError(f"{option}: expected names such as 'X-Custom', got {name!r}")
    return names


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other origins may talk to this server (https://socket.io/docs/v4/handling-cors/)."""

    origin: OriginRule = "*"
    """One origin, a compiled pattern, a list of both, a callable ``(origin) -> bool``, or ``"*"``."""
    methods: str | Collection[str] = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")
    """Methods named in the answer to a preflight."""
    allowed_headers: str | Collection[str] | None = None
    """Request headers that are allowed; None repeats those that the browser asks for."""
    exposed_headers: str | Collection[str] | None = None
    """Response headers that the page may read."""
    credentials: bool = False
    """Whether cookies and HTTP authentication are allowed."""
    max_age: int | None = None
    """Seconds for which the browser may keep the answer to a preflight."""
    options_success_status: int = 204
    """The status of that answer, 200 to 299; some old browsers want 200."""

    def __post_init__(self) -> None:
        origin: Any = self.origin
        if isinstance(origin, (str, re.Pattern)):
            origin = _checked_rule(origin)
        elif isinstance(origin, Collection) and not isinstance(origin, (bytes, bytearray)):
            origin = tuple(_checked_rule(each) for each in origin)
            if "*" in origin:
                log.warning("cors origin '*' in a list matches no origin: for any origin, give '*' alone")
        elif not (isinstance(origin, bool) or callable(origin)):
            raise OptionError(
                f"cors.origin: expected an origin such as 'http://localhost:5174', a pattern, a list, "
                f"a callable or '*', got {origin!r}"
            )
        object.__setattr__(self, "origin", origin)
        for name in ("methods", "allowed_headers", "exposed_headers"):
            object.__setattr__(self, name, _names(f"cors.{name}", getattr(self, name)))
        if self.max_age is not None:
            whole("cors.max_age", self.max_age)
        whole("cors.options_success_status", self.options_success_status, least=200, most=299)


#: Called with each request; gives its rules: a :class:`Cors`, a mapping with the same keys, or None for no other origin.
CorsFunction = Callable[
    [Any], "Cors | Mapping[str, Any] | bool | Awaitable[Cors | Mapping[str, Any] | bool | None] | None"
]


#: Printable ASCII without a space, a comma or a semicolon.
_COOKIE_VALUE = re.compile(r"[!-+\--:<-~]*")


def is_cookie_value(value: Any) -> bool:
    """Whether it may stand in a cookie as it is: what else it could do is end the value, or the header."""
    return isinstance(value, str) and _COOKIE_VALUE.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Cookie:
    """The cookie that carries the session id, set by the polling handshake alone, as the official server does."""

    name: str = "io"
    path: str | None = "/"
    """None leaves the attribute out."""
    http_only: bool = True
    same_site: Literal["lax", "strict", "none"] | None = "lax"
    secure: bool = False
    domain: str | None = None
    max_age: int | None = None
    """Seconds; None makes a cookie of the browser session."""
    expires: datetime | None = None
    """When it ends, with a time zone; ``max_age`` wins where there are both."""
    partitioned: bool = False
    """Whether each site that embeds the page has a jar of its own for it (CHIPS); browsers want ``secure`` then."""
    priority: Literal["low", "medium", "high"] | None = None
    """Which cookies a browser drops first, when it has too many."""
    encode: Callable[[str], str] | None = None
    """Makes the value from the session id; None escapes it as JavaScript's ``encodeURIComponent`` does."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _TOKEN.fullmatch(self.name):
            raise OptionError(f"cookie.name: expected a token such as 'io', got {self.name!r}")
        for attribute in ("path", "domain"):
            value = getattr(self, attribute)
            if value is not None and not is_cookie_value(value):
                raise OptionError(
                    f"cookie.{attribute}: expected None or ASCII text without a space, a comma, a semicolon "
                    f"or a control character, got {value!r}"
                )
        if self.same_site not in ("lax", "strict", "none", None):
            raise OptionError(
                f"cookie.same_site: expected 'lax', 'strict', 'none' or None, got {self.same_site!r}"
            )
        if self.max_age is not None:
            whole("cookie.max_age", self.max_age)  # below 0 is in order: it deletes the cookie
        expires = self.expires
        if expires is not None and not (isinstance(expires, datetime) and expires.utcoffset() is not None):
            raise OptionError(
                f"cookie.expires: expected a datetime with a time zone or None, got {expires!r}"
            )
        if self.priority not in ("low", "medium", "high", None):
            raise OptionError(
                f"cookie.priority: expected 'low', 'medium', 'high' or None, got {self.priority!r}"
            )
        if self.encode is not None and not callable(self.encode):
            raise OptionError(f"cookie.encode: expected a function (id) -> str or None, got {self.encode!r}")
