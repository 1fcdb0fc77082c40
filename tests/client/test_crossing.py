"""The thread of a client's handlers, by itself; with a client it is tested in test_blocking.py."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from socketeer import UsageError
from socketeer.client.crossing import Bridge, HandlerThread, Threaded

DEADLINE = 10.0


def test_calls_run_in_order_in_one_thread_which_ends_when_it_retires() -> None:
    thread = HandlerThread()
    assert thread.retire() is None  # nothing has run: there is none to end
    results = [thread.submit(partial(lambda n: (n, threading.current_thread()), n)) for n in range(5)]
    worker = thread.retire()
    assert worker is not None
    assert [each.result(DEADLINE) for each in results] == [(n, worker) for n in range(5)]
    worker.join(DEADLINE)
    assert not worker.is_alive()
    assert worker.daemon
    another = thread.submit(threading.current_thread).result(DEADLINE)
    assert another is not worker
    thread.retire()


def test_what_a_call_raises_does_not_end_the_thread() -> None:
    def leave() -> None:
        raise SystemExit(3)

    thread = HandlerThread()
    failed, left, done = thread.submit(lambda: 1 / 0), thread.submit(leave), thread.submit(lambda: "done")
    with pytest.raises(ZeroDivisionError):
        failed.result(DEADLINE)
    with pytest.raises(UsageError, match="SystemExit"):
        left.result(DEADLINE)
    assert done.result(DEADLINE) == "done"
    thread.retire()


def test_a_call_that_was_given_up_before_its_turn_does_not_run() -> None:
    thread, gate, calls = HandlerThread(), threading.Event(), []
    thread.submit(gate.wait)
    given_up = thread.submit(lambda: calls.append(1))
    assert given_up.cancel()
    last = thread.submit(lambda: calls.append(2))
    gate.set()
    last.result(DEADLINE)
    assert calls == [2]
    thread.retire()


def test_a_handler_is_known_again() -> None:
    class Chat:
        def heard(self) -> None: ...

    chat, bridge = Chat(), Bridge()
    assert Threaded(chat.heard, bridge) == Threaded(chat.heard, bridge)
    assert Threaded(chat.heard, bridge) != Threaded(Chat().heard, bridge)
    assert len({Threaded(chat.heard, bridge), Threaded(chat.heard, bridge)}) == 1
    assert repr(Threaded(chat.heard, bridge)) == repr(chat.heard)


def test_async_functions_are_refused_in_any_guise() -> None:
    async def handler(value: int) -> None: ...

    class Handler:
        async def __call__(self) -> None: ...

    for each in (handler, partial(handler, 1), Handler()):
        with pytest.raises(UsageError, match="wants plain functions"):
            Threaded(each, Bridge())
