"""The official client as it is published, and where a user's copy of it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from socketeer.integrations import client_package
from socketeer.integrations.client_package import ARCHIVE, FILES, ClientFiles, cache_folder, is_genuine
from tests.support.client_cache import client_cache
from tests.support.repository import ROOT

__all__ = ["client_cache"]


def test_npm_brings_what_was_published(client_cache: dict[str, str]) -> None:
    archive = (Path(client_cache["SOCKETEER_CACHE"]) / ARCHIVE).read_bytes()
    assert is_genuine(archive)
    assert not is_genuine(archive + b"\0")
    client = ClientFiles(archive)
    for name in FILES:
        content = client.read(name)
        assert content.startswith(b"{") if name.endswith(".map") else b"Socket.IO v4.8.4" in content[:200]
    with pytest.raises(KeyError):
        client.read("no-such-file.js")


def test_the_pin_is_that_of_the_interop_tests() -> None:
    lock = (ROOT / "interop" / "package-lock.json").read_text(encoding="utf-8")
    assert client_package.INTEGRITY in lock
    assert f'"socket.io-client": "{client_package.VERSION}"' in lock


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "{home}/.cache/socketeer"),
        ("linux", {"XDG_CACHE_HOME": "{home}/c"}, "{home}/c/socketeer"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "{home}/.cache/socketeer"),
        ("darwin", {}, "{home}/Library/Caches/socketeer"),
        ("darwin", {"XDG_CACHE_HOME": "{home}/c"}, "{home}/c/socketeer"),
        ("win32", {"LOCALAPPDATA": "{home}/L"}, "{home}/L/socketeer/Cache"),
        ("win32", {}, "{home}/AppData/Local/socketeer/Cache"),
        ("linux", {"SOCKETEER_CACHE": "{home}/mine", "XDG_CACHE_HOME": "{home}/c"}, "{home}/mine"),
    ],
)
def test_where_the_cache_is(
    platform: str, variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SOCKETEER_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    assert cache_folder() == Path(expected.format(home=tmp_path))
