"""The bus below a cluster: it moves bytes between nodes, on channels that have names, and knows nothing of events.

A new engine is a new :class:`Bus`; :class:`~socketeer.adapters.broker.BrokerBus` is one with
the link to a broker looked after. All namespaces of a server share it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from socketeer.adapters.health import Health
from socketeer.errors import MessageTooLarge

#: Gets each message of a channel, in the order in which they came; it must not raise.
Receive = Callable[[bytes], None]


def check_size(bus: Bus, payload: bytes) -> None:
    """Refuse a message that would hurt the broker.

    Raises:
        MessageTooLarge: it has more than the bus's ``max_message_size`` bytes.
    """
    if len(payload) > bus.max_message_size:
        raise MessageTooLarge(
            f"expected a message of at most {bus.max_message_size} bytes for {bus.health.name} "
            f"(max_message_size), got {len(payload)}"
        )


class Bus(Protocol):
    """Moves bytes between nodes. All methods belong to one event loop.

    What one node publishes on a channel arrives at every other node that has subscribed to
    it in the order in which it was published, or not at all. Whether a node gets its own messages
    back is the bus's choice.
    """

    @property
    def health(self) -> Health:
        """How it stands."""
        ...

    @property
    def max_message_size(self) -> int:
        """Bytes of one message, at most."""
        ...

    def start(self) -> None:
        """Connect, in the background; each call is to be answered by one of :meth:`close`."""
        ...

    def publish(self, channel: str, payload: bytes) -> Awaitable[None]:
        """Send a message to whoever has subscribed to the channel. Never blocks.

        Returns:
            What may be awaited until the broker has accepted it; ignored, it costs nothing. It raises
            :class:`~socketeer.errors.BrokerUnavailable` where the broker did not.

        Raises:
            MessageTooLarge: it has more than ``max_message_size`` bytes; nothing is sent.
        """
        ...

    def subscribe(self, channel: str, receive: Receive) -> None:
        """Call ``receive`` with each message of a channel, from soon on and over all reconnections."""
        ...

    def unsubscribe(self, channel: str, receive: Receive) -> None:
        """Do not call ``receive`` any more."""
        ...

    async def settled(self) -> None:
        """Wait until every subscription of before is in effect.

        Raises:
            BrokerUnavailable: the broker is away.
        """
        ...

    async def subscribers(self, channel: str) -> int:
        """How many nodes have subscribed to a channel, this one included.

        Raises:
            BrokerUnavailable: the broker cannot be asked.
        """
        ...

    async def close(self) -> None:
        """Give it back; the last user's call sends what is queued, within a second, and disconnects."""
        ...
