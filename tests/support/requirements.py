"""What a test needs from the machine: Node.js, a browser, a running service.

A test asks at its start, most simply in a fixture::

    @pytest.fixture(scope="session")
    def node() -> str:
        return requirements.node()

Each function returns how to reach the thing. Where it is missing, the test is skipped with the reason
on a developer's machine, and fails in continuous integration (``CI=true``): a green run there must mean
that the test ran.
"""

from __future__ import annotations

import os
import shutil
import socket
from importlib.util import find_spec
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def in_ci() -> bool:
    """Whether a missing requirement is a failure."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def missing(what: str, hint: str) -> NoReturn:
    """Skip the test, or fail it in continuous integration."""
    reason = f"{what} is needed: {hint}"
    if in_ci():
        pytest.fail(f"{reason} (a failure, because CI is set)", pytrace=False)
    pytest.skip(reason)


def node() -> str:
    """The path of Node.js."""
    return _command("Node.js", ("node", "nodejs"), "install Node.js 18 or newer")


def npm() -> str:
    """The path of npm."""
    return _command("npm", ("npm",), "install npm, which comes with Node.js")


def openssl() -> str:
    """The path of openssl."""
    return _command("openssl", ("openssl",), "install OpenSSL's command")


def gcc() -> str:
    """The path of gcc."""
    return _command("gcc", ("gcc",), "install gcc, with its sanitizers")


def nginx() -> str:
    """The path of nginx."""
    return _command("nginx", ("nginx", "/usr/sbin/nginx"), "install nginx")


def chromium() -> str:
    """The path of Chromium or Chrome; the variable ``CHROMIUM`` names another one."""
    named = os.environ.get("CHROMIUM")
    return _command("Chromium", (named,) if named else _BROWSERS, "install it, or set CHROMIUM to its path")


def module(name: str) -> None:
    """Ask for a Python module of the ``dev`` extra."""
    if find_spec(name) is None:
        missing(f"the Python module {name}", 'python -m pip install -e ".[dev]"')


def redis() -> str:
    """The URL of a Redis server that answers; the variable ``REDIS_URL`` names another one."""
    return _service("Redis", "REDIS_URL", "redis://127.0.0.1:6379")


def nats() -> str:
    """The URL of a NATS server with JetStream that answers; the variable ``NATS_URL`` names another one."""
    return _service("NATS", "NATS_URL", "nats://127.0.0.1:4222")


def _service(name: str, variable: str, default: str) -> str:
    url = os.environ.get(variable, default)
    address, usual = urlsplit(url), urlsplit(default)
    try:
        with socket.create_connection(
            (address.hostname or "127.0.0.1", address.port or usual.port or 0), timeout=2
        ):
            return url
    except OSError as error:
        missing(name, f"start one, or set {variable} ({url}: {error})")


def postgres() -> str:
    """The URL of a PostgreSQL database that answers; the variable ``POSTGRES_URL`` names another one."""
    url = os.environ.get("POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname or "127.0.0.1", address.port or 5432), timeout=2):
            return url
    except OSError as error:
        missing("PostgreSQL", f"start one, or set POSTGRES_URL ({address.hostname}: {error})")


def _command(what: str, names: tuple[str, ...], hint: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    missing(what, hint)
