"""A socket as other nodes see it, whatever is missing or wrong in what they are told."""

from __future__ import annotations

import math
from typing import Any

import pytest

from socketeer.adapters.codec import decode, encode
from socketeer.adapters.messages import FetchedSocket, convert
from socketeer.adapters.remote import RemoteDetails, RemoteHandshake, describe, details

HANDSHAKE: dict[str, Any] = {
    "headers": {"host": "a.example"},
    "query": {"EIO": "4"},
    "auth": {"token": "secret"},
    "url": "/socket.io/?EIO=4",
    "address": "192.0.2.7",
    "time": "Thu Jan 01 2026",
    "issued": 1767225600000,
    "secure": True,
    "xdomain": True,
}


def as_dict(handshake: RemoteHandshake) -> dict[str, Any]:
    return {name: getattr(handshake, name) for name in HANDSHAKE}


def test_what_is_described_arrives_as_it_was() -> None:
    socket = RemoteDetails("s1", {"s1", "room"}, {"name": "Ann", "blob": b"x"}, RemoteHandshake(**HANDSHAKE))
    there = details(convert(decode(encode(describe(socket).plain())), FetchedSocket))
    assert (there.id, there.rooms, there.data) == (socket.id, socket.rooms, socket.data)
    assert as_dict(there.handshake) == HANDSHAKE


def test_what_is_missing_is_empty() -> None:
    there = details(FetchedSocket("s1", {}, []))
    assert as_dict(there.handshake) == as_dict(RemoteHandshake())
    assert (there.rooms, there.data) == (set(), None)


@pytest.mark.parametrize("wrong", [None, 5, math.nan, math.inf, "yes", [], {"a": 1}])
def test_what_is_wrong_is_passed_over(wrong: Any) -> None:
    handshake = as_dict(details(FetchedSocket("s1", dict.fromkeys(HANDSHAKE, wrong), [])).handshake)
    for name, value in as_dict(RemoteHandshake()).items():
        # What is right for this field is taken, and of the type that it must have.
        assert type(handshake[name]) is type(value)
        assert handshake[name] in (value, wrong)


def test_rooms_that_are_numbers_are_strings() -> None:
    assert details(FetchedSocket("s1", {}, [1, "a"])).rooms == {"1", "a"}


def test_a_handshake_shows_no_secrets() -> None:
    assert "secret" not in repr(RemoteHandshake(**HANDSHAKE))
