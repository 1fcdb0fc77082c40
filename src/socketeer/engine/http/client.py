"""The client's HTTP: the requests of long-polling by httpx2, and what a WebSocket's handshake shares with them.

That is the headers and cookies for an address, redirects, the proxy and the TLS context.
"""

from __future__ import annotations

import re
import ssl as tls
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from socketeer.client_options import ConnectOptions
from socketeer.errors import TransportError

#: How often one request may be sent on to another address.
MAX_REDIRECTS: Final = 5
#: The statuses that do so. POST stays POST by the last two alone (RFC 9110 section 15.4).
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPING: Final = frozenset({307, 308})
#: Bytes of cookies that a server may have us keep.
_MAX_COOKIES: Final = 65_536

#: How long an answer may take is the session's business: it ends the request when the server's ping is late.
_TIMEOUT = httpx2.Timeout(None, connect=30.0)
#: Node.js and uvicorn close a connection after 5 idle seconds; one that they are about to close must not get a POST.
_POOL = httpx2.Limits(keepalive_expiry=3.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got."""

    body: bytes
    url: str
    """Where it came from, after all redirects."""


class HttpClient:
    """One user agent: its requests share connections and cookies.

    ``base`` is the server's address. The user's headers go there and nowhere else: where a redirect leads
    to another host, they stay behind, and so do the cookies.
    """

    __slots__ = ("_client", "_cookie", "_headers", "_limit", "_options", "_origins")

    def __init__(self, base: str, headers: Mapping[str, str], options: ConnectOptions) -> None:
        self._limit = options.max_message_size
        self._options = options
        self._origins = _origins(base)
        self._headers = {name: value for name, value in headers.items() if name.lower() != "cookie"}
        self._cookie = "; ".join(value for name, value in headers.items() if name.lower() == "cookie")
        self._client: httpx2.AsyncClient | None = None

    async def get(self, url: str) -> Answer:
        """The answer to a GET.

        Raises:
            TransportError: there was none, or one with another status than 200.
        """
        return await self._ask("GET", url, None)

    async def post(self, url: str, body: bytes) -> None:
        """A POST of text.

        Raises:
            TransportError: there was no answer, or another status than 200.
        """
        await self._ask("POST", url, body)

    async def _ask(self, method: str, url: str, body: bytes | None) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response, answer = await self._ask_once(method, url, body)
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
                what = str(error) or type(error).__name__
                raise TransportError(f"polling: {method} failed: {what}", error) from error
            status = response.status_code
            if status == 200:
                return Answer(answer, url)
            location = response.headers.get("location")
            if status not in (REDIRECTS if method == "GET" else _KEEPING) or location is None:
                text = answer[:200].decode("utf-8", "replace")
                raise TransportError(
                    f"polling: {method} was answered with status {status} instead of 200: {text!r}", status
                )
            url = redirected(url, location, status)
        raise TransportError(f"polling: more than {MAX_REDIRECTS} redirects, the last to {url:.200}")

    async def _ask_once(self, method: str, url: str, body: bytes | None) -> tuple[httpx2.Response, bytes]:
        headers = self.headers_for(url)
        if body is not None:
            headers["content-type"] = "text/plain;charset=UTF-8"
        client = self._opened()
        async with client.stream(method, url, content=body, headers=headers) as response:
            answer = await self._read(response)
        if "set-cookie" in response.headers:
            _bound(client.cookies)
        return response, answer

    async def _read(self, response: httpx2.Response) -> bytes:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > self._limit:
                raise TransportError(
                    f"polling: an answer above {self._limit} bytes (max_message_size)", response.status_code
                )
        return bytes(body)

    def _opened(self) -> httpx2.AsyncClient:
        """The connections, from the first request on: who begins with WebSocket needs none."""
        if self._client is None:
            self._client = httpx2.AsyncClient(
                verify=tls_context(self._options.ssl),
                proxy=self.proxy,
                trust_env=False,  # `proxy` has asked it, for WebSocket as well
                timeout=_TIMEOUT,
                limits=_POOL,
            )
        return self._client

    # --- what a WebSocket's handshake shares ------------------------------------------------------

    def headers_for(self, url: str) -> dict[str, str]:
        """The user's headers, if ``url`` is on the server's own host, and the cookies for it."""
        cookies, headers = [], {}
        if _origin(url) in self._origins:
            headers.update(self._headers)
            cookies.append(self._cookie)
        if self._client is not None:
            probe = httpx2.Request("GET", url)
            self._client.cookies.set_cookie_header(probe)
            cookies.append(probe.headers.get("cookie", ""))
        if any(cookies):
            headers["cookie"] = "; ".join(filter(None, cookies))
        return headers

    @property
    def proxy(self) -> str | None:
        """The proxy of the options, or of the environment."""
        if self._options.proxy is not None:
            return self._options.proxy
        scheme, host, _ = self._origins[0]
        found = getproxies()
        proxy = found.get(scheme) or found.get("all")
        if not proxy or proxy_bypass(host):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    @property
    def context(self) -> tls.SSLContext:
        """The TLS context of the options."""
        return tls_context(self._options.ssl)

    async def close(self) -> None:
        """End all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def redirected(url: str, location: str, status: int) -> str:
    """Where a redirect from ``url`` leads; all addresses are HTTP's, a WebSocket's too.

    Raises:
        TransportError: to nothing that may be followed.
    """
    target = scheme = host = ""
    with suppress(ValueError):
        target = re.sub("^ws", "http", urljoin(url, location))
        scheme, host, _ = _origin(target)
    if scheme not in ("http", "https") or not host:
        raise TransportError(f"redirected to {location[:200]!r}, which is no address of a server", status)
    if url.startswith("https:") and scheme == "http":
        raise TransportError(f"redirected to {location[:200]!r}, out of TLS: not followed", status)
    return target


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _origins(base: str) -> tuple[tuple[str, str, int], ...]:
    """The server's own origin, and the one that it turns to when it asks for TLS."""
    scheme, host, port = _origin(base)
    return ((scheme, host, port), ("https", host, 443)) if port == 80 else ((scheme, host, port),)


def _bound(cookies: httpx2.Cookies) -> None:
    """Forget all cookies when a server has set more than anyone needs."""
    if sum(len(each.name) + len(each.value or "") + 64 for each in cookies.jar) > _MAX_COOKIES:
        cookies.clear()


def tls_context(ssl: tls.SSLContext | bool) -> tls.SSLContext:
    """The context that the option ``ssl`` means."""
    return ssl if isinstance(ssl, tls.SSLContext) else _default_context(ssl)


@cache
def _default_context(verify: bool) -> tls.SSLContext:
    """Shared by all clients: reading the system's certificates takes longer than connecting."""
    context = tls.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = tls.CERT_NONE
    return context
