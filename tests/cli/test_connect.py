"""`socketeer connect` in a pseudo-terminal and with pipes, against the official server and ours."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from interop.harness import Servers
from tests.support.command import Command, socketeer
from tests.support.pseudo_terminal import PseudoTerminal, in_a_terminal

CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"


@contextmanager
def talking(url: str, *args: str, **settings: Any) -> Iterator[PseudoTerminal]:
    """A person at a prompt, connected and upgraded."""
    with in_a_terminal("connect", url, *args, **settings) as terminal:
        terminal.wait_for("upgraded to websocket")
        terminal.wait_for("> ", prompt=True)
        yield terminal


def script(url: str, lines: str, *args: str) -> Command:
    """What it says to lines from a pipe; it has ended."""
    reading, writing = os.pipe()
    with socketeer("connect", url, *args, stdin=reading) as process:
        os.close(reading)
        os.write(writing, lines.encode())
        os.close(writing)
        process.wait()
        return process


# --- a person ---------------------------------------------------------------------------------------


def test_events_acknowledgements_and_transports_are_shown(url: str) -> None:
    with talking(url) as terminal:
        assert re.search(
            r"connected to / over polling in \d+\.\d ms, id [\w-]{20}", terminal.wait_for("connected")
        )
        assert re.search(r"upgraded to websocket, \d+\.\d ms after", terminal.wait_for("upgraded"))
        terminal.type('echo "hello" {"a": 1} word\r')
        assert terminal.wait_for("← echo").endswith('← echo "hello" {"a": 1} "word"')
        assert terminal.wait_for("note:").endswith('word is no JSON: sent as the string "word"')
        terminal.type("ack [1,2] ?\r")
        assert re.search(r"✓ ack \[1, 2\]  \d+\.\d ms$", terminal.wait_for("✓ ack"))
        assert re.search(
            r"websocket, last acknowledgement \d+\.\d ms", terminal.wait_for("last acknowledgement")
        )
        terminal.type('/ack ack "twice"\r')
        terminal.wait_for('✓ ack "twice"')
        terminal.type("/ping\r")
        assert re.search(r"round trip \d+\.\d ms, by a WebSocket's ping", terminal.wait_for("round trip"))
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
        terminal.wait_for("disconnected from /: io client disconnect")


def test_colours_are_there_unless_nobody_wants_them(official: str) -> None:
    with talking(official) as terminal:
        terminal.type('echo "hello" 5\r')
        terminal.wait_for("← echo")
        assert terminal.cell("← echo").fg == "green"
    with talking(official, env={"NO_COLOR": "1"}) as terminal:
        terminal.type('echo "hello" 5\r')
        terminal.wait_for("← echo")
        assert terminal.cell("← echo").fg == "default"


def test_tab_completes_what_was_seen_before(url: str) -> None:
    with talking(url) as terminal:
        terminal.type('relay {"via": "namespace"} "news of the day" 1 ?\r')
        terminal.wait_for('← "news of the day" 1')
        terminal.type("new\t")
        assert terminal.wait_for("day", prompt=True) == '/> "news of the day"'
        terminal.type("\x15rel\t")
        assert terminal.wait_for("relay", prompt=True) == "/> relay"
        terminal.type("\x15/disc\t")
        assert terminal.wait_for("/disc", prompt=True) == "/> /disconnect"
        terminal.type("\x15" + UP)
        assert terminal.wait_for("via", prompt=True) == '/> relay {"via": "namespace"} "news of the day" 1 ?'


def test_output_goes_above_what_is_being_typed(url: str) -> None:
    with talking(url) as one, talking(url) as other:
        one.type("half a li")
        one.wait_for("/> half a li", prompt=True)
        other.type('relay {"via": "namespace"} "noise" 1 ?\r')
        one.wait_for("← noise 1")
        assert one.wait_for("half a li", prompt=True) == "/> half a li"
        above = next(number for number, line in enumerate(one.lines) if "← noise" in line)
        assert above < next(number for number, line in enumerate(one.lines) if "half a li" in line)
        one.type(" ne\r")
        one.wait_for("/> half a li ne")
        one.wait_for("/> ", prompt=True)


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D, "/quit\r"])
def test_it_ends_properly(key: str, servers: dict[str, Servers]) -> None:
    process, url = servers["official"].get("default")
    with talking(url, "--query", "tag=ends") as terminal:
        if key == CTRL_C:
            terminal.type("half typed")
            terminal.wait_for("half typed", prompt=True)
        terminal.type(key)
        assert terminal.wait() == 0
        assert b"Traceback" not in terminal.raw
    ended = process.find(lambda entry: entry.get("kind") == "disconnect" and entry.get("tag") == "ends")
    assert ended["reason"] == "client namespace disconnect"


def test_the_window_is_made_narrower(official: str) -> None:
    with talking(official, columns=100) as terminal:
        terminal.type("half a line")
        terminal.wait_for("half a line", prompt=True)
        terminal.resize(60, 20)
        terminal.type(" and more of it")
        assert terminal.wait_for("more of it", prompt=True) == "/> half a line and more of it"
        terminal.type("\r" + 'echo "after"\r')
        terminal.wait_for('← echo "after"')


def test_what_a_server_sends_is_shown_and_never_obeyed(url: str) -> None:
    evil = r'"evil\u001b[2J\u001b]0;title\u0007\u202e\u009b5m\nrm"'
    with talking(url) as terminal:
        before = len(terminal.raw)
        terminal.type(f'relay {{"via": "namespace"}} {evil} {{{evil}: [{evil}]}} ?\r')
        terminal.wait_for("← ")
        for shown in (r"\u001b[2J", r"\u001b]0;title\u0007", r"\u202e\u009b5m\nrm"):
            terminal.wait_for(shown)
        terminal.type('"ev\t')
        terminal.wait_for('rm"', prompt=True)
        sent = terminal.raw[before:]
        assert b"\x1b[2J" not in sent.replace(b"\x1b[2J\x1b[0m", b"")
        for obeyed in ("\x1b]0;", "\x07", "\u202e", "\u009b"):
            assert obeyed.encode() not in sent, obeyed


def test_a_long_value_is_cut_and_shown_whole(official: str) -> None:
    with talking(official, rows=60) as terminal:
        terminal.type('echo "%s" {"last": 1}\r' % ("x" * 600))
        terminal.wait_for("/show 1 shows all of it")
        assert not any(line == '  "last": 1' for line in terminal.lines)
        terminal.type("/show 1\r")
        terminal.wait_for('  "last": 1')
        terminal.type("/show 7\r")
        terminal.wait_for("no such value")


def test_another_namespace_over_the_same_connection(url: str) -> None:
    with talking(url) as terminal:
        terminal.type("/of /chat\r")
        terminal.wait_for("connected to /chat over websocket")
        terminal.wait_for("/chat> ", prompt=True)
        terminal.type("echo 1\r")
        terminal.wait_for("← /chat echo 1")
        terminal.type("/of /secret\r")
        terminal.wait_for("error: /secret refused the connection: not authorized")
        terminal.type("/of /chat\r/disconnect\r")
        terminal.wait_for("disconnected from /chat: io client disconnect")
        terminal.type("echo 2\r")
        terminal.wait_for("note: not connected: it is sent after /connect")
        terminal.type("/connect\r")
        terminal.wait_for("← /chat echo 2")


def test_it_connects_again(url: str) -> None:
    with talking(url) as terminal:
        terminal.type("close_connection\r")
        terminal.wait_for("disconnected from /: transport close")
        terminal.wait_for("next attempt in ")
        terminal.wait_for("connecting again, attempt 1")
        terminal.type("echo 7\r")
        terminal.wait_for("← echo 7")


def test_a_server_that_is_not_there_yet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    with in_a_terminal("connect", nobody) as terminal:
        assert re.search(r"All connection attempts failed|refused", terminal.wait_for("no connection to"))
        terminal.wait_for("Nothing listens there. Is the server running")
        terminal.wait_for("next attempt in ")
        terminal.wait_for("connecting again, attempt 2")
        terminal.type(CTRL_C)
        assert terminal.wait() == 0
        assert b"Traceback" not in terminal.raw


# --- a script ---------------------------------------------------------------------------------------


def test_a_script_gets_plain_lines_and_waits_for_what_it_asked(url: str) -> None:
    done = script(
        url,
        'echo "a\\u001b[2J" {"b": [1, null]}\n/wait echo\n\n"ack later" 50 "late" ?\nsilent ?\n'
        '/of /chat\nack "in chat" ?',
        "--timeout",
        "2",
    )
    assert done.wait() == 3, done
    assert done.out[0] == '< echo "a\\u001b[2J" {"b":[1,null]}'
    assert sorted(done.out[1:]) == ['= "ack later" "late"', '= /chat ack "in chat"']
    assert "error: no acknowledgement of silent within 2 s" in done.err
    assert any("connected to / over polling" in line for line in done.err)
    assert not any("\x1b" in line for line in done.out + done.err)


def test_binary_comes_as_base64(url: str, tmp_path: Any) -> None:
    (tmp_path / "bytes").write_bytes(b"\x00\xff")
    done = script(url, f"ack @{tmp_path / 'bytes'} ?\n")
    assert (done.out, done.wait()) == (['= ack {"base64":"AP8="}'], 0)


@pytest.mark.parametrize(
    ("lines", "status", "says"),
    [
        ("ack 1 ?\n", 0, "connected to /"),
        ("", 0, "connected to /"),
        ("ack {a} ?\n", 2, "this is no JSON"),
        ("/fly\n", 2, "there is no command /fly"),
        ("/wait\n", 2, "/wait hello"),
        ("silent ?\n", 3, "no acknowledgement of silent within 2 s"),
        ("/wait never\n", 3, "no event never within 2 s"),
        ("disconnect\n", 2, "reserved"),
        ("disconnect_me true\n/wait never\n", 1, "disconnected from /: "),
        ("/of /secret\n/wait never\n", 1, "not authorized"),
    ],
)
def test_the_exit_status_of_a_script(lines: str, status: int, says: str, url: str) -> None:
    done = script(url, lines, "--timeout", "2")
    assert done.wait() == status, done
    assert says in "\n".join(done.err)


def test_a_script_and_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    done = script(nobody, "echo 1\n")
    assert (done.wait(), done.out) == (1, [])
    assert done.err[0].startswith(f"error: no connection to http://{nobody}/socket.io: polling: ")
    assert "Nothing listens there." in done.err[1]


def test_a_script_that_is_refused(url: str) -> None:
    done = script(f"{url}/secret", "echo 1\n")
    assert (done.wait(), done.out) == (1, [])
    assert "error: /secret refused the connection: not authorized" in " ".join(done.err)


def test_a_file_is_a_script_too(official: str, tmp_path: Any) -> None:
    (tmp_path / "lines").write_text("ack 1 ?\nack 2 ?", encoding="utf-8")
    with (
        (tmp_path / "lines").open("rb") as file,
        socketeer("connect", official, stdin=file.fileno()) as process,
    ):
        assert process.wait() == 0
        assert sorted(process.out) == ["= ack 1", "= ack 2"]


def test_ctrl_c_ends_a_script_that_waits_for_lines(official: str) -> None:
    reading, writing = os.pipe()
    with socketeer("connect", official, stdin=reading) as process:
        os.close(reading)
        process.wait_for("connected to /")
        assert process.stop() < 5
        assert process.wait() == 0
        assert not any("Traceback" in line for line in process.err)
    os.close(writing)
