from __future__ import annotations

import logging
from typing import Any

import pytest

from socketeer.engine.emitter import Emitter
from socketeer.errors import UsageError


class Letters(Emitter):
    events = frozenset({"a", "b", "unknown"})


@pytest.fixture
def emitter() -> Emitter:
    return Letters()


def test_listeners_are_called_at_once_in_order_with_all_arguments(emitter: Emitter) -> None:
    heard: list[Any] = []
    emitter.on("a", lambda *args: heard.append(("first", args)))
    emitter.on("a", lambda *args: heard.append(("second", args)))
    emitter.on("b", lambda *args: heard.append(("other", args)))
    emitter.emit("a", 1, {"x": 2})
    assert heard == [("first", (1, {"x": 2})), ("second", (1, {"x": 2}))]
    emitter.emit("b")
    assert heard[2:] == [("other", ())]


def test_an_event_that_nobody_listens_to(emitter: Emitter) -> None:
    emitter.emit("a", 1)
    emitter.on("a", print)
    emitter.off("a")
    emitter.emit("a", 1)


def test_it_may_be_a_decorator(emitter: Emitter) -> None:
    heard: list[int] = []

    @emitter.on("a")
    def listener(value: int) -> None:
        heard.append(value)

    emitter.emit("a", 1)
    assert heard == [1]
    listener(2)
    assert heard == [1, 2]


def test_on_gives_the_listener_back(emitter: Emitter) -> None:
    def listener() -> None: ...

    assert emitter.on("a", listener) is listener
    assert emitter.on("a")(listener) is listener


def test_a_listener_may_be_there_twice_and_goes_once(emitter: Emitter) -> None:
    heard: list[int] = []
    emitter.on("a", heard.append)
    emitter.on("a", heard.append)
    emitter.emit("a", 1)
    emitter.off("a", heard.append)
    emitter.emit("a", 2)
    assert heard == [1, 1, 2]


def test_off(emitter: Emitter) -> None:
    heard: list[Any] = []

    def keep(value: int) -> None:
        heard.append(("keep", value))

    def drop(value: int) -> None:
        heard.append(("drop", value))

    emitter.on("a", keep)
    emitter.on("a", drop)
    emitter.off("a", drop)
    emitter.off("a", drop)
    emitter.off("unknown")
    emitter.off("unknown", drop)
    emitter.emit("a", 1)
    emitter.off("a")
    emitter.emit("a", 2)
    assert heard == [("keep", 1)]


def test_who_listens_is_settled_when_the_event_begins(emitter: Emitter) -> None:
    heard: list[str] = []

    def late() -> None:
        heard.append("late")

    def first() -> None:
        heard.append("first")
        emitter.on("a", late)
        emitter.off("a", second)

    def second() -> None:
        heard.append("second")

    emitter.on("a", first)
    emitter.on("a", second)
    emitter.emit("a")
    assert heard == ["first", "second"]
    heard.clear()
    emitter.emit("a")
    assert heard == ["first", "late"]


def test_a_listener_that_raises_is_logged_and_the_others_go_on(
    emitter: Emitter, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    def fail(value: int) -> None:
        raise ValueError("of the test")

    emitter.on("a", fail)
    emitter.on("a", heard.append)
    emitter.emit("a", 1)
    assert heard == [1]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("socketeer", logging.ERROR)
    assert record.getMessage() == "a listener of engine.on('a') failed"
    assert "of the test" in caplog.text


def test_an_async_listener_is_refused_at_once(emitter: Emitter) -> None:
    async def listener() -> None: ...

    with pytest.raises(UsageError, match="listener of 'a': expected a plain function, got an async one"):
        emitter.on("a", listener)
    with pytest.raises(UsageError):
        emitter.on("a")(listener)
    emitter.emit("a")
