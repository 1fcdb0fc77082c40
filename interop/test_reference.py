"""The scenarios against the official server: what it does is what they may ask of ours."""

from __future__ import annotations

import pytest

from interop.harness import Case, Client, Servers, check

pytestmark = pytest.mark.reference


def test_scenario(case: Case, client: Client, official: Servers) -> None:
    check(case, client, official)
