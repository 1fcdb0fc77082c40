"""A node of a cluster: Socketeer over Redis. ``node.py PORT REDIS_URL KEY classic|sharded``."""

import sys
from typing import Any

from socketeer import Server, Socket
from socketeer.adapters import RedisAdapter, ShardedRedisAdapter

port, url, key, mode = sys.argv[1:]
io = Server(adapter=RedisAdapter(url, key) if mode == "classic" else ShardedRedisAdapter(url, key))


@io.on("connection")
def connection(socket: Socket) -> None:
    if "listen" in socket.handshake.query:
        socket.join("listeners")

    @socket.on("say")
    def say(number: Any, text: Any) -> None:
        io.to("listeners").emit("news", number, text)


io.run(host="127.0.0.1", port=int(port))
