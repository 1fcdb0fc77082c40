"""The cookie that carries the session id: the value of one ``Set-Cookie`` header."""

from __future__ import annotations

import logging
from datetime import UTC
from email.utils import format_datetime
from urllib.parse import quote

from socketeer.options import Cookie
from socketeer.web_options import is_cookie_value

log = logging.getLogger("socketeer")

#: What JavaScript's ``encodeURIComponent`` leaves as it is, besides letters and digits. Session ids
#: need no escape; those of a generator of the application's own may.
_LEFT_AS_IS = "-_.!~*'()"


def session_cookie(options: Cookie, sid: str) -> str | None:
    """The ``Set-Cookie`` value for a new session, its attributes in the official server's order.

    None where the application's ``encode`` fails or gives what is no cookie's value; that is logged.

    >>> session_cookie(Cookie(), "ojIckSD2jqNzOqIrAGzL")
    'io=ojIckSD2jqNzOqIrAGzL; Path=/; HttpOnly; SameSite=Lax'
    """
    value = _value(options, sid)
    if value is None:
        return None
    parts = [f"{options.name}={value}"]
    if options.max_age is not None:
        parts.append(f"Max-Age={options.max_age}")
    if options.domain:
        parts.append(f"Domain={options.domain}")
    if options.path:
        parts.append(f"Path={options.path}")
    if options.expires is not None:
        parts.append(f"Expires={format_datetime(options.expires.astimezone(UTC), usegmt=True)}")
    if options.http_only:
        parts.append("HttpOnly")
    if options.secure:
        parts.append("Secure")
    if options.partitioned:
        parts.append("Partitioned")
    if options.priority:
        parts.append(f"Priority={options.priority.capitalize()}")
    if options.same_site:
        parts.append(f"SameSite={options.same_site.capitalize()}")
    return "; ".join(parts)


def _value(options: Cookie, sid: str) -> str | None:
    """The session id as it stands in the cookie."""
    if options.encode is None:
        return quote(sid, safe=_LEFT_AS_IS)
    try:
        value = options.encode(sid)
    except Exception:
        log.exception("cookie.encode failed, so a session gets no cookie")
        return None
    if not is_cookie_value(value):  # which holds the id, a secret: so it is not told
        log.error(
            "cookie.encode: expected ASCII text without a space, a comma, a semicolon or a control character, "
            "got something else, so a session gets no cookie"
        )
        return None
    return value
