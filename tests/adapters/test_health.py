"""How the link stands, what is counted, and that the log says each thing once."""

from __future__ import annotations

import pytest

from socketeer.adapters.health import Health, LinkState


@pytest.fixture
def health() -> Health:
    return Health("Broker at 127.0.0.1:1")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    assert all(line.isprintable() for line in lines)
    caplog.clear()
    return lines


def test_a_link_that_comes_up_and_ends_says_nothing(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    states = [health.state]
    for step in (health.connecting, health.up, health.connecting, health.idle):
        step()
        states.append(health.state)
    assert states == [LinkState.IDLE, LinkState.CONNECTING, LinkState.UP, LinkState.UP, LinkState.IDLE]
    assert said(caplog) == []


def test_each_reason_is_said_once(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    health.up()
    for reason in ("refused", "refused", "refused", "no answer", "no answer"):
        health.away(reason)
        assert (health.ok, health.reason) == (False, reason)
    assert [line.split(": ")[1].split(";")[0] for line in said(caplog)] == ["refused", "no answer"]
    health.up()
    assert (health.ok, health.reason) == (True, None)
    assert said(caplog) == ["Broker at 127.0.0.1:1 is back"]
    health.away("no answer")
    assert len(said(caplog)) == 1, "it is another break, and news"


def test_reasons_that_alternate_are_no_storm(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        health.up()
        caplog.clear()
        for attempt in range(100):
            health.away(("refused", "no answer")[attempt % 2])
        assert len(said(caplog)) == 2
        for attempt in range(100):
            health.away(f"port {attempt} closed")
        assert len(said(caplog)) == 1, "after three of them the log knows enough"
        assert health.reason == "port 99 closed"


def test_refusals_are_counted_and_said_like_rejects(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    health.up()
    lines = []
    for _ in range(1000):
        health.refuse(ValueError(f"{health.name}: OOM\nfull"))
        lines += said(caplog)
    assert len(lines) == 4
    assert lines[1] == r"Broker at 127.0.0.1:1: refused a message (10 so far): OOM\nfull"
    assert (health.ok, health.lost, health.refused, health.refusal) == (True, 1000, 1000, "OOM\nfull")
    health.accepted(0)
    assert health.refusal
    health.accepted(2)
    assert health.published == 2
    assert health.refusal is None


def test_a_reason_is_one_escaped_line_and_not_long(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    health.away("gone\r\n2026-01-01 all is well\x1b[2J" + "x" * 10_000)
    (line,) = said(caplog)
    assert r"gone\r\n2026" in line
    assert len(line) < 500


def test_a_reconnection_is_counted_when_it_is_made(health: Health) -> None:
    health.connecting()
    health.away("not there yet")
    health.up()
    assert health.reconnections == 0, "it was the first time"
    health.away("broke")
    health.away("still broken")
    assert health.reconnections == 0
    health.up()
    health.up()
    assert health.reconnections == 1
    health.idle()
    health.away("not there yet")
    health.up()
    assert health.reconnections == 1


def test_rejects_are_said_with_the_first_the_tenth_the_hundredth(
    health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = []
    for number in range(1, 1001):
        health.reject(ValueError("what\nis this"), "a\nchannel")
        if said(caplog):
            numbers.append(number)
    assert numbers == [1, 10, 100, 1000]
    assert health.rejected == 1000
