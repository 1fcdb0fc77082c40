"""What an engine's format is to a cluster: messages to bytes on channels, and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from socketeer.adapters.bus import Bus
from socketeer.adapters.messages import Message

#: Gets each message of other nodes, checked; it must not raise.
Hear = Callable[[Message], None]


class Wire(Protocol):
    """The messages of one namespace over a bus, in one engine's format."""

    @property
    def bus(self) -> Bus:
        """What moves the bytes."""
        ...

    def open(self, uid: str, hear: Hear) -> None:
        """Listen; messages of ``uid``, this node's own, are not heard."""
        ...

    def send(self, message: Message) -> Awaitable[None]:
        """Tell all other nodes. The message is encoded at once: what happens to it later changes nothing.

        Raises:
            TypeError: something in it cannot be sent.
            MessageTooLarge: it is too large for the broker.
        """
        ...

    def answer(self, requester: str, message: Message) -> Awaitable[None]:
        """Tell the node that asked, by its id. Raises what :meth:`send` raises."""
        ...

    async def server_count(self) -> int:
        """How many nodes have this namespace, this one included.

        Raises:
            BrokerUnavailable: the broker cannot be asked.
        """
        ...

    def close(self) -> None:
        """Do not listen any more."""
        ...
