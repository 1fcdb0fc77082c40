"""Who is waited for, by number and by ids, and what neither doubled nor forged answers can do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketeer.adapters.inquiries import Asked, Inquiry
from socketeer.adapters.messages import SOMEBODY
from socketeer.engine.timers import TimerWheel
from socketeer.errors import AckTimeout
from socketeer.protocol.packet import EVENT, Packet
from tests.engine.fakes import settle
from tests.support.clock import FakeClock


class Question:
    """An inquiry that somebody waits for."""

    def __init__(self, inquiry: Inquiry, timeout: float | None = 5) -> None:
        self.clock = FakeClock()
        self.task = asyncio.create_task(inquiry.wait(TimerWheel(self.clock), timeout))

    async def done(self) -> bool:
        await settle()
        return self.task.done()


@pytest.mark.parametrize("nobody", [0, ()])
async def test_without_other_nodes_nobody_is_waited_for(nobody: Any) -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(nobody)
    assert await Question(inquiry).task == []


@pytest.mark.parametrize("nodes", [2, ("a", "b")])
async def test_all_nodes_are_waited_for(nodes: Any) -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(nodes)
    question = Question(inquiry)
    inquiry.node_answers("a", [1, 2])
    assert not await question.done()
    inquiry.node_answers("b", [])
    assert await question.task == [1, 2]


@pytest.mark.parametrize("nodes", [2, ("a", "b")])
async def test_nodes_may_answer_before_it_is_known_how_many_there_are(nodes: Any) -> None:
    inquiry = Inquiry()
    inquiry.node_answers("a", [1])
    question = Question(inquiry)
    assert not await question.done()
    inquiry.expect_nodes(nodes)
    assert not await question.done()
    inquiry.node_answers("b", [2])
    assert await question.task == [1, 2]


async def test_all_may_have_answered_before() -> None:
    inquiry = Inquiry()
    inquiry.node_answers("a", [1])
    inquiry.expect_nodes(1)
    assert await Question(inquiry).task == [1]


async def test_a_node_that_is_gone_is_not_waited_for() -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(("a", "b"))
    question = Question(inquiry)
    inquiry.node_done("a")
    inquiry.node_done("a")
    assert not await question.done()
    inquiry.node_answers("b", [2])
    assert await question.task == [2]


async def test_a_node_with_a_name_answers_once_where_their_number_is_known() -> None:
    inquiry = Inquiry()
    inquiry.node_answers("a", [1])
    inquiry.node_answers("a", [1])
    inquiry.expect_nodes(2)
    question = Question(inquiry)
    inquiry.node_answers("a", [1])
    assert not await question.done()
    inquiry.node_answers("b", [2])
    assert await question.task == [1, 2]


async def test_where_nodes_have_no_names_no_more_answer_than_there_are() -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(2)
    for _ in range(5):
        inquiry.node_answers(SOMEBODY, [1])
    assert await Question(inquiry).task == [1, 1]


async def test_a_known_node_answers_once() -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(("a", "b"))
    question = Question(inquiry)
    for _ in range(3):
        inquiry.node_answers("a", [1])
        inquiry.node_asks("a", 4)
    assert not await question.done()
    inquiry.node_answers("b", [2])
    assert await question.task == [1, 2]


async def test_an_unknown_node_takes_nobodys_place() -> None:
    """It may be one that has come since, so what it says counts; those that are known are still waited for."""
    inquiry = Inquiry()
    inquiry.expect_nodes(("a",))
    question = Question(inquiry)
    inquiry.node_answers("new", ["n"])
    assert not await question.done()
    inquiry.node_answers("a", [1])
    assert await question.task == ["n", 1]


async def test_more_answers_than_nodes_do_no_harm() -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(1)
    for uid in ("a", "b", "c"):
        inquiry.node_answers(uid, [uid])
    inquiry.expect()
    question = Question(inquiry)
    inquiry.node_answers("d", [])
    assert not await question.done(), "a surplus answer stood in for the client of this node"
    inquiry.answered(["here"])
    assert await question.task == ["a", "here"]


async def test_the_clients_of_other_nodes_are_waited_for() -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(("a",))
    question = Question(inquiry)
    inquiry.client_answers("forged, as no node has asked a client yet")
    inquiry.node_asks("a", 2)
    inquiry.client_answers(1)
    assert not await question.done()
    inquiry.client_answers(2)
    inquiry.client_answers("one too many")
    assert await question.task == [1, 2]


async def test_who_is_late_leaves_a_partial_answer() -> None:
    inquiry = Inquiry()
    inquiry.expect_nodes(("a", "b"))
    question = Question(inquiry)
    inquiry.node_answers("a", [1])
    assert not await question.done()
    question.clock.advance(5.1)
    with pytest.raises(AckTimeout) as late:
        await question.task
    assert late.value.responses == [1]


class Asker:
    """The node that wants to know what this node's clients answer."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.ended: list[Asked] = []
        self.asked = Asked(
            "r1", Packet(EVENT, "/", ["q"]), lambda *each: self.told.append(each), self.ended.append
        )


def test_each_client_is_told_of_and_the_last_ends_it() -> None:
    asker = Asker()
    for _ in range(3):
        asker.asked.expect()
    asker.asked.sockets = [object()] * 3  # type: ignore[list-item]
    asker.asked.answered(["yes", "dropped"])
    asker.asked.answered([])
    assert asker.ended == []
    asker.asked.gone()
    assert asker.told == [("r1", "yes"), ("r1", None)]
    assert asker.ended == [asker.asked]
