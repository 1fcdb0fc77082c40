from __future__ import annotations

import gc

from socketeer.protocol import packet
from socketeer.protocol.packet import EVENT, RESERVED_EVENTS, Packet


def test_the_types_are_the_protocols() -> None:
    names = ("CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT", "BINARY_ACK")
    assert [getattr(packet, name) for name in names] == list(range(7))


def test_the_reserved_names_are_the_official_ones() -> None:
    # https://socket.io/docs/v4/emit-cheatsheet/#reserved-events; "error" is not among them.
    assert {
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    } == RESERVED_EVENTS


def test_a_packet_asks_for_no_acknowledgement_unless_it_says_so() -> None:
    assert Packet(EVENT, "/", ["a"]).id is None
    assert Packet(EVENT, "/", ["a"]) == Packet(EVENT, "/", ["a"], None)
    assert Packet(EVENT, "/", ["a"]) != Packet(EVENT, "/", ["a"], 0)


def test_packets_do_not_burden_the_garbage_collector() -> None:
    assert not gc.is_tracked(Packet(EVENT, "/", ["a", {"b": []}], 1))
