"""The tutorial's server: python tutorial.py, and beside it python tutorial_page.py for its page."""

from socketeer import Cors, Server

io = Server(cors=Cors(origin="http://localhost:5174/", methods=["GET", "POST"], credentials=True))


@io.on("connection")
async def connection(socket):
    print(socket.id)  # ojIckSD2jqNzOqIrAGzL: 20 characters, the same on both sides

    @socket.on("chat message")
    async def chat(text: str):  # the annotation validates the payload
        socket.broadcast.emit("chat message", text)
        return "delivered"  # what a handler returns is its acknowledgement


io.run(port=3004)
