"""The other nodes that this one has to do with."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.adapters.forwarding import peers as peers_module
from socketeer.adapters.forwarding.peers import FORGOTTEN_AFTER, Peers
from socketeer.errors import PacketError


class Ended:
    def __init__(self) -> None:
        self.times = 0

    def broken(self) -> None:
        self.times += 1


def test_they_are_made_once_and_forgotten_when_they_have_been_idle() -> None:
    peers = Peers()
    peer = peers.of("a", 1.0)
    assert peers.of("a", 2.0) is peer is peers.get("a")
    assert peers.get("b") is None
    peers.sweep(2.0 + FORGOTTEN_AFTER)
    assert len(peers) == 1
    tunnel: Any = Ended()
    peer.tunnels[1] = tunnel
    peers.sweep(3.0 + FORGOTTEN_AFTER)
    assert list(peers) == [peer]
    peer.tunnels.clear()
    peers.sweep(3.0 + FORGOTTEN_AFTER)
    assert list(peers) == []


def test_one_that_has_gone_takes_its_tunnels_along() -> None:
    peers = Peers()
    peer, tunnel = peers.of("a", 1.0), Ended()
    peer.tunnels[1] = tunnel  # type: ignore[assignment]
    peers.lose(peer)
    assert (tunnel.times, len(peers)) == (1, 0)
    other = peers.of("a", 2.0)
    peers.forget(peer)
    assert list(peers) == [other]


def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "MOST", 2)
    peers = Peers()
    for at, name in enumerate("abc"):
        peers.of(name, float(at))
    assert [peer.id for peer in peers] == ["b", "c"]
    for peer in peers:
        peer.tunnels[1] = Ended()  # type: ignore[assignment]
    with pytest.raises(PacketError, match="more than 2 nodes"):
        peers.of("d", 9.0)
