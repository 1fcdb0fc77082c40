"""What the tests without sticky sessions have in common: the servers, the proxy before them, and what cannot hold there."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from interop.harness import HERE, Case, Client, Process
from interop.profiles import PROFILES
from interop.test_official_client import OTHERWISE_ON_PURPOSE
from tests.support import requirements
from tests.support.round_robin import Refusal, RoundRobin, Rule, round_robin_thread

START = 120.0
"""Seconds that a server may take to start: there are many processes, and machines that have more to do."""

OWN_IDS = {"engine_hooks.ids_of_ones_own": "these ids do not name their node, so they need sticky sessions"}

_CHILDREN = "each server makes the children of a parent namespace that its own clients ask for, as the official one does"

#: Scenarios that ask what one server does by itself, so that they do not hold for several, with what that is.
OF_ONE_SERVER = {
    "dynamic.by_function_in_its_own_time": f"{_CHILDREN}; its function is asked on each",
    "dynamic.parent_reaches_every_child": f"{_CHILDREN}; a parent reaches these",
    "dynamic.parent_reaches_rooms_of_every_child": f"{_CHILDREN}; a parent reaches these",
    "dynamic.what_is_added_later": f"{_CHILDREN}; which of them are later ones differs",
    "msgpack.to_everyone_of_this_server": "`local` means the clients of one server",
    "rooms.to_everyone_of_this_server": "`local` means the clients of one server",
    "rooms.what_the_adapter_tells": "an adapter tells of the rooms of its own server's clients",
}

#: Scenarios in which requests of a session are refused because they ask for that, with the statuses.
REFUSED_ON_PURPOSE: dict[str, set[int]] = {
    "cors.one_origin": {400},
    "disconnects.close_packet_over_polling": {400},
    "disconnects.ping_from_the_client": {400},
    "disconnects.unknown_engine_packet": {400},
    "heartbeat.a_client_that_never_answers": {400},
    "limits.too_large_a_post": {413},
    "limits.too_large_a_post_in_chunks": {413},
    "limits.too_large_from_the_official_client": {413},
    "probe.completes": {400},
    "probe.upgrades_while_a_poll_waits": {400},
    "refusals.another_protocol_than_the_session": {400},
    "refusals.another_transport_than_the_session": {400},
    "refusals.binary_post": {400},
    "refusals.two_polls_at_once": {400},
    "refusals.two_posts_at_once": {400},
    "refusals.unknown_session": {400},
    "v2_clients.a_session_keeps_its_protocol": {400},
}

#: Whether all is to be run in all ways, and not only what may differ between these.
ALL = os.environ.get("SOCKETEER_INTEROP") == "all"

#: What is run by default where requests land in turns: sessions, and how they begin and end. All other profiles differ in the
#: bytes of messages or in the headers of answers, which go the same ways.
ROAMING = {"default", "eio3", "heartbeat", "hooks", "limits", "recovery"}

#: Subjects that are run by default on workers, with the default profile: four of them for each profile take their time to start.
WORKING = {"acks", "binary", "events", "flags", "rooms"}


def strays(case: Case) -> bool:
    """Whether a scenario makes requests one by one, which can land anywhere."""
    return case.mode != "websocket" and not case.fresh


def travels(case: Case) -> bool:
    """Whether it is run where all sessions are of one server, and requests land on another."""
    return strays(case) and (ALL or case.profile == "default")


def roams(case: Case) -> bool:
    """Whether it is run where sessions are of several servers, in turns."""
    return strays(case) and case.name not in OF_ONE_SERVER and (ALL or case.profile in ROAMING)


def works(case: Case) -> bool:
    """Whether it is run where these are workers."""
    return roams(case) and (ALL or (case.profile == "default" and case.subject in WORKING))


Where = Callable[[str], list[str]]
"""The further arguments of the server of a profile."""


def over_redis(profile: str) -> list[str]:
    """One of several servers."""
    return [requirements.redis(), f"interop-{secrets.token_hex(8)}"]


def as_workers(profile: str) -> list[str]:
    """Four workers, which need nothing else unless they are to recover each other's clients."""
    recovering = "connection_state_recovery" in PROFILES[profile]
    return [*(over_redis(profile) if recovering else []), "4"]


class Cluster:
    """The servers of one profile, and the proxy before them."""

    def __init__(self, profile: str, rule: Rule, where: list[str], count: int) -> None:
        command = [sys.executable, "-m", "interop.server_app", profile, *where]
        self.servers: list[Process] = []
        self.proxy: RoundRobin
        with ExitStack() as stack:
            for _ in range(count):
                server = Process(command, HERE.parent)
                stack.callback(server.stop)
                self.servers.append(server)
            ports = [urlsplit(each.read(START)["url"]).port for each in self.servers]
            self.proxy, port = stack.enter_context(round_robin_thread([p for p in ports if p], rule))
            self.url = f"http://127.0.0.1:{port}"
            self._stack = stack.pop_all()

    def stop(self) -> None:
        """End all of it."""
        self._stack.close()


class Clusters:
    """One for each profile, as it is asked for.

    Args:
        rule: which server gets a request.
        where: more arguments for the servers.
        count: how many there are.
        several: whether sessions begin at any of several servers.
    """

    def __init__(self, rule: Rule, where: Where, count: int, several: bool) -> None:
        self._rule = rule
        self._where = where
        self._count = count
        self._several = several
        self._running: dict[str, Cluster] = {}

    def get(self, profile: str) -> Cluster:
        """That of a profile."""
        if profile not in self._running:
            self.stop()  # they are asked for in order
            self._running[profile] = Cluster(profile, self._rule, self._where(profile), self._count)
        return self._running[profile]

    def stop(self) -> None:
        """End all."""
        for cluster in self._running.values():
            cluster.stop()
        self._running.clear()

    def hold(self, case: Case, client: Client) -> None:
        """Hold them to a scenario: nothing of its sessions is refused, except where it asks for that.

        A client that closes may do it before its last poll has found its way to the session, and a client that learns
        of the end takes its leave of a server that has ended the session itself; both of these are refused.
        """
        for reasons in (OTHERWISE_ON_PURPOSE, OWN_IDS):
            if case.name in reasons:
                pytest.skip(reasons[case.name])
        cluster = self.get(case.profile)
        for server in cluster.servers:
            server.forget()
        before = len(cluster.proxy.refused)
        report = client.run(case, cluster.servers[-1], cluster.url, self._several)
        refused = [each for each in cluster.proxy.refused[before:] if concerns(each, report)]
        refused = [each for each in refused if each.sid not in cluster.proxy.left]
        allowed = REFUSED_ON_PURPOSE.get(case.name, set())
        assert {each.status for each in refused} <= allowed, refused


def concerns(refusal: Refusal, report: dict[str, Any]) -> bool:
    """Whether it is of a scenario, which closes at its end what it has left open."""
    tagged = re.search(r"[?&]tag=(\w+)", refusal.request)
    return bool(refusal.when <= report["ended"] and (tagged is None or tagged[1] == report["tag"]))


@contextmanager
def clusters(rule: Rule, where: Where, count: int, several: bool = True) -> Iterator[Clusters]:
    """All of them, ended at the end."""
    made = Clusters(rule, where, count, several)
    try:
        yield made
    finally:
        made.stop()
