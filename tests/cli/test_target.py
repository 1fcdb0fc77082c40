"""`module:name` to a server, and what is said where it is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from socketeer import Server
from socketeer.cli.target import find
from socketeer.cli.trouble import Trouble

CHAT = """
    from socketeer import Server
    io = Server()
    combined = io.asgi()
    class Holder:
        io = io
        async def app(self, scope, receive, send): ...
    holder = Holder()
    async def app(scope, receive, send): ...
    def wsgi(environ, start_response): ...
    class Wsgi:
        def __call__(self, environ, start_response): ...
    flask = Wsgi()
    number = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is the current one, and imports from it that leave nothing behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield tmp_path
    for name in [name for name in sys.modules if name.endswith("_of_test")]:
        del sys.modules[name]


def write(folder: Path, name: str, source: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(source), encoding="utf-8")


def test_a_server_in_the_current_folder(folder: Path) -> None:
    write(folder, "chat_of_test.py", CHAT)
    assert isinstance(find("chat_of_test:io"), Server)
    assert isinstance(find("chat_of_test:Holder.io"), Server)


@pytest.mark.parametrize("name", ["app", "combined", "holder.app"])
def test_an_asgi_application(name: str, folder: Path) -> None:
    write(folder, "apps_of_test/chat_of_test.py", CHAT)
    assert callable(find(f"apps_of_test.chat_of_test:{name}"))


def test_asgi_applications_of_frameworks(folder: Path) -> None:
    source = "from fastapi import FastAPI\nfrom starlette.applications import Starlette\n"
    write(folder, "frames_of_test.py", source + "a = FastAPI()\nb = Starlette()\n")
    assert type(find("frames_of_test:a")).__name__ == "FastAPI"
    assert type(find("frames_of_test:b")).__name__ == "Starlette"


@pytest.mark.parametrize(
    ("target", "wrong", "advice"),
    [
        ("chat_of_test", "expected MODULE:NAME, such as chat:io, got 'chat_of_test'", "chat_of_test:io"),
        ("chat_of_test.py", "expected MODULE:NAME", "that is: chat_of_test:io"),
        ("chat_of_test.io", "expected MODULE:NAME", "that is: chat_of_test:io"),
        (":io", "expected MODULE:NAME", "that is: chat:io"),
        ("chat_of_test:", "expected MODULE:NAME", "chat_of_test:io"),
        ("chat_of_test.py:io", "got the file 'chat_of_test.py'", "chat_of_test:io"),
        ("apps/chat.py:io", "got the file 'apps/chat.py'", "apps.chat:io"),
        (
            "nowhere_to_be_found:io",
            "there is no module 'nowhere_to_be_found' in ",
            "in the folder where it is",
        ),
        ("chat_of_test.more:io", "there is no module 'chat_of_test.more'", "in the folder"),
        ("chat_of_test:oi", "there is no 'oi' in chat_of_test", "Did you mean chat_of_test:io or "),
        ("chat_of_test:number", "is 3, of the type int; expected a socketeer.Server", "chat_of_test:io"),
        ("chat_of_test:Server", "is the class Server, not an instance of it", "chat_of_test:io"),
        ("chat_of_test:wsgi", "is the function wsgi(environ, start_response)", "chat_of_test:io"),
        ("chat_of_test:flask", "called as WSGI applications are", "chat_of_test:io"),
        ("chat_of_test:io.sockets", "of the type Namespace", "chat_of_test:io"),
        ("json:nothing", "there is no 'nothing' in json", "Nothing in json is one"),
        ("os:path", "is the module ", "Nothing in os is one"),
    ],
)
def test_what_is_said(target: str, wrong: str, advice: str, folder: Path) -> None:
    write(folder, "chat_of_test.py", CHAT)
    with pytest.raises(Trouble) as trouble:
        find(target)
    assert wrong in trouble.value.wrong
    assert advice in trouble.value.advice
    assert trouble.value.code == 1


def test_a_module_that_fails_shows_its_own_lines_only(folder: Path) -> None:
    write(folder, "broken_of_test.py", "def deep():\n    return {}['key']\n\ndeep()\n")
    with pytest.raises(Trouble, match="broken_of_test cannot be imported: KeyError: 'key'") as trouble:
        find("broken_of_test:io")
    shown = trouble.value.details
    assert "broken_of_test.py" in shown
    assert "in deep" in shown
    assert "importlib" not in shown
    assert "target.py" not in shown


def test_a_module_that_misses_another_one_is_not_called_missing(folder: Path) -> None:
    write(folder, "needy_of_test.py", "import no_such_library_at_all\n")
    with pytest.raises(Trouble, match="needy_of_test cannot be imported: ModuleNotFoundError"):
        find("needy_of_test:io")


def test_a_syntax_error_shows_its_line(folder: Path) -> None:
    write(folder, "typo_of_test.py", "io = = 3\n")
    with pytest.raises(Trouble, match="SyntaxError") as trouble:
        find("typo_of_test:io")
    assert "io = = 3" in trouble.value.details


def test_a_module_that_runs_itself_is_stopped(folder: Path) -> None:
    write(folder, "eager_of_test.py", "from socketeer import Server\nio = Server()\nio.run(port=1)\n")
    before = Server.run
    with pytest.raises(Trouble, match=r"calls io.run\(\) while it is imported") as trouble:
        find("eager_of_test:io")
    assert "__main__" in trouble.value.advice
    assert Server.run is before
