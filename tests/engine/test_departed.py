"""A poll that arrives behind its client's goodbye."""

from __future__ import annotations

import json

import pytest

from socketeer.engine import departed as departed_module
from socketeer.engine.departed import Departed
from socketeer.engine.request import RequestRefused
from tests.engine.fakes import Desk, Poller, make_request
from tests.engine.test_relay import Other


def in_cluster() -> Desk:
    desk = Desk()
    desk.engine.join_cluster("node-1", Other())
    return desk


async def left() -> Poller:
    poller = await in_cluster().polling()
    await poller.post(b"1")
    assert poller.listener.reasons == ["transport close"]
    return poller


async def test_it_gets_a_noop_once() -> None:
    poller = await left()
    answer = await poller.get()
    assert (answer.status, answer.body) == (200, b"6")
    answer = await poller.get()
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 1)


async def test_the_same_where_another_node_passes_it_on() -> None:
    poller = await left()
    assert (await poller.desk.engine.answer(make_request(poller.query))).body == b"6"
    with pytest.raises(RequestRefused):
        await poller.desk.engine.answer(make_request(poller.query))


async def test_a_post_is_refused() -> None:
    poller = await left()
    assert (await poller.post(b"40")).status == 400
    with pytest.raises(RequestRefused):
        await poller.desk.engine.answer(make_request(poller.query, "POST", body=b"40"))


async def test_not_where_its_poll_has_come() -> None:
    poller = await in_cluster().polling()
    poll = await poller.begin()
    await poller.post(b"1")
    assert (await poll).body == b"6"
    assert (await poller.get()).status == 400


async def test_only_for_a_moment() -> None:
    poller = await left()
    poller.desk.clock.advance(departed_module.MOMENT)
    assert (await poller.get()).status == 400


async def test_not_for_sessions_that_have_ended_otherwise() -> None:
    poller = await in_cluster().polling()
    poller.session.close(discard=True)
    assert (await poller.get()).status == 400


async def test_not_without_other_nodes() -> None:
    poller = await Desk().polling()
    await poller.post(b"1")
    assert (await poller.get()).status == 400


async def test_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departed_module, "MOST", 2)
    desk = in_cluster()
    pollers = [await desk.polling() for _ in range(3)]
    for poller in pollers:
        await poller.post(b"1")
    assert [(await poller.get()).status for poller in pollers] == [400, 200, 200]
    assert Departed()._left == {}
