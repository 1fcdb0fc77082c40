"""`socketeer fetch-client`: into the cache, into a folder, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path

from socketeer.integrations.client_package import ARCHIVE, FILES, ClientFiles
from tests.support.command import socketeer


def test_into_the_cache(client_cache: dict[str, str]) -> None:
    """It is there already: nothing is fetched."""
    with socketeer("fetch-client", env=client_cache) as process:
        assert process.wait() == 0
        place = Path(client_cache["SOCKETEER_CACHE"]) / ARCHIVE
        assert process.out[0] == f"socket.io-client 4.8.4 is in {place}."
        assert "/socket.io/socket.io.js" in process.out[1]
        assert process.err == []


def test_into_a_folder(client_cache: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "static" / "client"
    archive = (Path(client_cache["SOCKETEER_CACHE"]) / ARCHIVE).read_bytes()
    folder.mkdir(parents=True)
    (folder / "socket.io.js").write_text("an old one", encoding="utf-8")
    with socketeer("fetch-client", "--to", str(folder), env=client_cache) as process:
        assert process.wait() == 0
        assert f"Server(serve_client={str(folder)!r}) serves them." in process.out
    assert {path.name for path in folder.iterdir()} == FILES
    for name in FILES:
        assert (folder / name).read_bytes() == ClientFiles(archive).read(name)


def test_a_folder_that_cannot_be_written(client_cache: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socketeer("fetch-client", "--to", str(tmp_path / "file" / "x"), env=client_cache) as process:
        assert process.wait() == 1
        assert process.err[0].startswith(
            f"error: the client cannot be written to {tmp_path / 'file' / 'x'}: "
        )
        assert process.err[1] == "Name another folder by --to."


def test_without_npm(tmp_path: Path) -> None:
    with socketeer("fetch-client", env={"SOCKETEER_CACHE": str(tmp_path / "cache"), "PATH": ""}) as process:
        assert process.wait() == 1
        assert process.err[0].startswith("error: npm, which fetches the browser client")
        assert "Install Node.js" in process.err[1]


def test_a_cache_that_cannot_be_written(client_cache: dict[str, str], tmp_path: Path) -> None:
    """What cannot be kept there is no success, although it was fetched."""
    (tmp_path / "file").touch()
    with socketeer("fetch-client", env={"SOCKETEER_CACHE": str(tmp_path / "file")}) as process:
        assert process.wait() == 1
        assert "SOCKETEER_CACHE" in process.err[-1]
