"""Addresses that a server cannot listen on, and how they are told."""

from __future__ import annotations

import socket

import pytest

from socketeer.cli.address import check, for_a_browser
from socketeer.cli.trouble import Trouble


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", ""])
def test_a_free_port_is_no_trouble(host: str) -> None:
    check(host, 0)


def test_a_taken_port_names_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Trouble, match=f"port {port} of 127.0.0.1 is taken") as trouble:
            check("127.0.0.1", port)
        assert f"--port {port + 1}" in trouble.value.advice
    check("127.0.0.1", port)  # looking has not taken it


def test_a_port_whose_last_connections_still_linger_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # the side that closes first lingers
    check("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "said"),
    [("192.0.2.1", "no address of this machine"), ("no host", "there is no address 'no host'")],
)
def test_an_address_that_is_not_ours_names_the_option(host: str, said: str) -> None:
    with pytest.raises(Trouble, match=said) as trouble:
        check(host, 0)
    assert "--host" in trouble.value.advice


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:3004", "http://localhost:3004"),
        ("http://0.0.0.0:80", "http://localhost:80"),
        ("http://[::]:80", "http://localhost:80"),
        ("http://192.0.2.7:80", "http://192.0.2.7:80"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("https://127.0.0.1:443", "https://localhost:443"),
    ],
)
def test_the_url_that_a_browser_here_opens(url: str, expected: str) -> None:
    assert for_a_browser(url) == expected
