"""Flags of one event."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.client.operator import check_event
from socketeer.errors import ReservedEventError, UsageError
from tests.support.client_line import Line, turns


@pytest.mark.parametrize("name", [1, None, b"bytes", ("a",)])
def test_an_event_has_a_name(name: Any) -> None:
    with pytest.raises(UsageError, match="expected a name"):
        check_event(name)


def test_reserved_names() -> None:
    with pytest.raises(ReservedEventError, match="disconnect"):
        check_event("disconnect")
    check_event("error")


async def test_flags_are_of_one_event() -> None:
    line = Line()
    client = await line.connected()
    line.carrier.busy = True
    careful = client.compress(False).volatile
    careful.emit("dropped")
    client.emit("sent")
    line.carrier.busy = False
    careful.send("sent, too")
    assert line.heard() == ['42["sent"]', '42["message","sent, too"]']


async def test_waiting_until_it_is_on_its_way() -> None:
    line = Line()
    await line.client.emit("not connecting: nothing to wait for")
    line.client.connect()
    await turns()
    waiting = line.client.emit("a")
    line.welcome()
    await waiting
    assert line.heard()[-1] == '42["a"]'
