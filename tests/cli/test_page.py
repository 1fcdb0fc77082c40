"""A few files over ASGI."""

from __future__ import annotations

import httpx
import pytest

from socketeer.cli.page import Page


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/nothing", "/../secret"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_files_and_nothing_else(method: str, path: str) -> None:
    files = {"/": b"<!doctype html>", "/page.css": b"* {}", "/page.js": b"1"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Page(files)), base_url="http://localhost"
    ) as client:
        answer = await client.request(method, path)
    found = path in files and method != "POST"
    assert answer.status_code == (200 if found else 404)
    body = files[path] if found else b"Not Found"
    assert answer.headers["content-length"] == str(len(body))
    assert answer.content == (b"" if method == "HEAD" else body)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    if found:
        kind = {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}[path]
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
