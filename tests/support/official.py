"""Servers in processes of their own, for clients under test: the official one from npm, and ours."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from interop.harness import Process, Servers, install, official_servers, our_servers
from tests.support import requirements

__all__ = ["Running", "official", "running", "server"]


class Running:
    """A server that runs, with the namespaces and events of interop/reference/."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url

    def saw(self, kind: str, tag: str, **facts: Any) -> dict[str, Any]:
        """Wait for what the server tells of the client that has ``tag`` in its query."""
        wanted = {"kind": kind, "tag": tag, **facts}
        return self.process.find(lambda entry: wanted.items() <= entry.items())


def _servers(kind: str) -> Servers:
    if kind == "ours":
        return our_servers()
    node = requirements.node()
    try:
        install(requirements.npm())
    except subprocess.CalledProcessError as error:
        requirements.missing("what interop/package-lock.json names", f"npm ci failed: {error.stderr}")
    return official_servers(node)


@contextmanager
def running(kind: str = "official", profile: str = "default") -> Iterator[Running]:
    """A server for one test, ``official`` or ``ours``."""
    process, url = _servers(kind).start(profile)
    try:
        yield Running(process, url)
    finally:
        process.stop()


@pytest.fixture(scope="module", params=["official", "ours"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Either server, for all tests of a module."""
    with running(request.param) as one:
        yield one


@pytest.fixture(scope="module")
def official() -> Iterator[Running]:
    """The official server, for all tests of a module."""
    with running() as one:
        yield one
