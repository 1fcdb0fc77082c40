from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from socketeer.errors import OptionError
from socketeer.options import (
    Backpressure,
    Compression,
    Cookie,
    Cors,
    EngineOptions,
    Limits,
    PerMessageDeflate,
    Recovery,
    ServerOptions,
)

GROUPS: list[Callable[..., Any]] = [
    Backpressure,
    Compression,
    Cookie,
    Cors,
    EngineOptions,
    Limits,
    PerMessageDeflate,
    Recovery,
    ServerOptions,
]


def given(group: Any) -> dict[str, Any]:
    return {field.name: getattr(group, field.name) for field in fields(group)}


# --- defaults: engine.io 6.6, cors 2.8, socket.io 4.8; times here in seconds -----------------------


def test_the_engines_defaults() -> None:
    assert given(EngineOptions()) == {
        "path": "/socket.io",
        "add_trailing_slash": True,
        "transports": ("polling", "websocket"),
        "ping_interval": 25,
        "ping_timeout": 20,
        "upgrade_timeout": 10,
        "max_http_buffer_size": 1_000_000,
        "allow_upgrades": True,
        "allow_eio3": False,
        "initial_packet": None,
        "cors": None,
        "cookie": None,
        "http_compression": Compression(threshold=1024),
        "per_message_deflate": None,
        "allow_request": None,
        "backpressure": Backpressure(),
        "limits": Limits(),
    }


def test_the_defaults_of_recovery() -> None:
    recovery = given(Recovery())
    assert recovery.pop("max_disconnection_duration") == 120
    assert recovery.pop("skip_middlewares") is True
    assert recovery == {"max_sessions": 100_000, "max_packets": 100_000, "max_bytes": 64 * 1024 * 1024}


@pytest.mark.parametrize(
    ("given_option", "expected"),
    [
        (None, None),
        (False, None),
        (True, Recovery()),
        ({"skip_middlewares": False}, Recovery(skip_middlewares=False)),
        (Recovery(max_packets=5), Recovery(max_packets=5)),
    ],
)
def test_recovery_as_an_option(given_option: Any, expected: Recovery | None) -> None:
    assert ServerOptions(connection_state_recovery=given_option).connection_state_recovery == expected


def test_the_servers_defaults() -> None:
    assert given(ServerOptions()) == {
        "connect_timeout": 45,
        "cleanup_empty_child_namespaces": False,
        "connection_state_recovery": None,
        "serve_client": True,
    }


def test_the_defaults_of_per_message_deflate() -> None:
    """The threshold is ws's; the two booleans are ours (docs/decisions/0006)."""
    assert given(PerMessageDeflate()) == {
        "threshold": 1024,
        "server_no_context_takeover": True,
        "client_no_context_takeover": True,
        "server_max_window_bits": None,
        "client_max_window_bits": None,
        "level": 1,
        "mem_level": 8,
    }


def test_the_official_limit_of_attachments() -> None:
    assert Limits().max_attachments == 10


# --- groups ------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_groups_are_frozen_and_comparable(group: Callable[..., Any]) -> None:
    options = group()
    assert options == group()
    with pytest.raises(FrozenInstanceError):
        setattr(options, fields(options)[0].name, "other")
    assert not hasattr(options, "__dict__")


@pytest.mark.parametrize("group", GROUPS)
def test_a_misspelt_option_is_a_type_error(group: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="'pingInterval'"):
        group(pingInterval=25)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("cors", Cors("http://a"), Cors("http://a")),
        ("cors", {"origin": "http://a", "credentials": True}, Cors("http://a", credentials=True)),
        ("cors", True, Cors()),
        ("cors", False, None),
        ("cors", None, None),
        ("cookie", True, Cookie()),
        ("cookie", {"name": "sid"}, Cookie("sid")),
        ("cookie", False, None),
        ("http_compression", True, Compression()),
        ("http_compression", {"threshold": 10}, Compression(10)),
        ("per_message_deflate", True, PerMessageDeflate()),
        ("per_message_deflate", False, None),
        ("per_message_deflate", {"threshold": 10, "level": 9}, PerMessageDeflate(threshold=10, level=9)),
        ("http_compression", False, None),
        ("limits", {"max_sessions": 5}, Limits(max_sessions=5)),
        ("limits", None, Limits()),
        ("backpressure", {"max_bytes": 70_000}, Backpressure(max_bytes=70_000)),
        ("backpressure", None, Backpressure()),
    ],
)
def test_a_group_may_be_given_as_a_mapping_or_switched(option: str, value: Any, expected: Any) -> None:
    assert getattr(EngineOptions(**{option: value}), option) == expected


@pytest.mark.parametrize("option", ["cors", "cookie", "http_compression", "limits", "backpressure"])
def test_a_mapping_with_a_misspelt_key_names_the_group_and_the_key(option: str) -> None:
    with pytest.raises(TypeError, match=f"^{option}: .*'orign'"):
        EngineOptions(**{option: {"orign": "http://a"}})  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["cors", "cookie", "http_compression", "limits", "backpressure"])
def test_a_group_of_another_type_is_refused(option: str) -> None:
    with pytest.raises(OptionError, match=f"^{option}: expected .*, got 'http://a'"):
        EngineOptions(**{option: "http://a"})  # type: ignore[arg-type]


# --- values out of range -----------------------------------------------------------------------

NO_POSITIVE_NUMBER = [0, -1, -0.5, math.nan, math.inf, True, "5", None]
NO_POSITIVE_WHOLE_NUMBER = [0, -1, 1.5, math.nan, math.inf, True, "5"]


@pytest.mark.parametrize("value", NO_POSITIVE_NUMBER)
@pytest.mark.parametrize(
    ("group", "option", "name"),
    [
        (EngineOptions, "ping_interval", "ping_interval"),
        (EngineOptions, "ping_timeout", "ping_timeout"),
        (EngineOptions, "upgrade_timeout", "upgrade_timeout"),
        (ServerOptions, "connect_timeout", "connect_timeout"),
        (Limits, "body_timeout", "limits.body_timeout"),
        (Limits, "attachment_timeout", "limits.attachment_timeout"),
    ],
)
def test_times_are_above_zero(group: Callable[..., Any], option: str, name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=rf"^{re.escape(name)}: expected .*, got {re.escape(repr(value))}$"):
        group(**{option: value})
    assert getattr(group(**{option: 0.25}), option) == 0.25


@pytest.mark.parametrize("value", NO_POSITIVE_WHOLE_NUMBER)
@pytest.mark.parametrize(
    ("group", "option", "name"),
    [
        (EngineOptions, "max_http_buffer_size", "max_http_buffer_size"),
        (Limits, "max_payload_packets", "limits.max_payload_packets"),
        (Limits, "max_fragments", "limits.max_fragments"),
        (Limits, "max_namespaces", "limits.max_namespaces"),
        (Limits, "max_namespace_length", "limits.max_namespace_length"),
        (Limits, "max_sessions", "limits.max_sessions"),
        (Limits, "max_sessions_per_address", "limits.max_sessions_per_address"),
    ],
)
def test_counts_are_whole_and_above_zero(
    group: Callable[..., Any], option: str, name: str, value: Any
) -> None:
    with pytest.raises(OptionError, match=rf"^{re.escape(name)}: expected .*, got {re.escape(repr(value))}$"):
        group(**{option: value})
    assert getattr(group(**{option: 1}), option) == 1


def test_a_size_may_be_written_with_an_exponent() -> None:
    size = EngineOptions(max_http_buffer_size=1e8).max_http_buffer_size  # type: ignore[arg-type]
    assert (type(size), size) == (int, 100_000_000)


@pytest.mark.parametrize("value", [-1, 1.5, "10", True, None])
@pytest.mark.parametrize(
    ("group", "option", "name"),
    [
        (Limits, "max_attachments", "limits.max_attachments"),
        (Compression, "threshold", "http_compression.threshold"),
    ],
)
def test_these_may_be_zero(group: Callable[..., Any], option: str, name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=rf"^{re.escape(name)}: expected .*, got {re.escape(repr(value))}$"):
        group(**{option: value})
    assert getattr(group(**{option: 0}), option) == 0


@pytest.mark.parametrize("level", [-2, 10, 1.0, "1", True, None])
@pytest.mark.parametrize("name", ["level", "mem_level"])
def test_zlibs_levels(name: str, level: Any) -> None:
    for group, option in ((Compression, "http_compression"), (PerMessageDeflate, "per_message_deflate")):
        with pytest.raises(
            OptionError, match=rf"^{option}\.{name}: expected a whole number from -?[01] to 9"
        ):
            group(**{name: level})


@pytest.mark.parametrize(
    "marks",
    [
        {"low_water": -1},
        {"low_water": 70_000},
        {"high_water": 20_000_000},
        {"max_bytes": 60_000},
        {"high_water": "65536"},
        {"max_bytes": math.inf},
        {"low_water": None},
    ],
)
def test_the_water_marks_are_in_order(marks: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"^backpressure\b.*expected .*, got "):
        Backpressure(**marks)


def test_the_water_marks_may_be_equal() -> None:
    assert Backpressure(high_water=0, low_water=0, max_bytes=0).max_bytes == 0


# --- path, transports, allow_request -----------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kept"),
    [("/socket.io", "/socket.io"), ("/socket.io/", "/socket.io"), ("/a/b/", "/a/b"), ("/", "")],
)
def test_the_path_is_kept_without_its_last_slash(path: str, kept: str) -> None:
    assert EngineOptions(path=path).path == kept


@pytest.mark.parametrize("path", ["", "socket.io", None, b"/socket.io"])
def test_a_path_begins_with_a_slash(path: Any) -> None:
    with pytest.raises(OptionError, match=r"^path: expected .*'/socket\.io'"):
        EngineOptions(path=path)


def test_transports_may_be_a_list() -> None:
    options = EngineOptions(transports=["websocket"])  # type: ignore[arg-type]
    assert options.transports == ("websocket",)


@pytest.mark.parametrize("transports", [(), "polling", ("polling", "webtransports"), [None], None, 5])
def test_transports_are_some_that_exist(transports: Any) -> None:
    with pytest.raises(OptionError, match=r"^transports: expected .*'polling', 'websocket'"):
        EngineOptions(transports=transports)


def test_allow_request_is_a_callable() -> None:
    assert EngineOptions(allow_request=bool).allow_request is bool
    with pytest.raises(OptionError, match=r"^allow_request: expected a callable, got True"):
        EngineOptions(allow_request=True)  # type: ignore[arg-type]


# --- compression over WebSocket ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("threshold", [0, 1], [-1, 1.5, "1", True, None]),
        ("server_max_window_bits", [None, 8, 15], [7, 16, True, False, "8", 8.0]),
        ("client_max_window_bits", [None, 8, 15], [7, 16, True, False, "8", 8.0]),
        ("level", [-1, 0, 9], [-2, 10, None, True]),
        ("mem_level", [1, 9], [0, 10, None, True]),
        ("server_no_context_takeover", [True, False], [None, 0, 1, "yes"]),
        ("client_no_context_takeover", [True, False], [None, 0, 1, "yes"]),
    ],
)
def test_per_message_deflate_is_checked(option: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(PerMessageDeflate(**{option: value}), option) == value
    for value in bad:
        with pytest.raises(OptionError, match=rf"^per_message_deflate\.{option}: expected "):
            PerMessageDeflate(**{option: value})


def test_a_range_is_named() -> None:
    with pytest.raises(OptionError, match=r"expected a whole number from 8 to 15, got 16$"):
        PerMessageDeflate(server_max_window_bits=16)
    with pytest.raises(TypeError, match=r"^per_message_deflate: .*'treshold'"):
        EngineOptions(per_message_deflate={"treshold": 1})  # type: ignore[arg-type]
