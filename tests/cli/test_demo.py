"""`socketeer demo` as a process; in a browser it is tested in tests/browser."""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

import pytest

from socketeer.cli.demo import CLIENT, page
from tests.support.command import Command, port_of, socketeer
from tests.support.peers import WebSocket
from tests.support.raw import fetch
from tests.support.repository import ROOT


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Command]:
    """The demo on a machine without npm and without a cache."""
    nowhere = {"PATH": str(tmp_path), "SOCKETEER_CACHE": str(tmp_path / "cache")}
    with socketeer("demo", "--port", "0", env=nowhere) as process:
        yield process


def test_the_page_is_part_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["socketeer"]
    served = [each.name for each in files("socketeer.cli").iterdir() if each.name.startswith("demo_page.")]
    assert sorted(served) == ["demo_page.css", "demo_page.html", "demo_page.js"]
    assert [name for name in served if not any(fnmatch(f"cli/{name}", each) for each in patterns)] == []
    assert page(None).keys() == {"/", "/demo_page.css", "/demo_page.js"}


def test_nothing_is_served_from_elsewhere() -> None:
    for name, content in page(None).items():
        assert b"https://" not in content, name
        assert b"http://" not in content.replace(b"http://www.w3.org/2000/svg", b""), name


async def test_the_page_with_its_client(client_cache: dict[str, str]) -> None:
    with socketeer("demo", "--port", "0", env=client_cache) as process:
        port = port_of(process.wait_for("The chat is on http://localhost:"))
        home = await fetch(port, "GET", "/")
        assert (home.status, home.header("content-type")) == (200, "text/html; charset=utf-8")
        client = await fetch(port, "GET", f"/{CLIENT}")
        assert b"Socket.IO v4.8.4" in client.body
        process.stop()
    assert process.out == [
        f"The chat is on http://localhost:{port}: open it in two tabs. Ctrl-C ends it.",
        "The demo has ended.",
    ]
    assert process.err == []


async def test_without_npm_it_says_so_and_shows_itself_in_the_terminal(alone: Command) -> None:
    port = port_of(alone.wait_for("The chat's server is on http://localhost:").replace(". Ctrl", " . Ctrl"))
    first = alone.out[0]
    assert "npm" in first
    assert "was not found" in first
    assert any("Install Node.js 18 or newer" in line for line in alone.out)
    assert alone.wait_for("curl ").endswith(
        f'curl "http://localhost:{port}/socket.io/?EIO=4&transport=polling"'
    )
    assert (await fetch(port, "GET", "/")).status == 200
    assert (await fetch(port, "GET", f"/{CLIENT}")).status == 404

    visitor = await WebSocket.open(port)
    sid = await visitor.connect()
    assert "connected" in alone.wait_for(f"socket.id {sid}")
    await visitor.send('42["chat message","hello \\u001b[2J"]')
    assert alone.wait_for("'hello ").endswith("'hello \\x1b[2J', to 0 others")
    await visitor.bye()
    alone.wait_for("disconnected")
    assert alone.stop() < 5
    assert alone.wait() == 0
    assert alone.err == []


def test_two_python_clients_talk_in_the_terminal(client_cache: dict[str, str]) -> None:
    with socketeer("demo", "--port", "0", "--terminal", env=client_cache) as process:
        port = port_of(process.wait_for("The chat is on"))
        assert process.wait_for("Join them").endswith(f"socketeer connect http://localhost:{port}/terminal")
        assert "Athos: 'Is anybody there?'" in process.wait_for("Porthos               hears")
        assert "1 other, in " in process.wait_for("Porthos               acknowledged")
        assert sum("upgraded" in line for line in process.out) == 2
        process.stop()
    assert process.wait() == 0
    assert process.out[-1] == "The demo has ended."
    assert process.err == []


def test_a_taken_port_names_the_option(client_cache: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with socketeer("demo", "--port", str(port), env=client_cache) as process:
            assert process.wait() == 1
    assert "is taken" in process.err[0]
    assert "--port" in process.err[1]
