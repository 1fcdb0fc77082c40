"""The client's options: what is taken, what is refused, and that the refusal says why."""

from __future__ import annotations

import math
import ssl
from typing import Any

import pytest

from socketeer.client_options import ConnectOptions, ReconnectOptions, SocketOptions
from socketeer.errors import OptionError
from socketeer.options import Backpressure, Limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("path", "socket.io"),
        ("path", None),
        ("path", "/a?b"),
        ("path", "/a#b"),
        ("path", "/a b"),
        ("path", "/a\r\nX: y"),
        ("path", "/\ud800"),
        ("transports", ()),
        ("transports", "polling"),
        ("transports", ("webtransport",)),
        ("transports", 7),
        ("query", "a=b"),
        ("query", {"a": None}),
        ("query", {"a": b"b"}),
        ("query", {"a": True}),
        ("query", {1: "a"}),
        ("query", {"a": "\ud800"}),
        ("extra_headers", ["a"]),
        ("extra_headers", {"a": "b\r\nX: y"}),
        ("extra_headers", {"a": "b\nX: y"}),
        ("extra_headers", {"a": "\x00"}),
        ("extra_headers", {"a b": "c"}),
        ("extra_headers", {"": "c"}),
        ("extra_headers", {"ä": "c"}),
        ("upgrade", "yes"),
        ("remember_upgrade", 1),
        ("try_all_transports", None),
        ("force_base64", 0),
        ("ssl", "no"),
        ("ssl", None),
        ("proxy", "localhost:3128"),
        ("proxy", "socks4://h:1"),
        ("proxy", "http://"),
        ("proxy", "http://h:99999"),
        ("proxy", 7),
        ("max_message_size", 0),
        ("max_message_size", True),
        ("max_message_size", "1"),
        ("max_message_size", math.inf),
        ("backpressure", 7),
        ("limits", "none"),
    ],
)
def test_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{name}"):
        ConnectOptions(**{name: value})


def test_a_refused_headers_value_is_not_shown() -> None:
    with pytest.raises(OptionError) as caught:
        ConnectOptions(extra_headers={"authorization": "s3cret\x00"})
    assert "s3cret" not in str(caught.value)


def test_taken() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = ConnectOptions(
        path="/a/",
        transports=["websocket"],  # type: ignore[arg-type]
        query={"n": 1, "f": 1.5, "s": "ü="},  # type: ignore[dict-item]
        extra_headers={"X-Token": " t\tü \n"},
        ssl=context,
        proxy="socks5h://user:pass@[::1]:1080",
        max_message_size=1e6,  # type: ignore[arg-type]
        backpressure={"max_bytes": 100_000},  # type: ignore[arg-type]
    )
    assert options.path == "/a"
    assert options.transports == ("websocket",)
    assert options.query == {"n": "1", "f": "1.5", "s": "ü="}
    assert options.extra_headers == {"X-Token": "t\tü"}
    assert options.max_message_size == 1_000_000
    assert type(options.max_message_size) is int
    assert options.backpressure == Backpressure(max_bytes=100_000)
    assert ConnectOptions().limits == Limits()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reconnection_attempts", -1),
        ("reconnection_attempts", True),
        ("reconnection_delay", -1),
        ("reconnection_delay", math.inf),
        ("reconnection_delay_max", "5"),
        ("randomization_factor", 1.5),
        ("timeout", -1),
    ],
)
def test_reconnection_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{name}"):
        ReconnectOptions(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("auth", 7), ("retries", -1), ("ack_timeout", "1")])
def test_delivery_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{name}"):
        SocketOptions(**{name: value})
