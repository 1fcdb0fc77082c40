"""Sessions as they are kept with a broker, where anybody may have put them."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.adapters.durable import has_offset, is_id, parse_session, plain_session, start_of
from socketeer.adapters.messages import Broadcast, EventPacket, Opts
from socketeer.errors import PacketError
from socketeer.server.adapter import Flags, StoredSession, Target

PID = "p" * 20


def test_there_and_back() -> None:
    session = StoredSession("s" * 20, PID, ("a", "b"), {"n": [1]}, "offset")
    plain = plain_session(session)
    assert plain == {"sid": "s" * 20, "pid": PID, "rooms": ["a", "b"], "data": {"n": [1]}}
    assert parse_session(plain, PID) == StoredSession("s" * 20, PID, ("a", "b"), {"n": [1]})


def test_where_a_client_begins_to_miss_something() -> None:
    session = StoredSession("s" * 20, PID, (), {}, "7")
    plain = plain_session(session, "9")
    assert (plain["offset"], plain["position"]) == ("7", "9")
    assert (start_of(plain, "7"), start_of(plain, "6")) == ("9", None)
    nothing = StoredSession("s" * 20, PID, (), {})
    assert start_of(plain_session(nothing, "9"), "9") is None, "nothing has ever been sent to it"
    assert start_of(plain_session(session), "7") is None


def test_what_javascript_may_have_kept() -> None:
    session = parse_session({"sid": "s", "pid": PID, "rooms": [1, "a"], "data": None, "more": 1}, PID)
    assert (session.rooms, session.data) == (("1", "a"), {})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"sid": "s", "pid": "another", "rooms": []},
        {"sid": "", "pid": PID, "rooms": []},
        {"sid": "s s", "pid": PID, "rooms": []},
        {"sid": "s" * 65, "pid": PID, "rooms": []},
        {"sid": 5, "pid": PID, "rooms": []},
        {"sid": "s", "pid": PID, "rooms": "a"},
        {"sid": "s", "pid": PID, "rooms": [None]},
        {"sid": "s", "pid": PID, "rooms": [["a"]]},
        {"sid": "s", "pid": PID, "rooms": [], "offset": 5},
        {"sid": "s", "pid": PID, "rooms": [], "position": []},
    ],
)
def test_what_is_no_session(value: Any) -> None:
    with pytest.raises(PacketError):
        parse_session(value, PID)


def test_ids() -> None:
    assert is_id("ojIckSD2jqNzOqIrAGzL")
    assert not any(map(is_id, ("", "a b", "a\n", "é", "*", "x" * 65)))


def test_which_events_have_an_offset() -> None:
    def event(flags: Flags = Flags(), **fields: Any) -> Broadcast:  # noqa: B008
        return Broadcast(opts=Opts.of(Target(flags=flags)), packet=EventPacket(["x"]), **fields)

    assert has_offset(event())
    assert has_offset(event(Flags(compress=False)))
    assert not has_offset(event(Flags(volatile=True)))
    assert not has_offset(event(request_id="r"))
