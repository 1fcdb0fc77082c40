"""What a handler raises, and a payload that does not fit, cost nobody the connection."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from socketeer.errors import InvalidPayload
from tests.messaging.calling import Table
from tests.support.inprocess import soon


def fails() -> None:
    raise LookupError("secret detail")


async def fails_async() -> None:
    raise LookupError("secret detail")


async def fails_later() -> None:
    await asyncio.sleep(0)
    raise LookupError("secret detail")


async def returns_what_cannot_be_sent() -> Any:
    await asyncio.sleep(0)
    return object()


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (fails, LookupError),
        (fails_async, LookupError),
        (fails_later, LookupError),
        (object, TypeError),
        (lambda: (1, {"a": object()}), TypeError),
        (returns_what_cannot_be_sent, TypeError),
    ],
)
async def test_a_failing_handler(
    handler: Any, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """Logged once with its event and socket, told to `error` listeners, not told to the client; the connection lives."""
    table = Table()
    done = asyncio.Event()
    table.lobby.io.on("error", lambda error: done.set())
    table.socket.on("the event", handler)
    table.client.say('420["the event"]')
    await soon(done)
    assert table.client.heard() == []
    assert [(where, type(error)) for where, error in table.errors] == [("socket", kind), ("the event", kind)]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "'the event'" in record.getMessage()
    assert table.socket.id in record.getMessage()
    assert table.lives()


async def test_a_failing_handler_that_nobody_asks_anything_of(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.socket.on("x", fails)
    table.client.say('42["x"]')
    assert len(table.errors) == 2
    assert len(caplog.records) == 1
    assert table.lives()


async def test_an_error_listener_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and told to nobody: that would have no end."""
    table = Table()
    seen: list[Exception] = []

    def listener(error: Exception) -> None:
        seen.append(error)
        raise RuntimeError("and again")

    table.socket.on("error", listener)
    table.lobby.io.on("error", listener)
    table.socket.on("x", fails)
    table.client.say('42["x"]')
    assert [type(error) for error in seen] == [LookupError, LookupError]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3
    assert table.lives()


async def test_a_failing_listener_of_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """The rest of the end still happens."""
    table = Table()
    reasons: list[str] = []
    table.socket.on("disconnecting", lambda reason: fails())
    table.socket.on("disconnect", lambda reason: fails())
    table.socket.on("disconnect", reasons.append)
    table.client.vanish()
    assert reasons == ["transport close"]
    assert [where for where, _ in table.errors] == ["socket", "disconnecting", "socket", "disconnect"]
    assert len(caplog.records) == 2
    assert table.lobby.io.sockets.sockets == {}


@pytest.mark.parametrize("turns", [0, 1])
async def test_a_handler_that_is_cancelled(turns: int, caplog: pytest.LogCaptureFixture) -> None:
    table = Table()

    async def cancelled_already() -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        await gone

    table.socket.on("x", cancelled_already)
    table.client.say('420["x"]')
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert table.errors == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert table.lives()


# --- payloads that do not fit -------------------------------------------------------------------


async def typed(number: int, text: str = "none") -> str:
    await asyncio.sleep(0)
    return f"{number} {text}"


async def test_a_payload_that_fits() -> None:
    table = Table()
    table.socket.on("x", typed)
    table.client.say('420["x",7,"some","more"]')
    await table.client.hears('430["7 some"]')


@pytest.mark.parametrize(
    "args", ["", ',"7"', ",7,8", ",null", ',{"a":"\\u001b\\n"}', "," + "[" * 50 + "]" * 50]
)
async def test_a_payload_that_does_not_fit(args: str, caplog: pytest.LogCaptureFixture) -> None:
    """The handler is not called; one line without a traceback; `error` listeners hear; no ack; the connection lives."""
    table = Table()

    def handler(number: int, text: str = "none") -> None:
        pytest.fail("called")

    table.socket.on("the event", handler)
    assert table.client.asks(f'420["the event"{args}]') == []
    assert [where for where, _ in table.errors] == ["socket", "the event"]
    assert all(isinstance(error, InvalidPayload) for _, error in table.errors)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 600
    assert "'the event'" in record.getMessage()
    assert table.lives()


async def test_a_misfit_is_the_matter_of_one_handler() -> None:
    table = Table()

    def number(value: int) -> str:
        return "a number"

    def anything(value: Any) -> str:
        return "anything"

    table.socket.on("x", number)
    table.socket.on("x", anything)
    assert table.client.asks('420["x","text"]') == ['430["anything"]']
