from __future__ import annotations

import shutil
import socket
from collections.abc import Callable

import pytest

from tests.support import requirements


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the PATH, no Redis and no PostgreSQL."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CHROMIUM", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}")
    monkeypatch.setenv("POSTGRES_URL", f"postgresql://127.0.0.1:{port}")


NEEDS: list[Callable[[], object]] = [
    requirements.node,
    requirements.npm,
    requirements.chromium,
    requirements.redis,
    requirements.postgres,
    lambda: requirements.module("no_such_module"),
]


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize("need", NEEDS)
def test_a_missing_requirement_skips_on_a_developers_machine(
    need: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="is needed"):
        need()


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize("need", NEEDS)
def test_a_missing_requirement_fails_in_ci(
    need: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="is needed"):
        need()


def test_a_service_that_answers_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("REDIS_URL", url)
        assert requirements.redis() == url


def test_the_browser_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    monkeypatch.setenv("CHROMIUM", shell)
    assert requirements.chromium() == shell
