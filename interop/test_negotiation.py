"""Our negotiation of permessage-deflate beside that of ws: the same options, the same header, the same answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interop.harness import HERE, Process
from socketeer import PerMessageDeflate
from socketeer.protocol.extensions import UnacceptableOffer, negotiate


@pytest.fixture(scope="module")
def ws(node: str) -> Iterator[Process]:
    process = Process([node, "negotiate.mjs"], HERE / "reference")
    yield process
    process.stop()


#: What ws reads as JavaScript's numbers and the RFC does not allow ("08", "1e1", "0xa") is left out.
VALUES = st.sampled_from(
    ["7", "8", "9", "10", "12", "15", "16", "0", "-1", "8.5", "x", "true", '"8"', '"15"']
)
NAMES = st.sampled_from(
    [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
    ]
)
GOOD = st.sampled_from(
    [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "client_max_window_bits",
        *(f"{side}_max_window_bits={bits}" for side in ("server", "client") for bits in (8, 10, 15)),
    ]
)
ANY = st.one_of(NAMES, st.builds("{}={}".format, NAMES, VALUES), st.sampled_from(["unknown", "x=1", ""]))
OFFER = st.builds(
    lambda name, parameters: "; ".join([name, *parameters]),
    st.sampled_from(["permessage-deflate"] * 5 + ["other", "Permessage-Deflate", ""]),
    st.one_of(st.lists(GOOD, max_size=3), st.lists(ANY, max_size=3)),
)
HEADER = st.one_of(
    st.lists(OFFER, min_size=1, max_size=3).map(", ".join),
    st.text(alphabet='ab;=,"\\ \t/', min_size=1, max_size=12),
    st.text(alphabet='ab;=,"\\ \t/', max_size=12).map("permessage-deflate;client_max_window_bits={}".format),
)
BITS = st.one_of(st.none(), st.integers(8, 15))
OPTIONS = st.builds(
    PerMessageDeflate,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=BITS,
    client_max_window_bits=BITS,
)


def in_javascript(options: PerMessageDeflate) -> dict[str, Any]:
    """The options that ws must have to do the same. Its `false` refuses clients; ours leaves the choice to them."""
    return {
        each: getattr(options, name)
        for each, name in {
            "serverNoContextTakeover": "server_no_context_takeover",
            "clientNoContextTakeover": "client_no_context_takeover",
            "serverMaxWindowBits": "server_max_window_bits",
            "clientMaxWindowBits": "client_max_window_bits",
        }.items()
        if getattr(options, name)
    }


def ours(header: str, options: PerMessageDeflate) -> object:
    try:
        agreement = negotiate(header, options)
    except UnacceptableOffer:
        return "refused"
    return None if agreement is None else {key: value for key, value in asdict(agreement).items() if value}


@settings(max_examples=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HEADER, OPTIONS)
def test_the_answer_is_that_of_ws(ws: Process, header: str, options: PerMessageDeflate) -> None:
    ws.write(json.dumps({"options": in_javascript(options), "header": header}))
    assert ours(header, options) == ws.read()["answer"]
