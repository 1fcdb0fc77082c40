"""Several servers behind a proxy without sticky sessions, over the real Redis: the official client notices nothing.

``elsewhere``: each session belongs to the first server, and everything that follows its handshake lands on the
second one: all scenarios hold, to the last header. ``in turns``: every request goes to the next server, as
it does behind nginx.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from interop.harness import HERE, Case, Client, Process, cases
from interop.test_official_client import OTHERWISE_ON_PURPOSE
from tests.support import requirements
from tests.support.round_robin import RoundRobin, Rule, elsewhere, in_turns, round_robin_thread

SERVERS = 2

START = 120.0
"""Seconds that a server may take to start: there are many processes, and machines that have more to do."""


def over_redis() -> list[str]:
    return [requirements.redis(), f"interop-{secrets.token_hex(8)}"]


#: Subjects whose scenarios hold wherever the sockets of a test are.
ANYWHERE = {"acks", "binary", "events", "flags", "rooms"}

#: Scenarios of theirs that are about one server, or count on its being as quick as one.
OF_ONE_SERVER = {
    "acks.broadcast_that_runs_out_of_time",
    "flags.volatile_broadcast",
    "rooms.to_everyone",
    "rooms.what_the_adapter_tells",
}


def roams(case: Case) -> bool:
    """Whether a scenario makes requests of a session, and does not ask on which server that is."""
    of_all = case.subject in ANYWHERE and case.name not in OF_ONE_SERVER
    return of_all and case.profile == "default" and case.mode != "websocket" and not case.fresh


def travels(case: Case) -> bool:
    """Whether a scenario makes requests of a session; those of other options do it in the same ways."""
    return case.profile == "default" and case.mode != "websocket" and not case.fresh


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, fits in (("roaming", roams), ("travelling", travels)):
        if name in metafunc.fixturenames:
            node = shutil.which("node")
            found = cases(node) if node else (Case("acks.any", "polling", "default", fresh=False),)
            metafunc.parametrize(name, [each for each in found if fits(each)], ids=str)


class Cluster:
    """The servers of one profile, and the proxy before them."""

    def __init__(self, profile: str, rule: Rule, where: list[str], count: int) -> None:
        self._stack = ExitStack()
        command = [sys.executable, "-m", "interop.server_app", profile, *where]
        self.servers: list[Process] = []
        for _ in range(count):
            server = Process(command, HERE.parent)
            self._stack.callback(server.stop)
            self.servers.append(server)
        ports = [urlsplit(each.read(START)["url"]).port for each in self.servers]
        self.proxy: RoundRobin
        self.proxy, port = self._stack.enter_context(round_robin_thread([p for p in ports if p], rule))
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._stack.close()


class Clusters:
    """One for each profile, as it is asked for."""

    def __init__(self, rule: Rule, where: Callable[[], list[str]] = over_redis, count: int = SERVERS) -> None:
        self._rule = rule
        self._where = where
        self._count = count
        self._running: dict[str, Cluster] = {}

    def get(self, profile: str) -> Cluster:
        if profile not in self._running:
            self.stop()  # they are asked for in order
            self._running[profile] = Cluster(profile, self._rule, self._where(), self._count)
        return self._running[profile]

    def stop(self) -> None:
        for cluster in self._running.values():
            cluster.stop()
        self._running.clear()


@pytest.fixture(scope="module")
def owned(node: str) -> Iterator[Clusters]:
    clusters = Clusters(elsewhere)
    yield clusters
    clusters.stop()


@pytest.fixture(scope="module")
def workers(node: str) -> Iterator[Clusters]:
    """Behind one port; each request comes on a connection of its own, so the system chooses anew."""
    clusters = Clusters(in_turns, lambda: ["4"], 1)
    yield clusters
    clusters.stop()


@pytest.fixture(scope="module")
def shared(node: str) -> Iterator[Clusters]:
    clusters = Clusters(in_turns)
    yield clusters
    clusters.stop()


OWN_IDS = {"engine_hooks.ids_of_ones_own": "these ids do not name their node, so they need sticky sessions"}


def run(case: Case, client: Client, clusters: Clusters) -> Cluster:
    if case.name in OTHERWISE_ON_PURPOSE:
        pytest.skip(f"otherwise on purpose: {OTHERWISE_ON_PURPOSE[case.name]}")
    if case.name in OWN_IDS:
        pytest.skip(OWN_IDS[case.name])
    cluster = clusters.get(case.profile)
    for server in cluster.servers:
        server.forget()
    client.run(case, cluster.servers[-1], cluster.url)
    return cluster


def test_everything_lands_elsewhere(travelling: Case, client: Client, owned: Clusters) -> None:
    run(travelling, client, owned)


def holds_anywhere(case: Case, client: Client, clusters: Clusters) -> None:
    """Nothing of it is refused, either."""
    before = clusters.get(case.profile).proxy.statuses.copy()
    proxy = run(case, client, clusters).proxy
    assert (proxy.statuses - before).keys() <= {200, 101}, proxy.refused[-3:]


def test_everything_lands_in_turns(roaming: Case, client: Client, shared: Clusters) -> None:
    holds_anywhere(roaming, client, shared)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no workers under Windows")
def test_everything_lands_on_any_worker(roaming: Case, client: Client, workers: Clusters) -> None:
    holds_anywhere(roaming, client, workers)
