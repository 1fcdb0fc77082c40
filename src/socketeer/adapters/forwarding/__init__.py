"""No sticky sessions: what lands on a node that does not own its session goes over the bus to the one that does.

https://socket.io/docs/v4/using-multiple-nodes/ asks for sticky sessions; here they are not needed, for
docs/decisions/0012-no-sticky-sessions.md.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from socketeer.adapters.forwarding.node import Forwarding
from socketeer.engine.server import EngineServer

__all__ = ["Forwarding", "forwarding_for"]


def forwarding_for(adapter: Any, engine: EngineServer) -> Forwarding | None:
    """What passes requests on for a server with this ``adapter``; None where there are no other nodes.

    An adapter reaches other nodes by its ``bus``. It may have a ``prefix``, which the names of the channels begin with,
    or ``node_channel(node_id)``, which gives them; and ``forwarding``, which is False where its user wants none.
    """
    bus = getattr(adapter, "bus", None)
    if bus is None or not getattr(adapter, "forwarding", True):
        return None
    channel = getattr(adapter, "node_channel", None)
    return Forwarding(engine, bus, channel or partial(_channel, getattr(adapter, "prefix", "socket.io")))


def _channel(prefix: str, node_id: str) -> str:
    return f"{prefix}-node#{node_id}#"
