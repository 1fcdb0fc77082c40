"""Which carrier is taken, and what is said where the one asked for is not there."""

from __future__ import annotations

import pytest

from socketeer.engine.carriers import choice
from socketeer.errors import OptionError


@pytest.mark.parametrize("built", [True, False])
def test_what_there_is_unless_asked_otherwise(monkeypatch: pytest.MonkeyPatch, built: bool) -> None:
    monkeypatch.setattr(choice, "BUILT", built)
    monkeypatch.delenv("SOCKETEER_CARRIER", raising=False)
    assert choice.carrier_name() == ("lane" if built else "picows")
    assert ("not built" in choice.describe()) is not built
    monkeypatch.setenv("SOCKETEER_CARRIER", "picows")
    assert choice.carrier_name() == "picows"
    assert choice.describe().startswith("carrier picows, ")


def test_the_lane_asked_for_and_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKETEER_CARRIER", "lane")
    monkeypatch.setattr(choice, "BUILT", True)
    assert choice.carrier_name() == "lane"
    monkeypatch.setattr(choice, "BUILT", False)
    with pytest.raises(OptionError, match="not built here"):
        choice.carrier_name()
    assert "not built here" in choice.describe()


def test_another_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKETEER_CARRIER", "pigeon")
    with pytest.raises(OptionError, match="expected lane or picows, got 'pigeon'"):
        choice.carrier_name()
