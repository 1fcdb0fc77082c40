"""The command itself: what it says, and its exit codes."""

from __future__ import annotations

import tomllib

import pytest

from socketeer._version import __version__
from socketeer.cli import main
from socketeer.cli.trouble import Trouble
from socketeer.engine.build import describe
from tests.support.command import socketeer
from tests.support.repository import ROOT


def test_the_entry_point_leads_here() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"socketeer": f"{main.__module__}:{main.__name__}"}


def test_version() -> None:
    with socketeer("--version") as process:
        assert process.wait() == 0
        assert process.out == [f"socketeer {__version__} ({describe()})"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), ("run", "demo", "fetch-client", "connect", "emit", "--version")),
        (("run",), ("MODULE:NAME", "chat:io", "--host", "--port", "--log-level", "--access-log", "Ctrl-C")),
        (
            ("connect",),
            (
                *("localhost:3004", "--namespace", "--auth", "--header", "--query", "--transport", "--path"),
                *("--parser", "--insecure", "--proxy", "--timeout", "Exit status", "/help", "Examples"),
            ),
        ),
        (("emit",), ("EVENT", "--ack", "--retries", "@FILE", "-- -5", "Exit status", "3 no", "Examples")),
        (("fetch-client",), ("--to", "FOLDER", "npm", "SOCKETEER_CACHE", "/socket.io/socket.io.js")),
        (("demo",), ("--port", "3004", "--terminal", "--open", "SOCKETEER_CACHE", "npm")),
    ],
)
def test_help_says_what_there_is(args: tuple[str, ...], words: tuple[str, ...]) -> None:
    with socketeer(*args, "--help") as process:
        assert process.wait() == 0
        said = " ".join(process.out)
        assert [word for word in words if word not in said] == []
        assert process.err == []


@pytest.mark.parametrize(
    "args",
    [("--no-such-option",), ("fly",), ("run",), ("run", "chat:io", "--port", "99999"), ("emit", "x"), ()],
)
def test_wrong_usage_ends_with_2(args: tuple[str, ...]) -> None:
    with socketeer(*args) as process:
        assert process.wait() == 2
        assert "Usage" in " ".join([*process.out, *process.err])


def test_trouble_is_told_on_standard_error_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app() -> None:
        raise Trouble("the sky [red]falls[/red]", "Hold it up.", details="first this\n", code=1)

    monkeypatch.setattr("socketeer.cli.app", app)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "first this\nerror: the sky [red]falls[/red]\nHold it up.\n"
