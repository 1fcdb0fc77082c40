"""Goodbyes that the server reads by themselves.

The official server passes over events that it reads together with a DISCONNECT: it hands each event on at
the end of the turn, and then the socket is gone. So a goodbye, and what follows it, waits until the
server has read what was sent before.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from socketeer.engine.client_session import ClientSession
from socketeer.engine.round_trip import round_trip
from socketeer.protocol.frame import Message

#: Seconds that the server may take for it, all in all. The goodbye leaves then, whatever has been read.
PATIENCE: Final = 2.0


class Parting:
    """What a session holds back. It ends by itself; closing the session waits for it, its failing does not.

    Attributes:
        closing: the session is to be closed when this is over.
    """

    __slots__ = ("_batches", "_session", "_talked", "_task", "closing")

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self._batches: list[list[Message]] = []
        """Each of them leaves when the server has read all before it."""
        self._talked = True
        """Whether the last batch holds anything but goodbyes, which another goodbye must not be read with."""
        self.closing = False
        self._task = asyncio.ensure_future(self._run())
        self._task.add_done_callback(self._over)  # even where the loop is ended before the first step

    def say_goodbye(self, message: Message) -> None:
        """Hold a goodbye back."""
        if self._talked:
            self._batches.append([])
            self._talked = False
        self._batches[-1].append(message)

    def hold(self, message: Message) -> None:
        """Hold back what is sent behind a goodbye."""
        self._talked = True
        self._batches[-1].append(message)

    def cancel(self) -> None:
        """The session has ended."""
        self._batches.clear()
        self._task.cancel()

    async def wait(self) -> None:
        """Wait until everything has left."""
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._batches:
                    await round_trip(self._session)
                    self._release(self._batches.pop(0))

    def _over(self, task: asyncio.Future[None]) -> None:
        for batch in self._batches:
            self._release(batch)
        self._session.parted()
        if not task.cancelled():
            task.result()  # a mistake of ours is told by the loop

    def _release(self, batch: list[Message]) -> None:
        for message in batch:
            self._session.send_now(message)


def say_goodbye(session: ClientSession, message: Message) -> None:
    """Send a namespace's DISCONNECT once the server has read what was sent before."""
    if not session.is_open():
        return
    parting = session.parting
    if parting is None:
        parting = Parting(session)
        session.part(parting)
    parting.say_goodbye(message)
