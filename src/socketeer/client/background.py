"""The loop of all blocking clients of a process, in a thread of its own.

Its threads are daemons, and none belongs to a pool of ``concurrent.futures``, whose threads the
interpreter waits for at its end: nothing that a server or a handler does can keep a program from
ending. At the end, clients that are still connected say goodbye, for a few seconds at most.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Protocol
from weakref import WeakSet

from socketeer.errors import UsageError

NAME: Final = "socketeer"
#: Seconds that everything may take together when the interpreter ends.
LAST_WORDS: Final = 3.0
#: Seconds after which a thread that waits looks up: on Windows, Ctrl-C gets in only then.
TURN: Final = 1.0


class Closing(Protocol):
    """A client, as the end of the program sees it."""

    async def close(self) -> None:
        """End the connection."""
        ...


def settle(future: Future[Any], function: Callable[[], Any]) -> None:
    """Call ``function`` here; ``future`` gets its result, or what it raises."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except Exception as error:  # noqa: BLE001 - it is for whoever waits
        future.set_exception(error)
    except BaseException as error:  # noqa: BLE001 - SystemExit would end the loop that waits
        future.set_exception(UsageError(f"a thread of a blocking client cannot end the program: {error!r}"))
    else:
        future.set_result(result)


class DaemonExecutor(ThreadPoolExecutor):
    """A daemon thread for each call: for names that the system looks up, and functions that give ``auth``."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn`` in a thread that nobody waits for."""
        future: Future[Any] = Future()
        call = (future, lambda: fn(*args, **kwargs))
        threading.Thread(target=settle, args=call, name=f"{NAME}-call", daemon=True).start()
        return future


class LoopThread:
    """A running loop, for the process that has made it."""

    def __init__(self) -> None:
        self.clients: WeakSet[Closing] = WeakSet()
        """Those to be closed when the interpreter ends."""
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(DaemonExecutor(1))
        self._thread = threading.Thread(target=self._loop.run_forever, name=NAME, daemon=True)
        self._thread.start()

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What ``function`` returns in the loop's thread, awaited where it is a coroutine.

        An exception that ends the waiting, as Ctrl-C does, cancels the call.

        Raises:
            UsageError: it is called in that very thread, which would wait for itself; or in another
                process, where the loop does not run.
        """
        self._check()

        async def call() -> Any:
            result = function(*args, **kwargs)
            return await result if inspect.iscoroutine(result) else result

        future = asyncio.run_coroutine_threadsafe(call(), self._loop)
        try:
            while True:
                try:
                    return future.result(TURN)
                except TimeoutError as error:  # this turn's, or the result
                    if future.done() and future.exception() is error:
                        raise
        except BaseException:
            future.cancel()
            raise

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Have ``function`` called in the loop's thread; nobody waits for it.

        Raises:
            UsageError: as by :meth:`run`.
        """
        self._check()
        self._loop.call_soon_threadsafe(function, *args)

    def _check(self) -> None:
        if self._process != os.getpid():
            raise UsageError(
                f"this client was used in process {self._process} and cannot be in process {os.getpid()}, "
                "which was forked from it: connect a client of its own in each process"
            )
        if threading.current_thread() is self._thread:
            raise UsageError(
                "a blocking client was called in the thread of its own loop, which would wait for itself: "
                "use Client there"
            )
        if self._loop.is_closed():
            raise UsageError("a blocking client was called after the end of the program")

    def end(self) -> None:
        """Close what is open, and end the thread."""
        self.run(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LAST_WORDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _close(self) -> None:
        closing = [asyncio.ensure_future(client.close()) for client in self.clients]
        if closing:
            await asyncio.wait(closing, timeout=LAST_WORDS)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, *closing, return_exceptions=True)


class _Process:
    """What this process has: at most one loop."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loop: LoopThread | None = None
        self.inherited: list[LoopThread] = []
        """A parent's. They are kept: to collect one would close what the parent uses."""

    def forked(self) -> None:
        self.lock = threading.Lock()  # a thread that is not here may have held it
        if self.loop is not None:
            self.inherited.append(self.loop)
        self.loop = None

    def end(self) -> None:
        if self.loop is not None:
            self.loop.end()


_process = _Process()
atexit.register(_process.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.forked)


def background() -> LoopThread:
    """The loop of this process, started when it is first wanted."""
    with _process.lock:
        if _process.loop is None:
            _process.loop = LoopThread()
        return _process.loop
