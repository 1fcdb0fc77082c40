"""A few files held in memory, as an ASGI application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socketeer.integrations.asgi import Receive, Scope, Send

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}

#: Everything the page needs comes from here; it shows what other people have typed.
_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page:
    """Answers GET and HEAD of the given paths; everything else is 404."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; ``lifespan`` is refused, as servers expect of applications that need none."""
        kind = scope["type"]
        if kind == "http":
            await self._answer(scope, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            raise NotImplementedError(kind)

    async def _answer(self, scope: Scope, send: Send) -> None:
        path: str = scope["path"]
        body = self._files.get(path) if scope["method"] in ("GET", "HEAD") else None
        status, ending = (200, path.rpartition(".")[2]) if body is not None else (404, "")
        content = b"Not Found" if body is None else body
        headers: dict[str, Any] = {
            "content-type": TYPES.get(
                ending, "text/html; charset=utf-8" if body else "text/plain; charset=utf-8"
            ),
            "content-length": str(len(content)),
            "cache-control": "no-cache",
            "x-content-type-options": "nosniff",
            "content-security-policy": _SECURITY,
        }
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
