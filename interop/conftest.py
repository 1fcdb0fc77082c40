"""The peers of the interop tests. Where Node.js or npm is missing, the tests say so (see tests/support/requirements)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from interop.clients import Peers, Visit, visiting
from interop.harness import Case, Client, Servers, cases, install, official_servers, our_servers
from interop.without_stickiness import roams, travels, works
from tests.support import requirements

#: The scenarios that a test is given which asks for one by this name.
CASES: dict[str, Callable[[Case], bool]] = {
    "case": lambda _: True,
    "travelling": travels,
    "roaming": roams,
    "working": works,
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "reference: the scenarios against the official server, to keep them honest"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, fits in CASES.items():
        if name in metafunc.fixturenames:
            node = shutil.which("node")
            # Without Node.js there is no list either: one stand-in, so that the reason is reported.
            found = cases(node) if node else (Case("any.scenario", "any", "default", fresh=False),)
            metafunc.parametrize(name, [each for each in found if fits(each)], ids=str)


@pytest.fixture(scope="session")
def node() -> str:
    path = requirements.node()
    try:
        install(requirements.npm())
    except subprocess.CalledProcessError as error:
        requirements.missing("what interop/package-lock.json names", f"npm ci failed: {error.stderr}")
    return path


@pytest.fixture(scope="session")
def client(node: str) -> Iterator[Client]:
    client = Client(node)
    yield client
    client.stop()


@pytest.fixture(scope="session")
def official(node: str) -> Iterator[Servers]:
    servers = official_servers(node)
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def ours(node: str) -> Iterator[Servers]:
    servers = our_servers()
    yield servers
    servers.stop()


@pytest.fixture(scope="session", params=["official", "ours"])
def peers(request: pytest.FixtureRequest, node: str) -> Iterator[Peers]:
    """The servers that our client is tested against."""
    peers = Peers(request.param, node)
    yield peers
    peers.stop()


@pytest.fixture(params=["polling", "websocket", "upgrade"])
async def visit(request: pytest.FixtureRequest, peers: Peers) -> AsyncIterator[Visit]:
    """Clients of one server over one kind of transport."""
    async with visiting(peers, request.param) as visit:
        yield visit
