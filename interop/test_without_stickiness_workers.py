"""Four workers behind one port: the system gives each connection to any of them, and each request has its own.

The official client notices nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from interop.harness import Case, Client
from interop.without_stickiness import Clusters, as_workers, clusters
from tests.support.round_robin import in_turns

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no workers under Windows")


@pytest.fixture(scope="module")
def workers(node: str) -> Iterator[Clusters]:
    # The proxy before the one port ends each connection with its request, so that the system chooses anew.
    with clusters(in_turns, as_workers, 1) as made:
        yield made


def test_everything_lands_on_any_worker(working: Case, client: Client, workers: Clusters) -> None:
    workers.hold(working, client)
