"""The blocking client over the official server and ours, from ordinary threads."""

from __future__ import annotations

import inspect
import os
import signal
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest

from socketeer import (
    Ack,
    AckTimeout,
    BlockingClient,
    Client,
    ConnectionRefused,
    Event,
    OptionError,
    Overflow,
    ReservedEventError,
    SocketDisconnected,
    TransportError,
    UsageError,
)
from tests.support.official import Running, running, server

__all__ = ["server"]

DEADLINE = 10.0


@pytest.fixture
def tag() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def client(server: Running, tag: str) -> Iterator[BlockingClient]:
    with BlockingClient(f"{server.url}?tag={tag}", reconnection_delay=0.05) as one:
        yield one


def queued(inbox: SimpleQueue[Any]) -> Any:
    return inbox.get(timeout=DEADLINE)


def test_calls_from_an_ordinary_thread(client: BlockingClient) -> None:
    assert client.connected
    assert client.active
    assert not client.disconnected
    assert not client.recovered
    assert client.nsp == "/"
    assert len(client.id or "") == 20
    assert client.emit_with_ack("ack", timeout=DEADLINE) is None
    assert client.emit_with_ack("ack", b"\x00\x01", timeout=DEADLINE) == b"\x00\x01"
    assert client.timeout(DEADLINE).compress(False).emit_with_ack("ack", 1, "two") == (1, "two")
    assert client.emit_with_ack("describe", timeout=DEADLINE)["id"] == client.id
    client.disconnect()
    assert (client.connected, client.id) == (False, None)


def test_what_is_emitted_comes_back_in_order(client: BlockingClient) -> None:
    inbox: SimpleQueue[Any] = SimpleQueue()
    client.on("echo", inbox.put)
    client.on("message", inbox.put)
    client.emit("echo", 1)
    client.send(2)
    client.compress(False).emit("echo", 3)
    client.timeout(1).send(4)
    client.volatile.emit("first only", "may be dropped")
    assert [queued(inbox) for _ in range(4)] == [1, 2, 3, 4]


def test_errors_are_raised_where_the_call_was_made(client: BlockingClient) -> None:
    with pytest.raises(AckTimeout):
        client.emit_with_ack("silent", timeout=0.05)
    with pytest.raises(ReservedEventError) as caught:
        client.emit("disconnect")
    places = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert places[0] == test_errors_are_raised_where_the_call_was_made.__name__
    assert places[-1] == "check_event"
    with pytest.raises(ReservedEventError):
        client.on("newListener", print)
    with pytest.raises(TypeError):
        client.emit("echo", object())


def test_a_break_ends_what_waits_for_an_acknowledgement(client: BlockingClient) -> None:
    failed: SimpleQueue[Any] = SimpleQueue()

    def ask() -> None:
        with pytest.raises(SocketDisconnected) as caught:
            client.emit_with_ack("silent")
        failed.put(caught.value)

    sent: SimpleQueue[Any] = SimpleQueue()
    client.on_any_outgoing(lambda event: sent.put(event))  # noqa: PLW0108 - put would take two
    threading.Thread(target=ask).start()
    assert queued(sent) == "silent"
    client.disconnect()
    assert isinstance(queued(failed), SocketDisconnected)


# --- handlers ---------------------------------------------------------------------------------------


def test_handlers_run_in_order_in_a_thread_of_the_client(client: BlockingClient) -> None:
    inbox: SimpleQueue[tuple[int, str]] = SimpleQueue()

    @client.on("burst")
    def burst(number: int) -> None:
        if number % 7 == 0:
            time.sleep(0.002)  # a handler that lets others overtake it, if they could
        inbox.put((number, threading.current_thread().name))

    client.emit("burst", "burst", 100, False)
    assert [queued(inbox) for _ in range(100)] == [(number, "socketeer-handlers") for number in range(100)]


def test_what_a_handler_returns_is_the_acknowledgement(client: BlockingClient) -> None:
    @client.on("question")
    def question(a: int, b: int) -> tuple[int, int]:
        return a + b, a * b

    assert client.emit_with_ack("ask", "question", 5000, [3, 4], timeout=DEADLINE) == {"value": [7, 12]}


def test_an_acknowledgement_by_hand_from_any_thread(client: BlockingClient) -> None:
    @client.on("at once")
    def at_once(value: str, ack: Ack) -> None:
        wanted = [ack.wanted]
        ack(value, "by the handler")
        wanted.append(ack.wanted)
        ack("a second time")
        assert wanted == [True, False]

    @client.on("later")
    def later(value: str, *, ack: Ack) -> None:
        threading.Thread(target=ack, args=(value, "by a thread")).start()

    for event, who in (("at once", "by the handler"), ("later", "by a thread")):
        answer = client.emit_with_ack("ask", event, 5000, ["x"], timeout=DEADLINE)
        assert answer == {"value": ["x", who]}


class Point(msgspec.Struct):
    x: int
    y: int


def test_annotations_check_the_payload(client: BlockingClient) -> None:
    points: SimpleQueue[Point] = SimpleQueue()
    errors: SimpleQueue[Exception] = SimpleQueue()
    client.on("error", errors.put)

    @client.on("echo")
    def echo(point: Point) -> None:
        points.put(point)

    client.emit("echo", {"x": 1, "y": "two"})
    client.emit("echo", {"x": 1, "y": 2})
    assert queued(points) == Point(1, 2)
    assert "Expected `int`, got `str`" in str(queued(errors))


def test_a_handler_may_call_the_client(client: BlockingClient) -> None:
    inbox: SimpleQueue[Any] = SimpleQueue()

    @client.on("echo")
    def echo(value: str) -> None:
        inbox.put(client.emit_with_ack("ack", value, timeout=DEADLINE))
        client.on("disconnect", lambda reason: inbox.put(reason))  # noqa: PLW0108 - put would take two
        client.disconnect()
        inbox.put(client.connected)

    client.emit("echo", "hello")
    assert [queued(inbox) for _ in range(3)] == ["hello", False, "io client disconnect"]
    client.connect()
    assert client.emit_with_ack("ack", "again", timeout=DEADLINE) == "again"


def test_a_handler_may_close_the_client_and_another_thread_connect_it_again(client: BlockingClient) -> None:
    closed = threading.Event()

    @client.on("echo")
    def echo(value: str) -> None:
        if value == "close":
            client.close()
        closed.set()

    client.emit("echo", "close")
    assert closed.wait(DEADLINE)
    closed.clear()
    client.connect()
    client.emit("echo", "stay")
    assert closed.wait(DEADLINE)


def test_closing_lets_the_handlers_finish(server: Running) -> None:
    seen: list[str] = []
    with BlockingClient(server.url) as client:

        @client.on("disconnect")
        def disconnect(reason: str) -> None:
            time.sleep(0.05)
            seen.append(reason)

    assert seen == ["io client disconnect"]


def test_what_a_handler_lets_out_is_told_and_the_next_one_runs(
    client: BlockingClient, caplog: pytest.LogCaptureFixture
) -> None:
    inbox: SimpleQueue[Any] = SimpleQueue()
    client.on("error", lambda error: inbox.put(repr(error)))

    @client.on("echo")
    def echo(value: str) -> None:
        if value == "exit":
            raise SystemExit(7)
        if value == "fail":
            raise ValueError(value)
        inbox.put(value)

    for value in ("fail", "exit", "go on"):
        client.emit("echo", value)
    # The error's own handlers stand in the queue behind what had come before they were told.
    found = sorted(queued(inbox) for _ in range(3))
    assert found[1:] == ["ValueError('fail')", "go on"]
    assert "cannot end the program: SystemExit(7)" in found[0]


def test_listeners_come_and_go(client: BlockingClient) -> None:
    calls: SimpleQueue[Any] = SimpleQueue()
    first, second = (lambda value, name=name: calls.put((name, value)) for name in ("first", "second"))
    client.on("echo", second)
    client.prepend("echo", first)
    client.once("echo", calls.put)
    assert client.listeners("echo") == [first, second, calls.put]
    assert (client.listener_count("echo"), client.has_listeners("nothing")) == (3, False)
    assert client.event_names() == ["echo"]
    client.emit("echo", 1)
    assert [queued(calls) for _ in range(3)] == [("first", 1), ("second", 1), 1]
    client.off("echo", first)
    assert client.listeners("echo") == [second]
    client.emit("echo", 2)
    assert queued(calls) == ("second", 2)
    client.off()
    assert client.event_names() == []


def test_catch_alls_in_both_directions(client: BlockingClient) -> None:
    seen: SimpleQueue[Any] = SimpleQueue()

    @client.on_any
    def incoming(event: str, *args: Any) -> None:
        seen.put(("in", event, *args))

    @client.on_any_outgoing
    def outgoing(event: str, *args: Any) -> None:
        seen.put(("out", event, *args))

    before = client.prepend_any(lambda event: seen.put(("before", event)))
    before_outgoing = client.prepend_any_outgoing(lambda event: seen.put(("before out", event)))
    assert client.listeners_any() == [before, incoming]
    assert client.listeners_any_outgoing() == [before_outgoing, outgoing]
    client.emit("echo", 1)
    assert [queued(seen) for _ in range(4)] == [
        ("before out", "echo"),
        ("out", "echo", 1),
        ("before", "echo"),
        ("in", "echo", 1),
    ]
    client.off_any(before)
    client.off_any_outgoing()
    client.emit("echo", 2)
    assert queued(seen) == ("in", "echo", 2)


def test_handlers_are_plain_functions(client: BlockingClient) -> None:
    async def echo() -> None: ...

    with pytest.raises(UsageError, match="wants plain functions"):
        client.on("echo", echo)
    with pytest.raises(UsageError, match="expected a function, got 7"):
        client.on("echo", 7)  # type: ignore[call-overload]


# --- connections ------------------------------------------------------------------------------------


def test_the_managers_events_come_to_the_clients_thread(client: BlockingClient) -> None:
    seen: SimpleQueue[Any] = SimpleQueue()
    client.on("disconnect", lambda reason: seen.put(("disconnect", reason)))
    client.io.once(
        "reconnect", lambda attempt: seen.put((attempt, client.emit_with_ack("ack", 1, timeout=DEADLINE)))
    )
    before = client.id
    client.emit("close_connection")
    assert queued(seen) == ("disconnect", "transport close")
    assert client.active
    client.emit("echo", "kept until there is a connection")
    attempt, _ = queued(seen)
    assert attempt == 1
    assert client.id != before
    assert not client.io.reconnecting


def test_the_engine_below(server: Running, tag: str) -> None:
    closed: SimpleQueue[Any] = SimpleQueue()
    with BlockingClient(
        f"{server.url}?tag={tag}", transports=["websocket"], reconnection_delay=0.05
    ) as client:
        engine = client.io.engine
        assert engine is not None
        assert engine.transport.name == "websocket"
        assert engine.id == client.emit_with_ack("describe", timeout=DEADLINE)["conn"]

        @engine.on("close")
        def close(reason: str, description: str | None) -> None:
            closed.put((reason, threading.current_thread().name))

        again = threading.Event()
        client.io.on("reconnect", lambda attempt: again.set())
        engine.close()
        assert queued(closed) == ("forced close", "socketeer-handlers")
        assert again.wait(DEADLINE)
    assert client.io.engine is None


def test_other_namespaces_over_the_same_connection(client: BlockingClient) -> None:
    chat = client.of("chat").connect()
    assert chat is client.of("/chat")
    assert client.of("/") is client
    assert chat.io is client.io
    assert chat.emit_with_ack("describe", timeout=DEADLINE)["nsp"] == "/chat"
    with pytest.raises(ConnectionRefused, match="wrong token") as refused:
        client.of("/secret", auth={"token": "x"}).connect()
    assert refused.value.data == {"code": 4001, "hints": ["spelling", {"case": True}]}
    secret = client.of("/secret")
    secret.auth = {"token": "s3cret"}
    assert secret.connect().connected


def test_auth_is_asked_in_a_thread_that_may_block(client: BlockingClient) -> None:
    threads: list[threading.Thread] = []

    def auth() -> dict[str, int]:
        threads.append(threading.current_thread())
        return {"answer": client.emit_with_ack("ack", 42, timeout=DEADLINE)}

    chat = client.of("/chat", auth=auth)
    assert chat.auth is auth
    chat.connect()
    assert chat.emit_with_ack("handshake", timeout=DEADLINE)["auth"] == {"answer": 42}
    assert threading.current_thread() not in threads


def test_in_the_thread_of_the_loop_a_call_is_refused(client: BlockingClient) -> None:
    async def auth() -> dict[str, int]:  # an async one runs in the loop
        client.emit("echo")
        return {}

    with pytest.raises(ConnectionRefused, match="in the thread of its own loop"):
        client.of("/chat", auth=auth).connect()


def test_waiting_has_a_limit_and_an_end(client: BlockingClient) -> None:
    with pytest.raises(TimeoutError, match=r"not over within 0\.05 s"):
        client.wait(timeout=0.05)
    client.emit("disconnect_me", False)
    assert client.wait(timeout=DEADLINE) == "io server disconnect"


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(TransportError), BlockingClient("http://127.0.0.1:9", reconnection=False):
        pass
    client = BlockingClient("http://127.0.0.1:9")
    with pytest.raises(TimeoutError, match=r"not connected within 0\.1 s"):
        client.connect(timeout=0.1)
    assert client.active
    client.close()
    assert not client.active


def test_options_are_those_of_the_client() -> None:
    with pytest.raises(TypeError, match="'tranports'"):
        BlockingClient("http://localhost", tranports=["websocket"])  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="transports"):
        BlockingClient("http://localhost", transports=["carrier pigeon"])  # type: ignore[list-item]
    assert inspect.signature(BlockingClient) == inspect.signature(Client)


# --- threads ----------------------------------------------------------------------------------------


def test_many_threads_emit_each_in_its_order(client: BlockingClient) -> None:
    threads, each = 8, 50
    inbox: SimpleQueue[tuple[int, int]] = SimpleQueue()
    client.on("echo", lambda thread, number: inbox.put((thread, number)))

    def emit(thread: int) -> None:
        for number in range(each):
            client.emit("echo", thread, number)

    running = [threading.Thread(target=emit, args=(thread,)) for thread in range(threads)]
    for one in running:
        one.start()
    found = [queued(inbox) for _ in range(threads * each)]
    for one in running:
        one.join()
    for thread in range(threads):
        assert [number for who, number in found if who == thread] == list(range(each))


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing else stops a process for a while")
def test_a_server_that_does_not_read_is_waited_for() -> None:
    times, size = 60, 500_000  # more than the system's buffers take, more than max_bytes
    with running() as server, BlockingClient(server.url, transports=["websocket"]) as client:
        heard: SimpleQueue[int] = SimpleQueue()
        client.on("first only", lambda number: heard.put(number))  # noqa: PLW0108 - put would take two

        def emit() -> None:
            for number in range(times):
                client.emit("first only", number, "x" * size)

        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            emitting = threading.Thread(target=emit)
            emitting.start()
            emitting.join(1)
            assert emitting.is_alive()
            client.volatile.emit("first only", "dropped")  # does not wait
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        emitting.join(DEADLINE)
        assert [queued(heard) for _ in range(times)] == list(range(times))
        assert client.connected


# --- events as an iterator --------------------------------------------------------------------------


def test_events_as_an_iterator(client: BlockingClient) -> None:
    with client.events("echo", "question") as events:
        client.emit("burst", "other", 3, False)
        client.emit("echo", 1, [2])
        event = next(events)
        assert (event.name, event.args, event.ack.wanted) == ("echo", (1, [2]), False)

        client.emit("ask and log", "question", 5000)
        event = next(events)
        assert event.ack.wanted
        event.ack("an answer")
    assert list(events) == []


def test_the_iterator_ends_with_the_connection(client: BlockingClient) -> None:
    events = client.events(max_queued=2, overflow=Overflow.DROP_NEWEST)
    client.emit("burst", "burst", 5, False)
    client.emit("disconnect_me", False)
    client.wait(timeout=DEADLINE)
    assert [event.args for event in events] == [(0,), (1,)]
    assert events.dropped == 3


def test_made_before_connecting_it_misses_nothing(server: Running) -> None:
    with_early = BlockingClient(f"{server.url}/eager")
    events = with_early.events()
    try:
        with_early.connect()
        found: list[Event] = [next(events), next(events)]
    finally:
        with_early.close()
    assert [event.args for event in found] == [("from the middleware",), ("from the connection handler",)]
