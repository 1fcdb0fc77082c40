"""What the application says of a new client, and what is said of a wrong origin; more of it in `test_server.py`."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.engine.admission import OriginWarnings, ask_allow_request, check_room
from socketeer.engine.request import RequestRefused
from socketeer.options import Limits
from tests.engine.fakes import make_request


async def later(verdict: Any) -> Any:
    return verdict


@pytest.mark.parametrize("allow", [None, lambda _: True, lambda _: later(True)])
async def test_who_is_let_in(allow: Any) -> None:
    await ask_allow_request(allow, make_request())


@pytest.mark.parametrize(
    "allow", [lambda _: False, lambda _: 1 / 0, lambda _: later("the ticket has expired")]
)
async def test_who_is_not(allow: Any) -> None:
    request = make_request()
    with pytest.raises(RequestRefused) as caught:
        await ask_allow_request(allow, request)
    assert (caught.value.code, caught.value.status, caught.value.request) == (4, 403, request)
    assert caught.value.text in ("Forbidden", "the ticket has expired")


def test_each_origin_is_warned_of_once_and_not_without_bound(caplog: pytest.LogCaptureFixture) -> None:
    warnings = OriginWarnings()
    for number in range(100):
        warnings.warn(f"http://{number}.example")
        warnings.warn(f"http://{number}.example")
    assert len(caplog.records) == 16


@pytest.mark.parametrize(
    ("closing", "sessions", "of_address", "status"),
    [(True, 0, 0, 503), (False, 3, 0, 503), (False, 2, 1, 429)],
)
def test_no_room(closing: bool, sessions: int, of_address: int, status: int) -> None:
    limits = Limits(max_sessions=3, max_sessions_per_address=1)
    check_room(make_request(), limits, False, 2, {})
    with pytest.raises(RequestRefused) as caught:
        check_room(make_request(address="a"), limits, closing, sessions, {"a": of_address, "b": 9})
    assert caught.value.status == status
