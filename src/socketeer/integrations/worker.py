"""A worker's side: what it has got from its parent, how it serves, and that it ends with its parent."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final

from socketeer.adapters.local import LocalAdapter
from socketeer.adapters.local_hub import sweep
from socketeer.errors import BrokerUnavailable, OptionError
from socketeer.integrations.uvicorn import Server as UvicornServer
from socketeer.server.server import BaseServer

log = logging.getLogger("socketeer")

#: What a worker finds in its environment, and takes out of it.
VARIABLE: Final = "SOCKETEER_WORKER"

#: Seconds that a worker has to end by itself, before it is killed.
PATIENCE: Final = 8.0

#: Seconds that the bus has to come up before clients are let in.
_SETTLING: Final = 5.0

#: Seconds in which connections that it has just accepted bring their requests.
_LAST_REQUESTS: Final = 0.1

#: How a worker's log lines begin where nobody has configured logging.
LOG_FORMAT: Final = "%(levelname)s: [%(processName)s] %(message)s"


class Worker:
    """This process, as a worker.

    Args:
        number: from 1 on.
        control: to the parent; it ends when the parent does.
        places: the sockets of all workers.
        bus: the path of the hub.

    Attributes:
        number: from 1 on.
    """

    def __init__(
        self, number: int, control: socket.socket, places: Sequence[Sequence[socket.socket]], bus: str
    ) -> None:
        self.number = number
        self.places = places
        self._control = control
        self._bus = bus
        self._servers: Counter[str] = Counter()
        self._adapters: list[LocalAdapter] = []
        self.on_absent: Callable[[frozenset[int]], None] | None = None
        """Told, in a thread of its own, of workers for which this one is to listen too."""
        self.absent: frozenset[int] = frozenset()

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """Those on which it listens."""
        return self.places[self.number - 1]

    def adapter(self, path: str) -> LocalAdapter:
        """An adapter for a server whose path this is: servers of the same place in each worker hear each other."""
        self._servers[path] += 1
        adapter = LocalAdapter(self._bus, f"socket.io:{path}:{self._servers[path]}")
        self._adapters.append(adapter)
        return adapter

    async def settled(self) -> None:
        """Wait, for a while, until the servers that have been started hear the other workers."""
        for adapter in self._adapters:
            with suppress(BrokerUnavailable, TimeoutError):
                async with asyncio.timeout(_SETTLING):
                    await adapter.bus.settled()

    def ready(self) -> None:
        """Tell the parent that it serves."""
        with suppress(OSError):  # the parent has died: the watch notices, too
            self._control.sendall(b"ready\n")

    def watch(self) -> None:
        """Listen to the parent; to be run in a thread. When the parent has died, the process ends."""
        with suppress(OSError), self._control.makefile("r", encoding="ascii") as lines:
            for line in lines:
                self.absent = frozenset(json.loads(line)["absent"])
                if self.on_absent is not None:
                    self.on_absent(self.absent)
        log.warning("the parent of worker %d has died; it ends", self.number)
        sweep(self._bus)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        os._exit(1)


@cache
def current() -> Worker | None:
    """This process as a worker; None where it is none."""
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        return None
    told: dict[str, Any] = json.loads(text)
    try:
        control = socket.socket(fileno=told["control"])
    except OSError:
        return None  # a process that a worker has started, before it took this out of its environment
    if os.getppid() != told["parent"]:
        sys.exit("the parent of this worker has died")
    places = [[socket.socket(fileno=each) for each in place] for place in told["places"]]
    for sock in (control, *(each for place in places for each in place)):
        sock.set_inheritable(False)  # what the worker starts is not to keep the port
    worker = Worker(told["number"], control, places, told["bus"])
    _name(f"worker {worker.number}")
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGHUP):  # they are for the parent
            signal.signal(number, lambda *_: None)
    threading.Thread(target=worker.watch, name="socketeer-parent", daemon=True).start()
    return worker


def _name(name: str) -> None:
    """What log lines call this process: their ``processName``."""
    import multiprocessing  # noqa: PLC0415 - only workers need it

    multiprocessing.current_process().name = name


class WorkerServer(UvicornServer):
    """A web server on the sockets that the parent has bound.

    Args:
        config: uvicorn's.
        worker: this process.
    """

    def __init__(self, config: Any, worker: Worker) -> None:
        super().__init__(config, lambda _: self._serves())
        self._worker = worker
        self._for_others: dict[int, list[asyncio.Server]] = {}
        self._turn = asyncio.Lock()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM ends it. It comes from the parent, so that uvicorn's habit of raising it again would help nobody."""
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield

    async def startup(self, sockets: Any = None) -> None:
        """As ever; but the first client is to hear what other workers say."""
        begin = self.lifespan.startup

        async def begin_and_settle() -> None:
            await begin()
            await self._worker.settled()

        self.lifespan.startup = begin_and_settle
        await super().startup(sockets)

    def _serves(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(absent: frozenset[int]) -> None:
            with suppress(RuntimeError):  # the loop has ended
                asyncio.run_coroutine_threadsafe(self._stand_in(absent), loop)

        self._worker.on_absent = tell
        tell(self._worker.absent)
        self._worker.ready()

    async def _stand_in(self, absent: frozenset[int]) -> None:
        """Accept connections of workers that have ended, until others have taken their place."""
        async with self._turn:
            for number in self._for_others.keys() - absent:
                for server in self._for_others.pop(number):
                    server.close()
            for number in absent - self._for_others.keys() - {self._worker.number}:
                if not self.should_exit:
                    places = self._worker.places[number - 1]
                    self._for_others[number] = [await self._accept(sock) for sock in places]

    async def _accept(self, sock: socket.socket) -> asyncio.Server:
        config = self.config
        make: Any = config.http_protocol_class
        return await asyncio.get_running_loop().create_server(
            lambda: make(config=config, server_state=self.server_state, app_state=self.lifespan.state),
            sock=sock.dup(),
            ssl=config.ssl,
            backlog=config.backlog,
        )

    async def shutdown(self, sockets: Any = None) -> None:
        """From here on another worker accepts; then as ever."""
        self.should_exit = True
        await self._stand_in(frozenset())
        for server in self.servers:
            server.close()
        await asyncio.sleep(_LAST_REQUESTS)
        await super().shutdown(sockets)


def check_recovery(io: BaseServer) -> None:
    """Refuse what cannot work: sessions that are kept in the worker that a client does not come back to.

    Raises:
        OptionError: the server recovers sessions, and only within a process.
    """
    can = io.adapter.capabilities
    if io.recovery is not None and not (can.recovery and can.cluster):
        raise OptionError(
            "connection_state_recovery: with workers, a client comes back to any of them: expected "
            "an adapter that recovers sessions across nodes (capabilities.recovery and .cluster), got "
            f"{type(io.adapter).__name__}; give such an adapter=, or connection_state_recovery=None, or no workers"
        )
