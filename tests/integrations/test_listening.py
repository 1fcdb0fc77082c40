"""Sockets for workers: on which addresses, and that no two servers get the same."""

from __future__ import annotations

import contextlib
import socket
import sys

import pytest

from socketeer.integrations.listening import bind, close, url


def names(places: list[list[socket.socket]]) -> set[tuple[str, int]]:
    return {sock.getsockname()[:2] for place in places for sock in place}


def test_all_listen_at_one_address() -> None:
    places = bind("127.0.0.1", 0, 3)
    ((_, port),) = names(places)
    assert [len(place) for place in places] == [1, 1, 1]
    assert url(places[0][0], secure=False) == f"http://127.0.0.1:{port}"
    assert url(places[0][0], secure=True) == f"https://127.0.0.1:{port}"
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        close(places)
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all share one socket")
def test_each_gets_its_share() -> None:
    places = bind("127.0.0.1", 0, 2)
    address = places[0][0].getsockname()
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(socket.create_connection(address, timeout=10))
        shares = [0, 0]
        for number, (sock,) in enumerate(places):
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.accept()[0].close()
                    shares[number] += 1
    assert sum(shares) == 64
    assert min(shares) > 8
    close(places)


@pytest.mark.parametrize("other", [1, 2])
def test_a_port_that_is_taken(other: int) -> None:
    places = bind("127.0.0.1", 0, 2)
    ((_, port),) = names(places)
    with pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", port, other)
    close(places)
    close(bind("127.0.0.1", port, other))


def test_a_port_that_one_process_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1], 2)


def test_every_address_of_a_name_with_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that this machine does not have is passed over."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    places = bind("name", 0, 2)
    assert {host for host, _ in names(places)} == {"127.0.0.1", "127.0.0.2"}
    assert len({port for _, port in names(places)}) == 1
    close(places)
    del found[0], found[1:]
    with pytest.raises(OSError, match="assign"):
        bind("name", 0, 2)


def test_a_url_of_version_6() -> None:
    try:
        places = bind("::1", 0, 1)
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert url(places[0][0], secure=False).startswith("http://[::1]:")
    close(places)
