"""Two servers behind a proxy, over Redis: each session is the first one's, and everything else lands on the second one.

The official client notices nothing: all scenarios hold, to the last header.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interop.harness import Case, Client
from interop.without_stickiness import Clusters, clusters, over_redis
from tests.support.round_robin import elsewhere


@pytest.fixture(scope="module")
def owned(node: str) -> Iterator[Clusters]:
    with clusters(elsewhere, over_redis, 2, several=False) as made:
        yield made


def test_everything_lands_elsewhere(travelling: Case, client: Client, owned: Clusters) -> None:
    owned.hold(travelling, client)
