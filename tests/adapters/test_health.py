"""How it stands with a broker, and what the log says of it."""

from __future__ import annotations

import pytest

from socketeer.adapters.health import Health, LinkState


def test_a_reason_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("Broker at there")
    health.connecting()
    assert (health.state, health.ok) == (LinkState.CONNECTING, False)
    for reason in ("refused", "refused", "no answer in time"):
        health.away(reason)
    assert (health.state, health.reason, health.reconnections) == (LinkState.AWAY, "no answer in time", 0)
    health.up()
    health.away("closed")
    assert health.reconnections == 1
    health.idle()
    assert (health.state, health.reason) == (LinkState.IDLE, None)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert "refused; delivery on this node goes on" in said[0]
    assert said[2] == "Broker at there is back"


def test_what_is_rejected_is_counted_and_seldom_said(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("Broker")
    for _ in range(120):
        health.reject(ValueError("line\nbreak"), "a\nb")
    assert health.rejected == 120
    assert len(caplog.records) == 3
    assert all("\n" not in record.getMessage() for record in caplog.records)
