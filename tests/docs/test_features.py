"""The feature matrix says what is there: each name in its Socketeer columns exists, and each public name stands in it.

A table belongs to what the head of its Socketeer column names: `Server(...)` is about parameters, `io` about
methods and properties, `socket.on(...)` about events. Code in such a column is a name there. `io.run()` is a name of
something else, `Limits(max_sessions)` a parameter of something else, and a class stands for itself.
"""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import typer.main

import socketeer
from socketeer import adapters, cli, testing
from socketeer.adapters import Adapter
from socketeer.engine.server import EngineServer
from socketeer.engine.session import Session
from socketeer.server import namespace
from socketeer.server.events import LOCAL_EVENTS
from socketeer.server.handshake import Handshake
from socketeer.server.operators import BroadcastOperator, RemoteSocket
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "reference" / "features.md").read_text(encoding="utf-8")

COLUMN = "Socketeer: "
SUMMARY = "row"
MARK = re.compile(r"`|(yes|partly|no|later|otherwise|not applicable)\b")
GAP = re.compile(r"(partly|no|later)\b(?! applicable)")
CODE = re.compile(r"`([^`]+)`")


def _names(of: Any) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


def _parameters(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters)


_IO = socketeer.Server()
_OPTIONS = (
    *(socketeer.Server, socketeer.Cors, socketeer.Cookie, socketeer.Compression, socketeer.PerMessageDeflate),
    *(socketeer.Recovery, socketeer.Backpressure, socketeer.Limits),
)

#: What a column may be about, and what there is of it.
OWNERS = {
    "io": _names(_IO),
    "nsp": _names(_IO.of("/features")),
    "io.of(pattern)": _names(_IO.of(re.compile("^/features-"))),
    "io.to(...)": _names(BroadcastOperator),
    "io.engine": _names(EngineServer),
    "socket": _names(socketeer.Socket),
    "socket.conn": _names(Session),
    "socket.handshake": _names(Handshake),
    "RemoteSocket": _names(RemoteSocket),
    "Adapter": _names(Adapter),
    "Emitter": _names(socketeer.Emitter),
    "Ack": _names(socketeer.Ack),
    "AckTimeout": _names(socketeer.AckTimeout()),
    "socketeer.testing": set(testing.__all__),
    "nsp.on(...)": set(namespace.SERVER_EVENTS),
    "socket.on(...)": set(LOCAL_EVENTS),
    "socket.conn.on(...)": set(Session.events),
    "io.engine.on(...)": set(EngineServer.events),
} | {f"{each.__name__}(...)": _parameters(each) for each in _OPTIONS}

#: Public for the modules around, and of no use to who writes an application.
WITHIN = {
    "io": {
        *(
            "end_sessions",
            "make_adapter",
            "on_joined",
            "recovery",
            "wheel",
        )
    },
    "nsp": {
        *("announce", "attach", "check_vacancy", "connect", "forget", "give_way", "inherit", "next_ack_id"),
        *(
            "on_server_side_emit",
            "overhear",
            "overheard",
            "parser",
            "prefix",
            "recovery",
            "report",
            "shut_down",
        ),
        *("socket_handlers", "wheel", "when_vacant"),
    },
    "Adapter": {"behind", "hurry", "send_behind"},
    "Emitter": {"tell"},
    "socket": {
        *(
            "acks",
            "direct",
            "gone",
            "hear_outgoing",
            "on_connected",
            "on_connection_closed",
            "on_event",
            "on_packet",
            "on_refused",
        ),
        *("on_transport_error", "send_ack", "transmit"),
    },
}

#: Owners most of whose names are for other modules: only what the page says of them is checked.
PARTLY_PUBLIC = {"io.engine", "socket.conn", "io.of(pattern)", "AckTimeout"}

#: Names that stand for themselves.
COMMANDS = {f"socketeer {name}" for name in typer.main.get_group(cli.app).commands}
BUILTINS = {name for name in dir(builtins) if name[0].isupper()}
ITSELF = {*socketeer.__all__, *adapters.__all__, *BUILTINS, *COMMANDS}


@dataclass(frozen=True)
class Row:
    owners: tuple[str, ...]
    feature: str
    ours: str
    theirs: str | None
    """python-socketio's cell, in tables that have one."""


def tables(text: str) -> list[list[list[str]]]:
    """All tables, each a list of rows, each a list of cells; the head is the first row."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [
        [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in table.splitlines()
            if "|---" not in line
        ]
        for table in found
    ]


def rows(text: str) -> list[Row]:
    """The rows of all tables with a column of Socketeer's."""
    result = []
    for head, *body in tables(text):
        at = next((at for at, cell in enumerate(head) if cell.startswith(COLUMN)), None)
        if at is not None:
            owners = tuple(CODE.findall(head[at]))
            result += [Row(owners, row[0], row[at], row[at + 1] if at else None) for row in body]
    return result


def mentioned(row: Row) -> list[tuple[str, str]]:
    """Each owner and name that a row speaks of; what stands for itself is left out, the owner of what is lost is empty."""
    result = []
    for code in CODE.findall(row.ours):
        parameter = re.fullmatch(r"(\w+)\((\w+)\)", code)
        owner, _, name = code.removesuffix("()").rpartition(".")
        if parameter:
            result.append((f"{parameter[1]}(...)", parameter[2]))
        elif owner:
            result.append((owner, name))
        elif code not in ITSELF and not code.startswith('"'):
            result += [(each, name) for each in row.owners]
    return result


def lost_names(text: str) -> list[str]:
    """The names in the page that there are not in the code."""
    return [
        f"{row.ours!r}: {owner} has no {name}"
        for row in rows(text)
        for owner, name in mentioned(row)
        if name not in OWNERS.get(owner, ())
    ]


def forgotten_names(text: str) -> list[str]:
    """The names in the code that there are not in the page."""
    said = {pair for row in rows(text) for pair in mentioned(row)}
    return [
        f"{owner}: {name}"
        for owner, names in OWNERS.items()
        if owner not in PARTLY_PUBLIC
        for name in sorted(names - WITHIN.get(owner, set()))
        if (owner, name) not in said
    ]


def gaps(text: str) -> set[str]:
    """The rows whose Socketeer cell owns up to a gap."""
    return {row.feature for row in rows(text) if GAP.match(row.ours)}


def summary(text: str) -> set[str]:
    """The rows of the summary."""
    return {row[0] for head, *body in tables(text) if head[0] == SUMMARY for row in body}


def test_each_name_in_the_page_exists() -> None:
    assert not lost_names(PAGE), "\n".join(lost_names(PAGE))


def test_each_public_name_stands_in_the_page() -> None:
    assert not forgotten_names(PAGE), "\n".join(forgotten_names(PAGE))


def test_names_that_the_page_may_leave_out_exist() -> None:
    assert not {(owner, name) for owner, names in WITHIN.items() for name in names - OWNERS[owner]}


def test_each_cell_begins_with_a_name_or_a_mark() -> None:
    compared = [row for row in rows(PAGE) if row.theirs is not None]
    odd = [cell for row in compared for cell in (row.ours, str(row.theirs)) if not MARK.match(cell)]
    assert compared
    assert not odd, "\n".join(odd)


def test_the_summary_lists_the_gaps_and_nothing_else() -> None:
    assert gaps(PAGE) == summary(PAGE)


@pytest.mark.parametrize(
    ("owner", "cell", "lost"),
    [
        ("Server(...)", "`path`", 0),
        ("Server(...)", "`paths`", 1),
        ("Limits(...)", "no: `Server(path)`, `Server(paths)`", 1),
        ("io", "`of()`, `engine`, `adapter`, `sockets`", 0),
        ("io", "`offer()`", 1),
        ("io`, `socket", "`emit()`, `fetch_sockets()`", 1),
        ("io", "yes: `socket.emit()` and `socket.omit()`", 1),
        ("io", "yes: `AckTimeout`, `TimeoutError`, `socketeer run`", 0),
        ("io", "yes: `AckTimeOut`, `socketeer walk`", 2),
        ("io", "yes: `gone.emit()`", 1),
        ("socket.on(...)", "`disconnect`, `disconnected`", 1),
    ],
)
def test_a_name_that_is_not_there_is_found(owner: str, cell: str, lost: int) -> None:
    text = f"| x | {COLUMN}`{owner}` | y |\n|---|---|---|\n| `feature` | {cell} | no |\n"
    assert len(lost_names(text)) == lost


def test_a_name_that_is_not_in_the_page_is_found() -> None:
    without = PAGE.replace("`fetch_sockets()`", "").replace("`ping_timeout`", "")
    assert {"io: fetch_sockets", "io.to(...): fetch_sockets", "Server(...): ping_timeout"} <= {
        *forgotten_names(without)
    }


def test_a_gap_that_is_not_in_the_summary_is_found() -> None:
    text = f"| x | {COLUMN}`io` | y |\n|---|---|---|\n| a | no: b | no |\n| c | not applicable | no |\n"
    assert gaps(text) - summary(text) == {"a"}
