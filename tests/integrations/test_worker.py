"""A worker's side: when a process is one, and what is refused there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from textwrap import dedent

import pytest

from socketeer import Server
from socketeer.adapters import RedisAdapter
from socketeer.errors import OptionError
from socketeer.integrations.worker import VARIABLE, check_recovery, current

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no workers under Windows")


def worker(code: str, *, parent: int | None = None, keep: bool = True) -> subprocess.CompletedProcess[str]:
    """Run code as a worker that this process has started."""
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listening:
        told = {
            "number": 2,
            "parent": os.getpid() if parent is None else parent,
            "control": theirs.fileno(),
            "places": [[], [listening.fileno()]],
            "bus": "/nowhere/bus",
        }
        return subprocess.run(
            [sys.executable, "-c", dedent(code)],
            env={**os.environ, VARIABLE: json.dumps(told)},
            pass_fds=[theirs.fileno(), listening.fileno()] if keep else [],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def test_this_process_is_none() -> None:
    assert current() is None


def test_what_a_worker_has() -> None:
    done = worker(
        """
        import logging, os, signal, subprocess, sys
        from socketeer import Server
        from socketeer.integrations.worker import current
        me = current()
        assert me is current()
        assert "SOCKETEER_WORKER" not in os.environ
        assert me.number == 2 and len(me.sockets) == 1 and me.sockets[0].getsockname()[1]
        assert not me.sockets[0].get_inheritable()
        os.kill(os.getpid(), signal.SIGHUP); os.kill(os.getpid(), signal.SIGINT)  # for the parent
        logging.basicConfig(format="%(processName)s %(message)s")
        logging.warning("here")
        one, two, other, again = Server(), Server(path="/x"), Server(), Server()
        prefixes = [io.make_adapter.prefix for io in (one, two, other, again)]
        print(prefixes)
        assert one.adapter.capabilities.cluster
        try:
            Server(connection_state_recovery=True)
        except ValueError as error:
            print(error)
        """
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == str(
        [f"socket.io:{each}" for each in ("/socket.io:1", "/x:1", "/socket.io:2", "/socket.io:3")]
    )
    assert second.startswith("connection_state_recovery: with workers")
    assert "RecoveringAdapter" in second
    assert "worker 2 here" in done.stderr


def test_one_whose_parent_has_died_does_not_become_a_parent() -> None:
    done = worker("from socketeer import Server; Server(); print('on')", parent=1)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the parent of this worker has died" in done.stderr


def test_what_a_worker_has_started_is_none() -> None:
    done = worker("from socketeer.integrations.worker import current; assert current() is None", keep=False)
    assert done.returncode == 0, done.stderr


def test_recovery() -> None:
    check_recovery(Server())
    check_recovery(Server(adapter=RedisAdapter()))
    with pytest.raises(OptionError, match="adapter that recovers sessions across nodes"):
        check_recovery(Server(connection_state_recovery=True))


async def test_serve_starts_no_workers() -> None:
    with pytest.raises(OptionError, match="workers: expected"):
        await Server().serve(workers=2)
