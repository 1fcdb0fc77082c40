"""Who has answered a question."""

from __future__ import annotations

import asyncio

import pytest

from socketeer.adapters.inquiries import Asked, Inquiry
from socketeer.engine.timers import loop_wheel
from socketeer.errors import AckTimeout
from socketeer.protocol.packet import EVENT, Packet


async def answers(inquiry: Inquiry, timeout: float = 5.0) -> list[object]:
    return await inquiry.wait(loop_wheel(), timeout)


async def test_nobody_is_asked() -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(0)
    assert await answers(inquiry) == []


@pytest.mark.parametrize("nodes", [2, ("a", "b")])
@pytest.mark.parametrize("early", [True, False])
async def test_nodes_answer_for_themselves(nodes: int | tuple[str, ...], early: bool) -> None:
    inquiry = Inquiry()
    if not early:
        inquiry.expect_nodes(nodes)
    inquiry.node_answers("a", [1])
    inquiry.node_answers("b", [2])
    if early:
        inquiry.expect_nodes(nodes)
    assert await answers(inquiry) == [1, 2]


@pytest.mark.parametrize("nodes", [2, ("a", "b")])
async def test_clients_of_other_nodes(nodes: int | tuple[str, ...]) -> None:
    inquiry = Inquiry()
    inquiry.node_asks("a", 2)
    inquiry.client_answers("first")
    inquiry.expect_nodes(nodes)
    waiting = asyncio.ensure_future(answers(inquiry))
    await asyncio.sleep(0)
    inquiry.node_asks("b", 0)
    inquiry.client_answers("second")
    inquiry.client_answers("of nobody")
    assert await waiting == ["first", "second"]


async def test_a_node_that_has_gone_is_not_waited_for() -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(("a", "b"))
    inquiry.node_answers("a", [1])
    inquiry.node_done("b")
    assert await answers(inquiry) == [1]


async def test_answers_of_strangers_replace_nobody() -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(("a",))
    inquiry.node_done("stranger")
    inquiry.client_answers("forged")
    with pytest.raises(AckTimeout) as late:
        await answers(inquiry, 0.03)
    assert late.value.responses == []


async def test_what_another_node_waits_for() -> None:
    told: list[tuple[str, object]] = []
    ended: list[Asked] = []
    asked = Asked("q", Packet(EVENT, "/", ["a"], 1), lambda q, value: told.append((q, value)), ended.append)
    for _ in range(3):
        asked.expect()
    asked.sockets = [None] * 3  # type: ignore[list-item]
    asked.answered([7, 8])
    asked.answered([])
    assert (told, ended) == ([("q", 7), ("q", None)], [])
    asked.gone()
    assert ended == [asked]
