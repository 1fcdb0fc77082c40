"""One of several servers behind one address, the same program for each.

    socketeer run two_nodes:io --port 3001
    socketeer run two_nodes:io --port 3002

two_nodes.nginx.conf is nginx's part. Nothing in it is sticky: each request goes to whichever server is next.
"""

import os

from socketeer import Server
from socketeer.adapters import RedisAdapter

io = Server(adapter=RedisAdapter(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")))


@io.event
async def connection(socket):
    socket.emit("welcome", os.getpid())  # which of the servers has this client


@io.event("chat message")
async def chat(socket, text: str):
    io.emit("chat message", text)  # reaches the clients of all servers
    return "delivered"
