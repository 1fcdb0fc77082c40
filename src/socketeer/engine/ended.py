"""What a session has in the place of its handler and its transport once it has ended.

Nothing of it leads anywhere, so an ended session holds nobody who holds it, and all of it is freed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from socketeer.protocol.frame import Message


class NoHandler:
    """The handler of a session that has ended."""

    def on_text(self, data: bytes) -> None: ...

    def on_binary(self, data: bytes) -> None: ...

    def on_upgrade(self) -> None: ...

    def on_close(self, reason: str, description: str | None) -> None: ...


class EndedTransport:
    """The transport of a session that has ended: all that is left of it is its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def send(self, message: Message) -> None: ...

    def writable(self) -> bool:
        return False

    def held(self) -> int:
        return 0

    async def drained(self) -> None: ...

    def finish(self, ended: Callable[[], None]) -> None:
        ended()

    def close(self) -> None: ...


NO_HANDLER: Final = NoHandler()


@lru_cache(maxsize=4)
def ended_transport(name: str) -> EndedTransport:
    """One for all sessions that have ended on that transport."""
    return EndedTransport(name)
