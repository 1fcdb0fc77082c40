"""Tunnels: frames in order, each once, and a window in each direction."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.adapters.forwarding.frames import (
    BINARY,
    MORE,
    TEXT,
    Frame,
    Kind,
    decode,
    pack_number,
    record,
    records,
)
from socketeer.adapters.forwarding.tunnel import WINDOW, Assembler, Outflow, Tunnel
from socketeer.errors import PacketError

CHUNK = 1000


class Node:
    """Keeps what is sent."""

    node_id = "nodeid"
    chunk = CHUNK
    engine: Any = None

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self.ended: list[Tunnel] = []
        self.dirty: list[Outflow] = []

    def publish(self, peer: str, payload: bytes) -> None:
        assert peer == "other1"
        self.sent.append(decode(payload))

    def adopt(self, tunnel: Any) -> bool:
        return True

    def forget(self, tunnel: Tunnel) -> None:
        self.ended.append(tunnel)

    def flush_soon(self, outflow: Outflow) -> None:
        self.dirty.append(outflow)

    def doubt(self, tunnel: Any) -> None: ...

    def flush(self) -> None:
        dirty, self.dirty = self.dirty, []
        for outflow in dirty:
            outflow.flush()

    @property
    def kinds(self) -> list[Kind]:
        return [frame.kind for frame in self.sent]


class Heard(Tunnel):
    __slots__ = ("heard", "was_broken")

    def __init__(self, node: Node) -> None:
        super().__init__(node, "other1", 7)
        self.heard: list[tuple[Kind, bytes]] = []
        self.was_broken = False

    def hear(self, kind: Kind, body: bytes) -> None:
        if kind is Kind.RELEASE:
            raise PacketError("of the test")
        self.heard.append((kind, body))

    def broken(self) -> None:
        self.was_broken = True
        self.end()


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def tunnel(node: Node) -> Heard:
    return Heard(node)


def frame(kind: Kind, number: int, body: bytes = b"") -> Frame:
    return Frame(kind, "other1", 7, number, body)


# --- numbers -----------------------------------------------------------------------------------------


def test_frames_are_numbered(tunnel: Heard, node: Node) -> None:
    tunnel.tell(Kind.REQUEST, b"1")
    tunnel.tell(Kind.LOST)
    assert node.sent == [Frame(Kind.REQUEST, "nodeid", 7, 0, b"1"), Frame(Kind.LOST, "nodeid", 7, 1, b"")]


def test_frames_are_heard_in_order(tunnel: Heard) -> None:
    tunnel.receive(frame(Kind.ACCEPTED, 0))
    tunnel.receive(frame(Kind.RESPONSE, 1, b"x"))
    assert tunnel.heard == [(Kind.ACCEPTED, b""), (Kind.RESPONSE, b"x")]


def test_a_frame_that_comes_again_is_refused_and_the_tunnel_goes_on(tunnel: Heard) -> None:
    tunnel.receive(frame(Kind.ACCEPTED, 0))
    with pytest.raises(PacketError, match="twice"):
        tunnel.receive(frame(Kind.ACCEPTED, 0))
    tunnel.receive(frame(Kind.RESPONSE, 1))
    assert len(tunnel.heard) == 2
    assert not tunnel.was_broken


def test_a_frame_that_is_missing_ends_both_sides(tunnel: Heard, node: Node) -> None:
    tunnel.receive(frame(Kind.RESPONSE, 1))
    assert (tunnel.heard, tunnel.was_broken, node.kinds) == ([], True, [Kind.UNKNOWN])


def test_a_frame_that_is_none_ends_both_sides(tunnel: Heard, node: Node) -> None:
    with pytest.raises(PacketError):
        tunnel.receive(frame(Kind.RELEASE, 0))
    assert (tunnel.was_broken, node.kinds) == (True, [Kind.UNKNOWN])


def test_a_question_whether_all_has_come_is_answered(tunnel: Heard, node: Node) -> None:
    tunnel.receive(frame(Kind.SYNC, 0))
    tunnel.receive(frame(Kind.SYNCED, 1))
    assert (node.kinds, tunnel.heard) == ([Kind.SYNCED], [])


def test_it_ends_once(tunnel: Heard, node: Node) -> None:
    tunnel.end()
    tunnel.end()
    assert node.ended == [tunnel]


# --- the window --------------------------------------------------------------------------------------


def test_records_of_one_turn_share_a_frame(tunnel: Heard, node: Node) -> None:
    for text in (b"4a", b"4b"):
        tunnel.out.put(TEXT, text)
    assert (node.dirty, node.sent) == ([tunnel.out], [])
    assert not tunnel.out.writable
    node.flush()
    assert list(records(node.sent[0].body)) == [(TEXT, b"4a"), (TEXT, b"4b")]
    assert (tunnel.out.held, tunnel.out.writable) == (0, True)


def test_a_large_message_is_cut(tunnel: Heard, node: Node) -> None:
    whole = bytes(range(256)) * 10
    tunnel.out.put(BINARY, whole)
    node.flush()
    parts = [each for sent in node.sent for each in records(sent.body)]
    assert [flags for flags, _ in parts] == [BINARY | MORE, BINARY | MORE, BINARY]
    assert b"".join(data for _, data in parts) == whole
    assert all(len(sent.body) <= CHUNK for sent in node.sent)


def test_what_the_other_side_has_no_room_for_waits(tunnel: Heard, node: Node) -> None:
    tunnel.out.put(TEXT, bytes(2 * WINDOW))
    node.flush()
    sent = sum(len(each.body) for each in node.sent)
    assert WINDOW <= sent < WINDOW + CHUNK
    tunnel.receive(frame(Kind.CREDIT, 0, pack_number(WINDOW // 2)))
    more = sum(len(each.body) for each in node.sent) - sent
    assert WINDOW // 2 - CHUNK <= more <= WINDOW // 2 + CHUNK


async def test_one_can_wait_until_it_has_left(tunnel: Heard, node: Node) -> None:
    tunnel.out.put(TEXT, bytes(WINDOW + WINDOW // 4))
    waiting = asyncio.create_task(tunnel.out.below(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    tunnel.receive(frame(Kind.CREDIT, 0, pack_number(WINDOW // 2)))
    await waiting
    await tunnel.out.below(0)


async def test_nobody_waits_for_a_tunnel_that_has_ended(tunnel: Heard, node: Node) -> None:
    tunnel.out.put(TEXT, bytes(2 * WINDOW))
    waiting = asyncio.create_task(tunnel.out.below(0))
    await asyncio.sleep(0)
    tunnel.end()
    await waiting
    node.flush()
    assert tunnel.out.held == 0


@pytest.mark.parametrize("size", [WINDOW * 2, 2**32 - 1])
def test_credit_for_what_was_not_sent_is_refused(tunnel: Heard, size: int) -> None:
    with pytest.raises(PacketError, match="not been sent"):
        tunnel.receive(frame(Kind.CREDIT, 0, pack_number(size)))
    assert tunnel.was_broken


def test_what_has_been_taken_is_told_in_few_frames(tunnel: Heard, node: Node) -> None:
    for number in range(200):
        tunnel.receive(frame(Kind.DATA, number, record(TEXT, bytes(CHUNK))))
        tunnel.taken(CHUNK + 5)
    assert node.kinds == [Kind.CREDIT]


def test_more_than_the_window_holds_is_refused(tunnel: Heard) -> None:
    most = (WINDOW + CHUNK) // CHUNK
    for number in range(most):
        tunnel.receive(frame(Kind.DATA, number, bytes(CHUNK)))
    with pytest.raises(PacketError, match="window"):
        tunnel.receive(frame(Kind.DATA, most, bytes(CHUNK)))
    assert tunnel.was_broken


# --- messages from records --------------------------------------------------------------------------


def test_messages_are_put_together() -> None:
    assembler = Assembler(100)
    first = record(TEXT, b"4a") + record(BINARY | MORE, b"\x01")
    second = record(BINARY, b"\x02") + record(TEXT, b"4b")
    assert list(assembler.take(first)) == [(TEXT, b"4a")]
    assert list(assembler.take(second)) == [(BINARY, b"\x01\x02"), (TEXT, b"4b")]


def test_a_message_that_is_too_large_is_refused() -> None:
    assembler = Assembler(10)
    assert list(assembler.take(record(TEXT, bytes(10)) * 3)) == [(TEXT, bytes(10))] * 3
    assert list(assembler.take(record(TEXT | MORE, b"1") * 10)) == []
    with pytest.raises(PacketError, match="above 10 bytes"):
        list(assembler.take(record(TEXT | MORE, b"1")))
