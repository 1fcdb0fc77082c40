"""Socket.IO beside FastAPI, in one application: socketeer run fastapi_app:app

HTTP requests can emit too: whoever follows a topic hears of what is posted to it.

    curl -X POST "http://localhost:3000/topics/weather?news=sunshine"
"""

from fastapi import FastAPI
from pydantic import BaseModel

from socketeer import Server

api = FastAPI()
io = Server()


class Topic(BaseModel):
    name: str


@io.on("connection")
def connection(socket):
    @socket.on("follow")
    def follow(topic: Topic):  # a client sends {"name": "weather"}; anything else is refused
        socket.join(topic.name)
        return sorted(socket.rooms - {socket.id})


@api.post("/topics/{name}")
async def publish(name: str, news: str):
    io.to(name).emit("news", name, news)
    return {"readers": len(io.sockets.adapter.rooms.get(name, ()))}


@api.get("/")
async def home():
    return {"clients": io.engine.clients_count}


# Socket.IO below /socket.io, FastAPI for everything else. Or mount it, and clients add where to their
# path: api.mount("/realtime", io.asgi()) is io("...", { path: "/realtime/socket.io" }) for them. What is
# mounted gets no lifespan: FastAPI(lifespan=...) then has to `await io.close()` after its `yield`.
app = io.asgi(api)
