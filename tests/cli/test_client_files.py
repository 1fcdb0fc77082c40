"""The official client: from npm, from the cache, and not at all."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from socketeer.cli import client_files
from socketeer.cli.client_files import ClientUnavailable, load
from socketeer.integrations.client_package import ARCHIVE


@pytest.fixture
def archive(client_cache: dict[str, str]) -> bytes:
    return (Path(client_cache["SOCKETEER_CACHE"]) / ARCHIVE).read_bytes()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, empty; and no npm."""
    folder = tmp_path / "cache" / "deeper"
    monkeypatch.setenv("SOCKETEER_CACHE", str(folder))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return folder


def make_npm(tmp_path: Path, script: str) -> None:
    """An npm that does what the test wants."""
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f"#!{sys.executable}\nimport sys, pathlib, time\n{script}\n", encoding="utf-8")
    npm.chmod(0o755)


class Seen:
    """Whether one was told to wait."""

    times = 0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        self.times += 1
        yield


def test_from_the_cache_without_npm(cache: Path, archive: bytes) -> None:
    cache.mkdir(parents=True)
    (cache / ARCHIVE).write_bytes(archive)
    seen = Seen()
    assert load(seen.waiting()).read("socket.io.js")
    assert seen.times == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the npm of this test is a script")
def test_fetched_once_then_kept(cache: Path, archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "published.tgz").write_bytes(archive)
    make_npm(
        tmp_path,
        f"published = pathlib.Path({str(tmp_path / 'published.tgz')!r})\n"
        "assert sys.argv[1:4] == ['pack', 'socket.io-client@4.8.4', '--ignore-scripts'], sys.argv\n"
        "pathlib.Path('socket.io-client-4.8.4.tgz').write_bytes(published.read_bytes())\n"
        "published.unlink()",
    )
    seen = Seen()
    assert load(seen.waiting()).read("socket.io.js")
    assert seen.times == 1
    assert [path.name for path in cache.iterdir()] == [ARCHIVE]
    assert load(seen.waiting()).read("socket.io.js")
    assert seen.times == 1


def test_a_damaged_copy_is_not_used(cache: Path, archive: bytes, caplog: pytest.LogCaptureFixture) -> None:
    cache.mkdir(parents=True)
    (cache / ARCHIVE).write_bytes(archive[:-1])
    with pytest.raises(ClientUnavailable, match="npm, which fetches the browser client"):
        load()
    assert "is damaged" in caplog.text


def test_without_npm_it_says_so(cache: Path) -> None:
    with pytest.raises(ClientUnavailable, match=r"socket.io-client 4.8.4\), was not found") as error:
        load()
    assert "Install Node.js" in error.value.advice


@pytest.mark.skipif(sys.platform == "win32", reason="the npm of these tests is a script")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            r"sys.exit('npm error code ENOTFOUND\nnpm error network failed\nnpm error A complete log is in: x.log')",
            "npm ended with code 1: code ENOTFOUND; network failed$",
        ),
        ("sys.exit(3)", "npm ended with code 3: it said nothing"),
        ("", "is not socket.io-client 4.8.4 as it was published"),
        ("pathlib.Path('x.tgz').write_bytes(b'something else')", "its hash is another one"),
        ("while True: time.sleep(1)", "npm did not answer within"),
    ],
)
def test_an_npm_that_fails(
    script: str, said: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_files, "PATIENCE", 1.0)
    make_npm(tmp_path, script)
    with pytest.raises(ClientUnavailable, match=said) as error:
        load()
    assert error.value.advice
    assert not cache.exists(), "nothing of it is kept"


@pytest.mark.skipif(sys.platform == "win32", reason="the npm of this test is a script")
def test_a_cache_that_cannot_be_written_is_done_without(
    archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "published.tgz").write_bytes(archive)
    (tmp_path / "file").touch()
    monkeypatch.setenv("SOCKETEER_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    make_npm(
        tmp_path,
        f"pathlib.Path('x.tgz').write_bytes(pathlib.Path({str(tmp_path / 'published.tgz')!r}).read_bytes())",
    )
    assert load().read("socket.io.js")
    assert "cannot be kept" in caplog.text
