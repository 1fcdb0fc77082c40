"""Two servers behind a proxy, over Redis: every request goes to the next one, as behind nginx.

The official client notices nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interop.harness import Case, Client
from interop.without_stickiness import Clusters, clusters, over_redis
from tests.support.round_robin import in_turns


@pytest.fixture(scope="module")
def shared(node: str) -> Iterator[Clusters]:
    with clusters(in_turns, over_redis, 2) as made:
        yield made


def test_everything_lands_in_turns(roaming: Case, client: Client, shared: Clusters) -> None:
    shared.hold(roaming, client)
