"""Each example runs as it is; the tutorial's runs in a browser (tests/browser), the one for two servers with nginx (interop)."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from socketeer import BlockingClient, PacketParser
from socketeer.testing import ParserContract
from tests.support.client_cache import client_cache
from tests.support.command import Command, command, port_of, socketeer
from tests.support.peers import WebSocket
from tests.support.raw import fetch
from tests.support.repository import ROOT

__all__ = ["client_cache"]

EXAMPLES = ROOT / "examples"


def test_each_example_stands_in_the_list_and_is_run_by_a_test() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    listed = re.findall(
        r"^\| \[(\w+\.py)\]", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(listed) == names
    tests = "".join(
        path.read_text(encoding="utf-8")
        for path in (
            ROOT / "tests" / "test_examples.py",
            ROOT / "tests" / "browser" / "test_tutorial.py",
            ROOT / "interop" / "test_behind_nginx.py",
        )
    )
    assert [name for name in names if name.removesuffix(".py") not in tests] == []


def test_the_readme_shows_the_tutorial_as_it_is() -> None:
    source = (EXAMPLES / "tutorial.py").read_text(encoding="utf-8")
    docstring = ast.parse(source).body[0]
    code = "\n".join(source.splitlines()[docstring.end_lineno or 0 :]).strip()
    assert f"```python\n{code}\n```" in (ROOT / "README.md").read_text(encoding="utf-8")


async def test_the_tutorials_page(client_cache: dict[str, str]) -> None:
    with command("examples/tutorial_page.py", "0", env=client_cache) as process:
        port = port_of(process.wait_for("http://localhost:"))
        assert "http://localhost:3004" in (await fetch(port, "GET", "/")).text
        assert b"Socket.IO v4.8.4" in (await fetch(port, "GET", "/socket.io.esm.min.js")).body
        assert (await fetch(port, "GET", "/nothing")).status == 404


@pytest.fixture
def fastapi_app() -> Iterator[Command]:
    with socketeer("run", "fastapi_app:app", "--port", "0", cwd=EXAMPLES) as process:
        yield process


async def test_beside_fastapi_http_requests_emit_to_those_who_follow(fastapi_app: Command) -> None:
    port = port_of(fastapi_app.wait_for("listens on"))
    reader, other = await WebSocket.open(port), await WebSocket.open(port)
    await reader.connect()
    await other.connect()
    assert (await fetch(port, "GET", "/")).text == '{"clients":2}'

    await reader.send('420["follow",{"name":"weather"}]')
    assert await reader.message() == '30[["weather"]]'
    await other.send('420["follow",{"name":7}]')  # pydantic refuses it, and no handler is called
    posted = await fetch(port, "POST", "/topics/weather?news=sunshine")
    assert json.loads(posted.body) == {"readers": 1}
    assert await reader.message() == '2["news","weather","sunshine"]'

    fastapi_app.wait_for("event 'follow'")
    await reader.bye()
    await other.bye()
    assert fastapi_app.stop() < 5


@pytest.fixture
def json_app() -> Iterator[Command]:
    with socketeer("run", "json_parser:io", "--port", "0", cwd=EXAMPLES) as process:
        yield process


async def test_packets_as_plain_json(json_app: Command) -> None:
    port = port_of(json_app.wait_for("listens on"))
    client = await WebSocket.open(port)
    await client.send('4{"type":0,"nsp":"/"}')
    assert json.loads(await client.message())["data"].keys() == {"sid"}
    await client.send('4{"type":2,"nsp":"/","data":["chat message","hello"],"id":7}')
    assert await client.message() == '{"type":2,"data":["chat message","hello"],"nsp":"/"}'
    assert await client.message() == '{"type":3,"data":["delivered"],"id":7,"nsp":"/"}'
    await client.bye()
    assert json_app.stop() < 5


class TestJsonParser(ParserContract):
    """interop/client/json.mjs runs it against the official client."""

    sends_binary = False

    def make_parser(self) -> PacketParser:
        from examples.json_parser import JsonParser

        return JsonParser()


@pytest.fixture
def class_based() -> Iterator[Command]:
    with socketeer("run", "class_based:io", "--port", "0", cwd=EXAMPLES) as process:
        yield process


async def test_a_chat_as_a_class(class_based: Command) -> None:
    port = port_of(class_based.wait_for("listens on"))
    nameless, ada, bob = [await WebSocket.open(port) for _ in range(3)]
    await nameless.send("40/chat,")
    assert await nameless.message() == '4/chat,{"message":"name: expected some text"}'
    for number, (client, name) in enumerate(((ada, "Ada"), (bob, "Bob")), 1):
        await client.send(f'40/chat,{{"name":"{name}"}}')
        assert str(await client.message()).startswith('0/chat,{"sid":')
        assert await client.message() == f'2/chat,["welcome",{number}]'

    await ada.send('42/chat,0["chat message","den","hi"]')
    assert await ada.message() == '3/chat,0["enter the room first"]'
    await ada.send('42/chat,1["enter","den"]')
    assert await ada.message() == '3/chat,1["you are in den"]'
    await bob.send('42/chat,0["enter","den"]')
    assert await bob.message() == '3/chat,0["you are in den"]'
    assert await ada.message() == '2/chat,["entered","den","Bob"]'
    await bob.send('42/chat,1["chat message","den","hello"]')
    assert await bob.message() == '2/chat,["chat message","den","Bob","hello"]'
    assert await bob.message() == '3/chat,1["delivered"]'
    assert await ada.message() == '2/chat,["chat message","den","Bob","hello"]'

    await bob.bye()
    assert await ada.message() == '2/chat,["left","den","Bob"]'
    await ada.bye()
    await nameless.bye()
    assert class_based.stop() < 5


@pytest.fixture
def chat_url() -> Iterator[str]:
    """The demo's chat stands in for the tutorial's server, which has a fixed port."""
    with socketeer("run", "tests.support.chat:io", "--port", "0", cwd=ROOT) as process:
        yield f"http://127.0.0.1:{port_of(process.wait_for('listens on'))}"


def test_a_client_follows_the_chat(chat_url: str) -> None:
    with command("examples/client.py", chat_url) as one, BlockingClient(chat_url) as other:
        one.wait_for("connected as")
        one.wait_for("the server says delivered")
        assert other.emit_with_ack("chat message", "to all", timeout=10) == "delivered"
        one.wait_for("< to all")
        other.emit("leave")
        one.wait_for("disconnected: transport close")
        assert one.stop() < 5
        assert one.err == []


def test_a_client_for_ordinary_threads(chat_url: str) -> None:
    with (
        command("examples/blocking_client.py", chat_url, stdin=subprocess.PIPE) as one,
        BlockingClient(chat_url) as other,
        other.events("chat message") as events,
    ):
        one.wait_for("connected as")
        one.write("typed")
        assert next(events).args == ("typed",)
        one.wait_for("delivered")
        other.emit("chat message", "to all")
        one.wait_for("< to all")
        one.write("")
        assert one.wait() == 0
        assert one.err == []
