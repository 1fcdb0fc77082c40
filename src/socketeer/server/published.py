"""What a method returns that has acted on this node already: await it to know that the other nodes have been told."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any


class Done:
    """Nothing more to wait for; awaiting it is free."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


_DONE = Done()


def published(pending: Awaitable[None] | None) -> Awaitable[None]:
    """Something to await in any case, from what an adapter gave."""
    return _DONE if pending is None else pending
