"""From a command's options to a client; what a person is told who gets nowhere."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from socketeer.cli.dialing import Dial, advice, read_auth, read_pairs, refused
from socketeer.cli.trouble import Trouble
from socketeer.errors import ConnectionRefused, TransportError


@pytest.mark.parametrize(
    ("dial", "url", "nsp"),
    [
        (Dial("localhost:3004"), "http://localhost:3004", "/"),
        (Dial("https://a.example/chat"), "https://a.example", "/chat"),
        (Dial("localhost:1/", namespace="chat"), "http://localhost:1", "/chat"),
        (Dial("localhost:1/chat", namespace="/chat"), "http://localhost:1", "/chat"),
    ],
)
async def test_where_to(dial: Dial, url: str, nsp: str) -> None:
    client = dial.client()
    assert (client.io.url, client.nsp) == (url, nsp)
    await client.close()


def test_the_target_shows_no_password_and_obeys_nothing() -> None:
    assert Dial("http://me:secret@localhost:1/chat").target == "http://localhost:1/socket.io"
    assert Dial("localhost:1", path="/\x1b[2J").target == r"http://localhost:1/\u001b[2J"


def test_auth() -> None:
    assert read_auth([]) is None
    assert read_auth(['{"n": [1]}', "token=a=b", "n=2"]) == {"n": "2", "token": "a=b"}
    for wrong in ("[1]", "token", "{1}"):
        with pytest.raises(Trouble, match="--auth"):
            read_auth([wrong])


def test_pairs() -> None:
    assert read_pairs("--header", ["A: b: c", "D:"], ":", "") == {"A": "b: c", "D": ""}
    with pytest.raises(Trouble, match="--query"):
        read_pairs("--query", ["=1"], "=", "")


def caused(message: str, cause: BaseException, description: Any = None) -> TransportError:
    error = TransportError(message, description)
    error.__cause__ = OSError("between")
    error.__cause__.__context__ = (
        ExceptionGroup("several", [cause]) if isinstance(cause, Exception) else cause
    )
    return error


@pytest.mark.parametrize(
    ("error", "proxy", "says"),
    [
        (caused("x", ConnectionRefusedError()), None, "Is the server running"),
        (caused("x", ConnectionRefusedError()), "http://p:1", "--proxy"),
        (caused("x", socket.gaierror()), None, "host's name"),
        (caused("x", ssl.SSLCertVerificationError()), None, "--insecure"),
        (caused("x", ssl.SSLError()), None, "http://"),
        (TransportError("polling: status 404", 404), None, "--path"),
        (TransportError("polling: status 400", 400), None, "--transport"),
        (TransportError("polling: status 401", 401), None, "--auth"),
        (TransportError("no connection within 3 s (timeout)"), None, "--timeout"),
        (TransportError("the connection ended before the namespace was joined"), None, "--parser"),
        (TransportError("something else"), None, "--transport"),
    ],
)
def test_advice_names_what_to_change(error: TransportError, proxy: str | None, says: str) -> None:
    assert says in advice(error, Dial("localhost:1", proxy=proxy))


def test_a_refusal_is_escaped() -> None:
    trouble = refused(ConnectionRefused("no\x1b[2J", {"why": "\x07"}), "/")
    assert trouble.wrong == r'/ refused the connection: no\u001b[2J {"why":"\u0007"}'
