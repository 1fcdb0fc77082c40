"""What the tests of the commands share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from interop.harness import Servers, install, official_servers, our_servers
from tests.support import requirements
from tests.support.client_cache import client_cache

__all__ = ["client_cache"]


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[dict[str, Servers]]:
    """The official server from npm, and ours; each started when it is first asked for."""
    node = requirements.node()
    try:
        install(requirements.npm())
    except subprocess.CalledProcessError as error:
        requirements.missing("what interop/package-lock.json names", f"npm ci failed: {error.stderr}")
    both = {"official": official_servers(node), "ours": our_servers()}
    yield both
    for each in both.values():
        each.stop()


@pytest.fixture(params=["official", "ours"])
def url(request: pytest.FixtureRequest, servers: dict[str, Servers]) -> str:
    """A server with the handlers of interop/reference/handlers.mjs: the official one, then ours."""
    return servers[request.param].get("default")[1]


@pytest.fixture
def official(servers: dict[str, Servers]) -> str:
    """The official server with the same handlers."""
    return servers["official"].get("default")[1]
