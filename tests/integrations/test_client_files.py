"""The browser client below the server's path: what is served, what is not, and what is said then."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from pathlib import Path
from typing import Any

import fastapi
import pytest

from socketeer import Cors, OptionError
from socketeer.engine.http.message import Request
from socketeer.integrations import client_files
from socketeer.integrations.client_package import ARCHIVE, FILES
from tests.integrations.echo import echo_server
from tests.support.asgi import Answer, App, http, shake
from tests.support.client_cache import client_cache

__all__ = ["client_cache"]

SCRIPT = b"/*!\n * Socket.IO v4.8.1\n * (c) of the test\n */\n" + b"hello();\n" * 500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the eight files, and one that nobody may have."""
    found = tmp_path / "dist"
    found.mkdir()
    for name in FILES:
        (found / name).write_bytes(b'{"version":3}' if name.endswith(".map") else SCRIPT)
    (found / "secret.js").write_text("secret", encoding="utf-8")
    return found


def serving(folder: Path | str | bool, **options: Any) -> App:
    return echo_server(serve_client=folder, **options).asgi()


async def get(app: App, path: str = "/socket.io/socket.io.js", method: str = "GET", **headers: str) -> Answer:
    pairs = [(b"host", b"localhost:3000")]
    pairs += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return await http(app, method, path, headers=pairs)


# --- what is served ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FILES))
async def test_each_file(name: str, folder: Path) -> None:
    answer = await get(serving(folder), f"/socket.io/{name}")
    assert (answer.status, answer.body) == (200, (folder / name).read_bytes())
    kind = "json" if name.endswith(".map") else "javascript"
    assert answer.headers == {
        "cache-control": "public, max-age=0",
        "content-type": f"application/{kind}; charset=utf-8",
        "etag": answer.headers["etag"],
        "vary": "Accept-Encoding",
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "FLY"])
async def test_any_method(method: str, folder: Path) -> None:
    answer = await get(serving(folder), method=method)
    assert (answer.status, answer.body) == (200, SCRIPT)


async def test_head_has_no_body(folder: Path) -> None:
    answer = await get(serving(folder), method="HEAD")
    assert (answer.status, answer.body, answer.headers["etag"]) == (200, b"", '"4.8.1"')


@pytest.mark.parametrize(
    "path",
    [
        "/socket.io/secret.js",
        "/socket.io/SOCKET.IO.JS",
        "/socket.io/socket.io.js/",
        "/socket.io/socket.io.js\0",
        "/socket.io/./socket.io.js",
        "/socket.io//socket.io.js",
        "/socket.io/../socket.io.js",
        "/socket.io/../dist/secret.js",
        "/socket.io/..\\dist\\secret.js",
        "/socket.io/socket.io.js?",
        "/socket.io/package.json",
    ],
)
async def test_nothing_else_is_reachable(path: str, folder: Path) -> None:
    """A decoded path, as servers give it: it goes on to the engine, which wants to know the transport."""
    answer = await http(serving(folder), "GET", path, query_string=b"")
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 0)


async def test_the_engine_is_still_there(folder: Path) -> None:
    await shake(serving(folder), "/socket.io/")


async def test_switched_off(folder: Path) -> None:
    answer = await http(serving(False), "GET", "/socket.io/socket.io.js", query_string=b"")
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 0)


async def test_mounted_and_with_a_path_of_ones_own(folder: Path) -> None:
    outer = fastapi.FastAPI()
    outer.mount("/ws", serving(folder, path="/live"))
    assert (await get(outer, "/ws/live/socket.io.js")).body == SCRIPT
    assert (await get(outer, "/live/socket.io.js")).status == 404


# --- versions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("weak", ["", "W/"])
async def test_not_modified(weak: str, folder: Path) -> None:
    answer = await get(serving(folder), if_none_match=f'{weak}"4.8.1"')
    assert (answer.status, answer.body, answer.headers) == (304, b"", {})


@pytest.mark.parametrize("other", ['"4.8.2"', "4.8.1", '"4.8.1', "*", ""])
async def test_another_version(other: str, folder: Path) -> None:
    assert (await get(serving(folder), if_none_match=other)).status == 200


@pytest.mark.parametrize(
    ("place", "package", "version"),
    [
        ("dist", {"name": "socket.io-client", "version": "4.7.5"}, "4.7.5"),
        (".", {"name": "socket.io", "version": "4.7.5"}, "4.7.5"),
        # An application's own: its version stays while the client below it changes.
        (".", {"name": "shop", "version": "1.0.0"}, "4.8.1"),
        (".", {"name": "socket.io", "version": 'x"\r\nset-cookie: a'}, "4.8.1"),
        (".", {"name": "socket.io"}, "4.8.1"),
        (".", ["socket.io"], "4.8.1"),
    ],
)
async def test_the_version_is_the_packages(place: str, package: Any, version: str, folder: Path) -> None:
    (folder.parent / place / "package.json").write_text(json.dumps(package), encoding="utf-8")
    assert (await get(serving(folder))).headers["etag"] == f'"{version}"'


async def test_what_names_no_version_gets_a_hash(folder: Path) -> None:
    app, path = serving(folder), "/socket.io/socket.io.js.map"
    first = (await get(app, path)).headers["etag"]
    assert len(first) == 22
    (folder / "socket.io.js.map").write_text('{"version":4,"more":1}', encoding="utf-8")
    second = await get(app, path, if_none_match=first)
    assert (second.status, second.body) == (200, b'{"version":4,"more":1}')
    assert second.headers["etag"] != first


async def test_a_new_file_is_read_again(folder: Path) -> None:
    app, file = serving(folder), folder / "socket.io.js"
    assert (await get(app, accept_encoding="gzip")).status == 200
    changed = SCRIPT.replace(b"4.8.1", b"4.8.2")
    file.write_bytes(changed)
    os.utime(file, ns=(1, 1))
    answer = await get(app, accept_encoding="gzip")
    assert (gzip.decompress(answer.body), answer.headers["etag"]) == (changed, '"4.8.2"')


# --- compression ------------------------------------------------------------------------------------


def unpack(answer: Answer) -> bytes:
    match answer.headers.get("content-encoding"):
        case "gzip":
            return gzip.decompress(answer.body)
        case "deflate":
            return zlib.decompress(answer.body)
        case "br":
            brotli = pytest.importorskip("brotli")
            found: bytes = brotli.decompress(answer.body)
            return found
        case _:
            return answer.body


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("identity", None),
        ("gzip;q=0", None),
        ("", None),
        ("gzip," * 200, None),
    ],
)
async def test_compressed(accepted: str, encoding: str | None, folder: Path) -> None:
    answer = await get(serving(folder), accept_encoding=accepted)
    assert answer.headers.get("content-encoding") == encoding
    assert unpack(answer) == SCRIPT


@pytest.mark.parametrize("accepted", ["br", "*", "br;q=1, gzip;q=0.8"])
async def test_by_brotli(accepted: str, folder: Path) -> None:
    pytest.importorskip("brotli")
    answer = await get(serving(folder), accept_encoding=accepted)
    assert answer.headers["content-encoding"] == "br"
    assert unpack(answer) == SCRIPT


async def test_compressed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = serving(folder)
    first = await get(app, accept_encoding="gzip")
    monkeypatch.setitem(client_files._ENCODERS, "gzip", lambda content: b"again")
    assert (await get(app, accept_encoding="gzip")).body == first.body


# --- other origins ----------------------------------------------------------------------------------

ORIGIN = "http://localhost:5174"


async def test_cors(folder: Path) -> None:
    app = serving(folder, cors=Cors(origin=ORIGIN, credentials=True))
    answer = await get(app, origin=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin, Accept-Encoding"
    assert (await get(app, method="OPTIONS", origin=ORIGIN)).status == 204
    same = await get(app, origin=ORIGIN, if_none_match='"4.8.1"')
    assert (same.status, same.headers["access-control-allow-origin"]) == (304, ORIGIN)
    assert "access-control-allow-origin" not in (await get(serving(folder), origin=ORIGIN)).headers


async def test_cors_by_a_function(folder: Path) -> None:
    async def choose(request: Request) -> Any:
        return {"origin": ORIGIN} if "x-open" in request.headers else None

    app = serving(folder, cors=choose)
    assert "access-control-allow-origin" not in (await get(app, origin=ORIGIN)).headers
    answer = await get(app, x_open="1", origin=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == ORIGIN


# --- what is missing --------------------------------------------------------------------------------


async def test_a_file_that_is_not_in_the_folder(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = serving(folder)
    (folder / "socket.io.js").unlink()
    for _ in range(2):
        answer = await get(app)
        assert (answer.status, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
        assert b"socket.io.js is not here" in answer.body
        assert b"serve_client" in answer.body
        assert b"socketeer fetch-client --to" in answer.body
        assert str(folder).encode() not in answer.body
    (record,) = caplog.records
    assert str(folder) in record.getMessage()
    (folder / "socket.io.js").write_bytes(SCRIPT)
    assert (await get(app)).status == 200
    (folder / "socket.io.js").unlink()
    assert (await get(app)).status == 404


async def test_a_file_that_is_a_folder(folder: Path) -> None:
    (folder / "socket.io.js").unlink()
    (folder / "socket.io.js").mkdir()
    assert (await get(serving(folder))).status == 404


@pytest.mark.parametrize("wrong", ["", 1, None, b"dist"])
def test_no_such_option(wrong: Any) -> None:
    with pytest.raises(OptionError, match="serve_client: expected True"):
        serving(wrong)


# --- from the cache ---------------------------------------------------------------------------------


async def test_from_the_cache(client_cache: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKETEER_CACHE", client_cache["SOCKETEER_CACHE"])
    app = echo_server().asgi()
    for name in FILES:
        answer = await get(app, f"/socket.io/{name}", accept_encoding="gzip")
        assert (answer.status, answer.headers["etag"]) == (200, '"4.8.4"')
        assert unpack(answer)[:1] == (b"{" if name.endswith(".map") else b"/")


async def test_nothing_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKETEER_CACHE", str(tmp_path))
    answer = await get(echo_server().asgi())
    assert answer.status == 404
    assert b"Run `socketeer fetch-client`" in answer.body
    assert b"serve_client=False" in answer.body


async def test_a_damaged_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOCKETEER_CACHE", str(tmp_path))
    (tmp_path / ARCHIVE).write_bytes(b"something else")
    app = echo_server().asgi()
    assert (await get(app)).status == 404
    assert (await get(app)).status == 404
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()


async def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("could not determine home directory")

    monkeypatch.delenv("SOCKETEER_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert (await get(echo_server().asgi())).status == 404
