"""From an ordinary thread to the loop's, and back to a thread of the client's own, where its handlers run."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from socketeer.client.background import NAME, LoopThread, background, settle
from socketeer.client.client import Client
from socketeer.errors import UsageError
from socketeer.messaging.handlers import Ack, F, Function
from socketeer.messaging.listening import CatchAlls, Listening, Manner

log = logging.getLogger("socketeer")

Call = tuple["Future[Any]", Callable[[], Any]]

#: Seconds that closing a client waits for handlers that run, or are still to run.
LAST_HANDLERS: Final = 3.0


class HandlerThread:
    """Runs one call after the other, in order. Its methods are for the loop's thread."""

    __slots__ = ("_calls", "_thread")

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        """Call ``function`` after those before it."""
        if self._thread is None:
            self._calls = SimpleQueue()
            self._thread = threading.Thread(
                target=_work_off, args=(self._calls,), name=f"{NAME}-handlers", daemon=True
            )
            self._thread.start()
        future: Future[Any] = Future()
        self._calls.put((future, function))
        return future

    def retire(self) -> threading.Thread | None:
        """End the thread once it has done what is queued; it is given back, to be waited for."""
        thread, self._thread = self._thread, None
        self._calls.put(None)
        return thread


def _work_off(calls: SimpleQueue[Call | None]) -> None:
    while (call := calls.get()) is not None:
        settle(*call)
        del call  # or the last arguments live until the next event


class Bridge:
    """One blocking client's ways between threads.

    Until it is connected a client belongs to no loop: one that is made before a fork, with its
    handlers, can be connected in the child.
    """

    __slots__ = ("_home", "handlers")

    def __init__(self) -> None:
        self.handlers = HandlerThread()
        self._home: LoopThread | None = None

    def settle(self, client: Client) -> None:
        """From now on the client belongs to the loop of this process."""
        if self._home is None:
            self._home = background()
            self._home.clients.add(client)

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``function`` in the loop's thread; see :meth:`LoopThread.run`."""
        return (self._home or background()).run(function, *args, **kwargs)

    def close(self, client: Client) -> None:
        """Close the client; handlers that are queued have a moment to run."""
        thread = self.run(self._close, client)
        if thread is not None and thread is not threading.current_thread():
            thread.join(LAST_HANDLERS)

    async def _close(self, client: Client) -> threading.Thread | None:
        await client.close()
        return self.handlers.retire()


class CrossingAck(Ack):
    """An acknowledgement that can be given from any thread but the loop's."""

    __slots__ = ("_ack", "_bridge")

    def __init__(self, ack: Ack, bridge: Bridge) -> None:
        super().__init__(None)
        self._ack = ack
        self._bridge = bridge

    def __call__(self, *args: Any) -> None:
        self._bridge.run(self._ack, *args)

    @property
    def wanted(self) -> bool:
        return self._ack.wanted


class Threaded:
    """A handler as the loop sees it: an async function with the handler's signature, run in the client's thread."""

    def __init__(self, handler: Function, bridge: Bridge) -> None:
        if not callable(handler):
            raise UsageError(f"expected a function, got {handler!r}")
        target = handler.func if isinstance(handler, partial) else handler
        if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(
            getattr(target, "__call__", None)  # noqa: B004 - is it async?
        ):
            raise UsageError(f"{handler!r}: a blocking client wants plain functions; async ones are Client's")
        self.__wrapped__ = handler
        self._bridge = bridge

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Threaded) and bool(self.__wrapped__ == other.__wrapped__)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.wrap_future(self.submit(*args, **kwargs))

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have the handler called, after those before it."""
        here = (CrossingAck(each, self._bridge) if isinstance(each, Ack) else each for each in args)
        by_name = {
            name: CrossingAck(each, self._bridge) if isinstance(each, Ack) else each
            for name, each in kwargs.items()
        }
        return self._bridge.handlers.submit(partial(self.__wrapped__, *here, **by_name))

    def tell(self, *args: Any) -> None:
        """As :meth:`submit`, for those who do not care how it goes."""
        self.submit(*args).add_done_callback(self._told)

    def _told(self, done: Future[Any]) -> None:
        error = done.exception()
        if error is not None:
            log.error("listener %r failed", self, exc_info=error)


class ThreadedListening(Listening):
    """Listeners that are called in the client's thread; what they listen to lives in the loop's."""

    _bridge: Bridge

    def _listened(self) -> Listening:
        """What the listeners listen to."""
        raise NotImplementedError

    def _listen(self, event: str, handler: F | None, manner: Manner) -> F | Callable[[F], F]:
        if handler is None:
            return lambda function: self._listen(event, function, manner)  # type: ignore[return-value]
        listen = getattr(self._listened(), manner.value)
        self._bridge.run(listen, event, Threaded(handler, self._bridge))
        return handler

    def off(self, event: str | None = None, handler: Function | None = None) -> None:
        self._bridge.run(self._listened().off, event, self._known(handler))

    def listeners(self, event: str) -> list[Function]:
        return _handlers(self._bridge.run(self._listened().listeners, event))

    def event_names(self) -> list[str]:
        names: list[str] = self._bridge.run(self._listened().event_names)
        return names

    def _known(self, handler: Function | None) -> Threaded | None:
        return None if handler is None else Threaded(handler, self._bridge)


class ThreadedCatchAlls(ThreadedListening, CatchAlls):
    """The same with catch-alls."""

    def _listened(self) -> CatchAlls:
        raise NotImplementedError

    # A socket has these for its own catch-alls: the public methods of both are made of them.

    def _catch(self, direction: str, handler: F, *, first: bool) -> F:
        catch = self._listened()._catch  # noqa: SLF001
        self._bridge.run(catch, direction, Threaded(handler, self._bridge), first=first)
        return handler

    def _forget(self, direction: str, handler: Function | None) -> None:
        self._bridge.run(self._listened()._forget, direction, self._known(handler))  # noqa: SLF001

    def _caught(self, direction: str) -> list[Function]:
        return _handlers(self._bridge.run(self._listened()._caught, direction))  # noqa: SLF001


def _handlers(functions: list[Function]) -> list[Function]:
    return [each.__wrapped__ if isinstance(each, Threaded) else each for each in functions]
