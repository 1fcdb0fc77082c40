"""The official JavaScript client against our server, in each transport mode.

What each scenario asks stands in ``client/<subject>.mjs``; the server that it talks to is ``server_app``.
"""

from __future__ import annotations

import pytest

from interop.harness import Case, Client, Servers, check

NOT_OFFERED_YET: dict[str, str] = {}
"""Subjects whose scenarios wait for the server to catch up with them."""

OTHERWISE_ON_PURPOSE = {
    "events.lone_surrogate": "half a surrogate pair is refused as invalid JSON, where the official server passes it on",
}
"""Scenarios that ours does not follow, with what it does instead."""


def test_scenario(case: Case, client: Client, ours: Servers) -> None:
    if case.subject in NOT_OFFERED_YET:
        pytest.skip(f"the server does not offer this yet: {NOT_OFFERED_YET[case.subject]}")
    if case.name in OTHERWISE_ON_PURPOSE:
        pytest.skip(f"otherwise on purpose: {OTHERWISE_ON_PURPOSE[case.name]}")
    check(case, client, ours)
