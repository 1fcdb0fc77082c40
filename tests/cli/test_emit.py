"""`socketeer emit` as a process, against the official server and ours: what it prints, and its exit status."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from interop.harness import Servers
from tests.support.command import Command, socketeer
from tests.support.repository import ROOT


def emit(*args: str) -> Command:
    with socketeer("emit", *args) as process:
        process.wait()
        return process


def status(process: Command) -> int:
    return process.wait()


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


@pytest.mark.parametrize("transport", [(), ("--transport", "polling"), ("--transport", "websocket")])
def test_an_acknowledgement_is_all_there_is_on_standard_output(url: str, transport: tuple[str, ...]) -> None:
    done = emit(url, "ack", "1", "hello", '{"a": [null, "\\u001b[2J"]}', "--ack", *transport)
    assert done.out == ["1", '"hello"', '{"a":[null,"\\u001b[2J"]}']
    assert done.err == []
    assert status(done) == 0


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_without_ack_it_leaves_once_the_event_is_on_its_way(
    servers: dict[str, Servers], transport: str
) -> None:
    for each in servers.values():
        process, url = each.get("default")
        # With the goodbye in the same read, the official server would drop it.
        done = emit(url, "raise", "x" * 1000, "--query", f"tag={transport}", "--transport", transport)
        assert (done.out, done.err, status(done)) == ([], [], 0)
        noted = process.find(lambda entry: entry.get("kind") == "error" and entry.get("tag") == transport)
        assert noted["message"] == "x" * 1000


def test_files_and_standard_input(url: str, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\x00\xff")
    done = subprocess.run(
        [sys.executable, "-m", "socketeer.cli", "emit", url, "ack", f"@{tmp_path / 'bytes'}", "-", "--ack"],
        input="two words\n",
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (
        ['{"base64":"AP8="}', '"two words"'],
        "",
        0,
    )


def test_auth_headers_query_and_namespace_arrive(url: str) -> None:
    done = emit(
        *(f"{url}/", "handshake", "--ack", "--namespace", "chat", "--auth", '{"n": 1}', "--auth", "token=12"),
        *("-H", "X-One: a: b", "--query", "q=r=s"),
    )
    told = json.loads(done.out[0])
    assert told["auth"] == {"n": 1, "token": "12"}
    assert told["headers"]["x-one"] == "a: b"
    assert told["query"]["q"] == "r=s"


def test_msgpack(servers: dict[str, Servers]) -> None:
    for each in servers.values():
        _, url = each.get("msgpack")
        done = emit(url, "ack", '{"deep": [1.5]}', "--ack", "--parser", "msgpack")
        assert (done.out, status(done)) == (['{"deep":[1.5]}'], 0)


def test_nobody_acknowledges(url: str) -> None:
    done = emit(url, "silent", "--ack", "--timeout", "0.5")
    assert (done.out, status(done)) == ([], 3)
    assert done.err[0] == "error: no acknowledgement of silent within 0.5 s"
    assert "--timeout" in done.err[1]


def test_retries_send_it_again(url: str) -> None:
    done = emit(url, "unreliable", '"k-retries"', "--ack", "--retries", "3", "--timeout", "0.5")
    assert (done.out, status(done)) == (["2"], 0)


def test_a_refusal_says_what_the_server_said(url: str) -> None:
    done = emit(url, "x", "--namespace", "/secret", "--auth", "token=no")
    assert status(done) == 1
    assert done.err == [
        'error: /secret refused the connection: wrong token {"code":4001,"hints":["spelling",{"case":true}]}',
        "What the server wants to know is given by --auth, --query or --header.",
    ]
    done = emit(f"{url}/nowhere", "x")
    assert status(done) == 1
    assert done.err[0] == "error: /nowhere refused the connection: Invalid namespace"
    assert "--namespace" in done.err[1]


def test_the_server_disconnects_while_it_waits(url: str) -> None:
    done = emit(url, "disconnect_me", "true", "--ack")
    assert (done.out, status(done)) == ([], 1)
    assert "was not acknowledged" in done.err[0]


def test_the_wrong_parser_does_not_hang(official: str) -> None:
    done = emit(official, "x", "--parser", "msgpack")
    assert status(done) == 1
    assert "ended before the namespace was joined" in done.err[0]
    assert "--parser" in done.err[1]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_nothing_listens(nobody: str, transport: str) -> None:
    done = emit(nobody, "x", "--transport", transport)
    assert status(done) == 1
    assert done.err[0].startswith(f"error: no connection to {nobody}/socket.io: {transport}: ")
    assert done.err[1].startswith("Nothing listens there.")
    assert len(done.err) == 2


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("URL", "x", "@/no/such/file"), "/no/such/file"),
        (("URL", "x", "-", "-"), "standard input"),
        (("URL", "connect"), "reserved"),
        (("URL", "x", str(2**70)), "cannot be sent"),
        (("ftp://localhost", "x"), "http://localhost:3004"),
        (("URL", "x", "--auth", "{"), "--auth"),
        (("URL", "x", "--query", "q"), "--query"),
        (("URL", "x", "--header", "h"), "--header"),
        (("URL", "x", "--path", "socket.io"), "--path"),
        (("URL", "x", "--proxy", "localhost"), "--proxy"),
        (("URL/a", "x", "--namespace", "/b"), "--namespace"),
        (("URL", "x", "--transport", "pigeon"), "--transport"),
        (("URL", "x", "--timeout", "0"), "--timeout"),
    ],
)
def test_wrong_usage_names_what_to_change(args: tuple[str, ...], says: str, official: str) -> None:
    done = emit(*(each.replace("URL", official) for each in args))
    assert status(done) == 2
    assert says in " ".join(done.err)
    assert "Traceback" not in " ".join(done.err)
    assert done.out == []


def test_what_only_looks_like_json_is_a_string_with_a_hint(url: str) -> None:
    done = emit(url, "ack", "{a: 1}", "[info] hello", "--ack")
    assert done.out == ['"{a: 1}"', '"[info] hello"']
    assert len(done.err) == 1
    assert "'{a: 1}' is no JSON" in done.err[0]
