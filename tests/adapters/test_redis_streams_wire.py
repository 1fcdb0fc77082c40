"""The format of the official streams adapter, by what it has written, and by what nobody should."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.adapters.messages import Broadcast, EventPacket, Fetch, Kind, Message, Opts
from socketeer.adapters.redis_streams_wire import (
    entries_of,
    fields_of,
    named,
    pack_aside,
    pack_entry,
    pack_session,
    parse_aside,
    parse_entry,
    parse_id,
    stamped,
    stream_for,
    stream_names,
    unpack_session,
)
from socketeer.errors import PacketError
from socketeer.protocol.msgpack import pack_plain, unpack_plain
from socketeer.server.adapter import StoredSession, Target


def event(*args: Any, nsp: str = "/") -> Message:
    data = Broadcast(opts=Opts.of(Target(("a",))), packet=EventPacket(list(args)))
    return Message(Kind.BROADCAST, nsp, "0123456789abcdef", data)


def test_an_entry_as_the_official_adapter_writes_it() -> None:
    fields = fields_of(pack_entry(event("news", {"n": 1}, "é")))
    text = (
        '{"opts":{"rooms":["a"],"except":[],"flags":{}},"packet":{"type":2,"data":["news",{"n":1},"\u00e9"]}}'
    )
    assert fields == [
        *(b"uid", b"0123456789abcdef", b"nsp", b"/", b"type", b"3"),
        *(b"data", text.encode()),
    ]


def test_binary_is_messagepack_in_base64() -> None:
    fields = named(fields_of(pack_entry(event("news", b"\x00\xff"), 5)))
    data = unpack_plain(b64decode(fields[b"data"]))
    assert data["packet"] == {"type": 2, "data": ["news", b"\x00\xff"]}
    assert fields[b"seq"] == b"5"
    with pytest.raises(TypeError, match="only_plaintext"):
        pack_entry(event("news", b""), only_plaintext=True)


@given(
    st.text().map(lambda text: f"/{text}"),
    st.recursive(st.text() | st.binary(), st.lists),
    st.integers(0, 2**63),
)
def test_there_and_back(nsp: str, value: Any, number: int) -> None:
    message = event("news", value, nsp=nsp)
    fields = named(fields_of(pack_entry(message, number)))
    assert fields[b"nsp"] == nsp.encode()
    entry = parse_entry("12-3", fields, nsp)
    assert (entry.message, entry.number, entry.place) == (message, number, (12, 3))
    assert entry.size == len(fields[b"data"])


GOOD = named(fields_of(pack_entry(event("news"))))


@pytest.mark.parametrize(
    "change",
    [
        {b"uid": None},
        {b"type": None},
        {b"uid": b""},
        {b"uid": b"\xff"},
        {b"uid": b"x" * 129},
        {b"type": b""},
        {b"type": b"x"},
        {b"type": b"-3"},
        {b"type": b"99"},
        {b"type": b"3.0"},
        {b"type": b"\xd9\xa3"},
        {b"seq": b"-1"},
        {b"seq": b"9" * 5000},
        {b"data": None},
        {b"data": b"{"},
        {b"data": b"[]"},
        {b"data": b"{}"},
        {b"data": b"!"},
        {b"data": b64encode(b"\xc1")},
        {b"data": b64encode(pack_plain([1]))},
        {b"data": b64encode(b"\x81" * 100_000)},
        {b"data": b'{"packet":{"type":2,"data":["connect"]},"opts":{"rooms":[],"except":[]}}'},
    ],
)
def test_what_is_no_entry(change: dict[bytes, bytes | None]) -> None:
    fields: dict[bytes, bytes] = {k: v for k, v in (GOOD | change).items() if v is not None}
    with pytest.raises(PacketError):
        parse_entry("1-0", fields, "/")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1767225600000-0", (1767225600000, 0)),
        ("0-0", (0, 0)),
        (f"{2**64 - 1}-{2**64 - 1}", (2**64 - 1, 2**64 - 1)),
        (f"{2**64}-0", None),
        *(
            (text, None)
            for text in ("", "-", "1", "1-", "-1", "1-2-3", "$", "+", "*", "1 -2", "+1-2", "\u0661-1")
        ),
        ("9" * 5000 + "-1", None),
    ],
)
def test_offsets(text: str, place: tuple[int, int] | None) -> None:
    assert parse_id(text) == place


@pytest.mark.parametrize(
    ("nsp", "names"),
    [
        # As computed by the official adapter's own functions.
        ("/", ("s", "s-1", "s-2")),
        ("/chat", ("s", "s-1", "s-1")),
        ("/admin", ("s", "s-0", "s-1")),
        ("/zzzzzz", ("s", "s--1", "s-0")),
        ("/\U0001f600", ("s", "s-0", "s-0")),
    ],
)
def test_the_stream_of_a_namespace(nsp: str, names: tuple[str, ...]) -> None:
    found = tuple(stream_for(nsp, "s", count) for count in (1, 2, 3))
    assert all(name in stream_names("s", count) for count, name in zip((1, 2, 3), found, strict=True))
    assert found == names


def test_a_question_says_what_it_comes_after() -> None:
    message = Message(Kind.FETCH_SOCKETS, "/", "uid", Fetch(opts=Opts(), request_id="r"))
    packed = pack_aside(message)
    assert parse_aside(packed) == (message.plain(), None)
    value, after = parse_aside(stamped(packed, "12-3"))
    assert (value, after) == (message.plain() | {"after": "12-3"}, (12, 3))


@pytest.mark.parametrize("after", ["x", "", "1", 5, None, [], "9" * 5000 + "-0"])
def test_what_is_no_place_does_not_matter(after: Any) -> None:
    value = {"type": 7, "uid": "uid", "nsp": "/", "after": after}
    assert parse_aside(pack_plain(value)) == (value, None)


def test_sessions() -> None:
    session = StoredSession("s" * 20, "p" * 20, ("a",), {"b": b"\x00"}, "1-0")
    kept = StoredSession("s" * 20, "p" * 20, ("a",), {"b": b"\x00"})
    packed = pack_session(session, "2-0")
    assert unpack_session(packed, "p" * 20, "1-0") == (kept, "2-0")
    assert unpack_session(packed, "p" * 20, "0-5") == (kept, None)
    assert unpack_session(pack_session(session), "p" * 20, "1-0") == (kept, None)
    garbled = (b"", b"!", b"{}", b64encode(b"\xc1"), b64encode(pack_plain({})), packed[:-8])
    for forged in (*garbled, pack_session(session, "nowhere")):
        with pytest.raises(PacketError):
            unpack_session(forged, "p" * 20, "1-0")
    with pytest.raises(PacketError):
        unpack_session(packed, "q" * 20, "1-0")


def test_what_redis_answers() -> None:
    assert entries_of(None) == []
    assert entries_of([[b"1-0", [b"a", b"1", b"b", b"2"]], [b"1-1", None]]) == [
        ("1-0", {b"a": b"1", b"b": b"2"}),
        ("1-1", {}),
    ]
