"""The parent of workers: it binds the port once, starts them, replaces those that end, reloads and ends them all.

It runs the hub of :mod:`socketeer.adapters.local_hub`, and nothing of the user's while it does. A worker is a fresh
interpreter that runs the same program once more (:mod:`socketeer.integrations.worker`): nothing is forked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from socketeer.adapters.local_hub import Hub
from socketeer.checks import whole
from socketeer.errors import OptionError, UsageError
from socketeer.integrations import listening
from socketeer.integrations.processes import Process
from socketeer.integrations.worker import PATIENCE

log = logging.getLogger("socketeer")

#: Seconds between two attempts to replace a worker that ends at once: from the third on, doubling, and at most.
_DELAY: Final = 0.25
_DELAY_MAX: Final = 8.0

#: Seconds after which a worker that does not serve yet is mentioned.
_LONG: Final = 30.0

_NEVER_CAME: Final = (
    ": the program is run once more in each worker, and has to come to the call that serves there, too"
)


class WorkersFailed(RuntimeError):
    """No worker came up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be served, and how."""

    workers: int
    command: Sequence[str]
    """What starts one."""
    host: str | None
    port: int
    secure: bool = False
    """Whether the URL begins with https."""
    backlog: int = listening.BACKLOG

    def __post_init__(self) -> None:
        whole("workers", self.workers, 1)


def check_platform() -> None:
    """Refuse to start workers where that cannot work.

    Raises:
        UsageError: under Windows, or in a thread other than the main one.
    """
    if sys.platform == "win32":
        raise UsageError("workers: Windows cannot share a port so; start several servers behind a proxy")
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("workers: expected to be started in the main thread, which gets the signals")


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings of uvicorn's that say where one process listens.

    Raises:
        OptionError: there are such.
    """
    for name in ("fd", "reload", "uds"):
        if settings.get(name):
            raise OptionError(f"{name}: workers share a host and a port, expected none of {name}")


class Supervisor:
    """The parent.

    Args:
        plan: what to serve.
        ready: called once with the URL, when all workers have come up or failed to.
    """

    def __init__(self, plan: Plan, ready: Callable[[str], None]) -> None:
        self._plan = plan
        self._ready = ready
        self._hub = Hub()
        self._places: list[list[socket.socket]] = []
        self._slots: list[_Slot] = []
        self._all: set[Process] = set()
        """Every process that has not ended."""
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._terminal = _has_terminal()
        self._hangup_ignored = False

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM.

        Raises:
            OSError: the address is taken.
            WorkersFailed: no worker came up.
        """
        plan = self._plan
        self._listen_to_signals()
        self._places = listening.bind(plan.host, plan.port, plan.workers, plan.backlog)
        try:
            await self._hub.start()
            working, stopping = asyncio.ensure_future(self._work()), asyncio.ensure_future(self._stop.wait())
            try:
                await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()
            finally:
                working.cancel()
                stopping.cancel()
                await asyncio.gather(working, stopping, return_exceptions=True)
        finally:
            self._stop.set()
            await self._end_all()
            await self._hub.close()
            listening.close(self._places)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        self._hangup_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_end)

    def _asked_to_end(self) -> None:
        if self._stop.is_set():  # an impatient user
            for process in self._all:
                process.kill()
        self._stop.set()

    def _hung_up(self) -> None:
        if self._terminal and not self._hangup_ignored and not _has_terminal():
            self._asked_to_end()  # the window was closed
        else:
            self._reload.set()

    # --- work -----------------------------------------------------------------------------------------

    async def _work(self) -> None:
        self._slots = [_Slot(self, number) for number in range(1, self._plan.workers + 1)]
        first, *others = self._slots
        if not await first.begin():  # all others would fail for the same reason
            process = first.process
            raise WorkersFailed(
                f"no worker came up: worker 1 {process.outcome} before it served"
                + (_NEVER_CAME if process.exit_code == 0 else "")
            )
        await asyncio.gather(*(slot.begin() for slot in others))
        self._ready(listening.url(self._places[0][0], secure=self._plan.secure))
        await asyncio.gather(*(slot.keep() for slot in self._slots), self._reload_when_asked())

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            log.info("reloading %d workers", len(self._slots))
            for slot in self._slots:
                if not await slot.renew(self._reload):
                    log.error(
                        "worker %d cannot be renewed: the new one ended before it served; the old ones go on",
                        slot.number,
                    )
                    break
            else:
                log.info("reloaded %d workers", len(self._slots))

    def start(self, number: int) -> Process:
        """Start a worker."""
        process = Process(number, self._plan.command, self._places, self._hub.path, self._changed)
        self._all.add(process)
        return process

    def _changed(self) -> None:
        """Somebody has come or gone: those that serve accept connections for those that do not."""
        self._all = {process for process in self._all if not process.ended.is_set()}
        if self._stop.is_set():
            return
        serving = [process for process in self._all if process.serves]
        present = {process.number for process in serving}
        absent = [number for number in range(1, self._plan.workers + 1) if number not in present]
        for process in serving:
            process.tell(absent)

    async def _end_all(self) -> None:
        for process in self._all:
            process.leave()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._all_ended()
        except TimeoutError:
            for process in self._all:
                log.warning("worker %d (process %d) does not end, and is killed", process.number, process.pid)
                process.kill()
            await self._all_ended()

    async def _all_ended(self) -> None:
        for process in list(self._all):
            await process.ended.wait()


class _Slot:
    """The place of one worker, whoever fills it."""

    def __init__(self, parent: Supervisor, number: int) -> None:
        self.number = number
        self._parent = parent
        self._failures = 0
        self.process: Process

    async def begin(self) -> bool:
        """Fill it; whether the worker came up."""
        self.process = self._parent.start(self.number)
        return await self._up(self.process)

    async def keep(self) -> None:
        """Fill it again whenever it is empty."""
        while True:
            process = self.process
            await process.ended.wait()
            if process is not self.process:  # renewed
                continue
            if process.settled:
                self._failures = 0
            delay = self._pause()
            log.error(
                "worker %d (process %d) %s; %s",
                self.number,
                process.pid,
                process.outcome,
                f"another is started in {delay:g} s" if delay else "another is started",
            )
            while process is self.process:
                await asyncio.sleep(delay)
                try:
                    if process is self.process:
                        self.process = self._parent.start(self.number)
                except OSError as error:
                    delay = self._pause()
                    log.error("worker %d cannot be started: %s", self.number, error)  # noqa: TRY400

    def _pause(self) -> float:
        """Seconds before the next attempt."""
        self._failures += 1
        return 0.0 if self._failures < 2 else min(_DELAY * 2.0 ** (self._failures - 2), _DELAY_MAX)

    async def renew(self, again: asyncio.Event) -> bool:
        """Start another worker, and end the old one when the new one serves; whether it does.

        One that does not is ended when ``again`` is set.
        """
        try:
            process = self._parent.start(self.number)
        except OSError as error:
            log.error("worker %d cannot be started: %s", self.number, error)  # noqa: TRY400
            return False
        up, asked = asyncio.ensure_future(self._up(process)), asyncio.ensure_future(again.wait())
        try:
            await asyncio.wait({up, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not up.done():
                process.kill()
            if not await up:
                return False
        finally:
            up.cancel()
            asked.cancel()
        old, self.process = self.process, process
        self._failures = 0
        old.leave()
        try:
            async with asyncio.timeout(PATIENCE):
                await old.ended.wait()
        except TimeoutError:
            log.warning("worker %d (process %d) does not end, and is killed", self.number, old.pid)
            old.kill()
        return True

    async def _up(self, process: Process) -> bool:
        late = asyncio.get_running_loop().call_later(
            _LONG, log.warning, "worker %d does not serve yet, after %d s", self.number, _LONG
        )
        try:
            return await asyncio.shield(process.came_up)
        finally:
            late.cancel()


def _has_terminal() -> bool:
    """Whether there is a terminal that could be closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
