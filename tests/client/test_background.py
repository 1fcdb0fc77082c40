"""What only a whole program shows: its end, Ctrl-C and forks. Each test runs one, over the official server."""

from __future__ import annotations

import asyncio
import os
import signal
import textwrap
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from socketeer import UsageError
from socketeer.client.background import TURN, background
from tests.support.command import Command, command
from tests.support.official import Running, official, running

__all__ = ["official"]

PRELUDE = """
import os, signal, sys, threading, time
from socketeer import BlockingClient, SocketDisconnected, UsageError
url, transport = sys.argv[1:]

def say(*words):
    sys.stdout.write(" ".join(words) + "\\n")  # in one piece: two threads may speak at once

def told_of_the_end(call, *args):
    try:
        call(*args)
    except SocketDisconnected:
        pass
"""

TRANSPORTS = pytest.mark.parametrize("transport", ["polling", "websocket"])


@contextmanager
def program(source: str, url: str, transport: str = "websocket", **env: str) -> Iterator[Command]:
    """A Python program that shows every warning; ``url`` and ``transport`` are variables of it."""
    text = PRELUDE + textwrap.dedent(source)
    options = (
        "-X",
        "utf8",
        "-W",
        "ignore:This process:DeprecationWarning",
    )  # 3.12 on warns of every such fork
    with command(*options, "-c", text, url, transport, env=env) as one:
        yield one


@pytest.fixture
def tag() -> str:
    return uuid.uuid4().hex


# --- the end of a program ---------------------------------------------------------------------------


@TRANSPORTS
def test_a_program_that_ends_while_connected_says_goodbye(
    official: Running, tag: str, transport: str
) -> None:
    source = """
        client = BlockingClient(url, transports=[transport]).connect()
        client.emit("echo", "the last words")
    """
    with program(source, f"{official.url}?tag={tag}", transport) as one:
        assert one.wait() == 0
        assert (one.out, one.err) == ([], [])
    ended = official.saw("disconnecting", tag)
    assert ended["reason"] == "client namespace disconnect"


@TRANSPORTS
def test_what_was_emitted_last_leaves_before_the_goodbye(tag: str, transport: str) -> None:
    # Over our server: the official one forgets events that it reads in one piece with a disconnect.
    source = """
        client = BlockingClient(url, transports=[transport]).connect()
        client.emit_with_ack("listen to", ["last"])
        for number in range(20):
            client.emit("last", number)
    """
    with running("ours") as server:
        with program(source, f"{server.url}?tag={tag}", transport) as one:
            assert one.wait() == 0
        for number in range(20):
            server.saw("heard", tag, event="last", args=[number])


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            """
            client = BlockingClient(url, transports=[transport]).connect()
            started = threading.Event()

            @client.on("echo")
            def echo():
                started.set()
                time.sleep(1000)

            client.emit("echo")
            started.wait()
            """,
            id="a handler that never returns",
        ),
        pytest.param(
            """
            client = BlockingClient("http://127.0.0.1:9", reconnection_delay=0.01)
            failed = threading.Event()
            client.on("connect_error", lambda error: failed.set())
            threading.Thread(target=told_of_the_end, args=(client.connect,), daemon=True).start()
            failed.wait()
            """,
            id="attempts to connect",
        ),
        pytest.param(
            """
            client = BlockingClient(url, transports=[transport]).connect()
            sent = threading.Event()
            client.on_any_outgoing(lambda event: sent.set())
            threading.Thread(target=told_of_the_end, args=(client.emit_with_ack, "silent"), daemon=True).start()
            sent.wait()
            """,
            id="a thread that waits",
        ),
        pytest.param(
            """
            client = BlockingClient(url, transports=[transport]).connect()

            class Late:
                def __del__(self):
                    try:
                        client.emit("echo")
                    except UsageError:
                        pass

            late = Late()
            """,
            id="an object that emits when it goes",
        ),
    ],
)
def test_nothing_keeps_a_program_from_ending(official: Running, source: str) -> None:
    began = time.monotonic()
    with program(source, official.url) as one:
        assert one.wait() == 0
        assert one.err == []
    assert time.monotonic() - began < 10


@TRANSPORTS
def test_a_server_that_stands_still_holds_the_end_up_for_a_moment_only(transport: str) -> None:
    source = """
        client = BlockingClient(url, transports=[transport]).connect()
        os.kill(int(os.environ["SERVER"]), signal.SIGSTOP)
        client.emit("echo")
        print(time.time(), flush=True)
    """
    with running() as server:
        pid = str(server.process.pid)
        with program(source, server.url, transport, SERVER=pid) as one:
            assert one.wait() == 0
            assert "Traceback" not in str(one)
            assert time.time() - float(one.out[0]) < 8


# --- Ctrl-C -----------------------------------------------------------------------------------------


def test_ctrl_c_ends_the_waiting_and_the_client_goes_on(official: Running) -> None:
    source = """
        client = BlockingClient(url, transports=[transport]).connect()
        client.on_any_outgoing(lambda event: say("sent", event))

        def interrupted(call, *args):
            try:
                call(*args)
            except KeyboardInterrupt:
                say("interrupted", call.__name__, client.emit_with_ack("ack", "still there"))

        interrupted(client.emit_with_ack, "silent")
        threading.Timer(0.1, say, ["waits"]).start()
        interrupted(client.wait)
        events = client.events("echo")
        threading.Timer(0.1, say, ["iterates"]).start()
        interrupted(events.__next__)
        client.emit("echo", "an event")
        say(str(next(events).args))
        client.close()
    """
    with program(source, official.url) as one:
        for line, call in (("sent silent", "emit_with_ack"), ("waits", "wait"), ("iterates", "__next__")):
            one.wait_for(line)
            one.interrupt()
            one.wait_for(f"interrupted {call} still there")
        assert one.wait() == 0
        assert "('an event',)" in one.out  # the other thread may say "sent" later
        assert one.err == []


def test_ctrl_c_while_a_with_block_connects_leaves_nothing_behind() -> None:
    source = """
        client = BlockingClient("http://127.0.0.1:9", reconnection_delay=0.01)
        client.on("connect_error", lambda error: print("tried", flush=True))
        try:
            with client:
                print("connected")
        except KeyboardInterrupt:
            print("active", client.active, client.io)
    """
    with program(source, "") as one:
        one.wait_for("tried")
        one.interrupt()
        assert one.wait() == 0
        assert one.out[-1] == "active False <BlockingManager http://127.0.0.1:9 closed>"
        assert one.err == []


def test_ctrl_c_that_nobody_catches_ends_the_program(official: Running) -> None:
    source = """
        with BlockingClient(url, transports=[transport]) as client:
            client.on_any_outgoing(lambda event: say("sent", event))
            client.emit("echo")
            client.wait()
    """
    with program(source, official.url) as one:
        one.wait_for("sent echo")
        one.interrupt()
        assert one.wait() == -signal.SIGINT
        assert one.err[-1] == "KeyboardInterrupt"


# --- forks ------------------------------------------------------------------------------------------

FORK = """
def forked(function):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            function()
            sys.stdout.flush()
        finally:
            os._exit(0)
    os.waitpid(child, 0)

"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")
def test_a_client_that_was_connected_belongs_to_the_parent(official: Running) -> None:
    source = """
        client = BlockingClient(url, transports=[transport]).connect()

        def child():
            for call in (lambda: client.emit("echo"), client.close, lambda: client.on("echo", print)):
                try:
                    call()
                except UsageError as error:
                    print("child:", error)
            with BlockingClient(url, transports=[transport]) as other:
                print("child:", other.emit_with_ack("ack", "a client of its own"))

        forked(child)
        print("parent:", client.emit_with_ack("ack", "goes on"))
        client.close()
    """
    with program(FORK + textwrap.dedent(source), official.url) as one:
        assert one.wait() == 0
        *refusals, own, parent = one.out
        assert len(refusals) == 3
        assert all("forked from it: connect a client of its own" in line for line in refusals)
        assert (own, parent) == ("child: a client of its own", "parent: goes on")
        assert one.err == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")
def test_a_client_made_before_the_fork_connects_in_the_child(official: Running) -> None:
    """As with Celery's workers and Gunicorn's: the module is imported first, the processes come later."""
    source = """
        client = BlockingClient(url, transports=[transport])
        heard = threading.Event()

        @client.on("echo")
        def echo(text):
            print(text)
            heard.set()

        def child():
            with client:
                client.emit("echo", "in the child")
                heard.wait(10)

        forked(child)
        with client:
            client.emit("echo", "in the parent")
            heard.wait(10)
    """
    with program(FORK + textwrap.dedent(source), official.url) as one:
        assert one.wait() == 0
        assert one.out == ["in the child", "in the parent"]
        assert one.err == []


# --- in this process --------------------------------------------------------------------------------


def test_the_loop_is_one_for_the_process() -> None:
    assert background() is background()
    assert background().run(lambda: "a result") == "a result"
    with pytest.raises(UsageError, match="in the thread of its own loop"):
        background().run(lambda: background().run(print))


def test_a_time_out_is_told_from_a_slow_call() -> None:
    def late() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        background().run(late)

    async def slow() -> str:
        await asyncio.sleep(TURN * 1.2)  # nothing else happens in it
        return "done"

    assert background().run(slow) == "done"
