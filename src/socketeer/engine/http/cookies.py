"""The cookie that carries the session id: the value of one ``Set-Cookie`` header."""

from __future__ import annotations

from urllib.parse import quote

from socketeer.options import Cookie

#: What JavaScript's ``encodeURIComponent`` leaves as it is, besides letters and digits. Session ids
#: need no escape; those of a generator of the application's own may.
_LEFT_AS_IS = "-_.!~*'()"


def session_cookie(options: Cookie, sid: str) -> str:
    """The ``Set-Cookie`` value for a new session, its attributes in the official server's order.

    >>> session_cookie(Cookie(), "ojIckSD2jqNzOqIrAGzL")
    'io=ojIckSD2jqNzOqIrAGzL; Path=/; HttpOnly; SameSite=Lax'
    """
    parts = [f"{options.name}={quote(sid, safe=_LEFT_AS_IS)}"]
    if options.max_age is not None:
        parts.append(f"Max-Age={options.max_age}")
    if options.domain:
        parts.append(f"Domain={options.domain}")
    if options.path:
        parts.append(f"Path={options.path}")
    if options.http_only:
        parts.append("HttpOnly")
    if options.secure:
        parts.append("Secure")
    if options.same_site:
        parts.append(f"SameSite={options.same_site.capitalize()}")
    return "; ".join(parts)
