"""Adapters: how a server's namespaces reach their clients, on this node and on others.

``Server(adapter=MemoryAdapter)`` is the default. The contract is :class:`Adapter`; see
https://socket.io/docs/v4/adapter/.
"""

from socketeer.adapters.nats import NatsAdapter
from socketeer.adapters.nats_jetstream import JetStream
from socketeer.adapters.postgres import PostgresAdapter
from socketeer.adapters.redis import RedisAdapter
from socketeer.adapters.redis_sharded import ShardedRedisAdapter
from socketeer.adapters.redis_streams import RedisStreamsAdapter
from socketeer.server.adapter import (
    Adapter,
    AdapterHost,
    Capabilities,
    Flags,
    RestoredSession,
    SocketDetails,
    StoredSession,
    Target,
)
from socketeer.server.memory import MemoryAdapter

__all__ = [
    "Adapter",
    "AdapterHost",
    "Capabilities",
    "Flags",
    "JetStream",
    "MemoryAdapter",
    "NatsAdapter",
    "PostgresAdapter",
    "RedisAdapter",
    "RedisStreamsAdapter",
    "RestoredSession",
    "ShardedRedisAdapter",
    "SocketDetails",
    "StoredSession",
    "Target",
]
