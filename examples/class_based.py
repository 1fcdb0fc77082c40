"""A chat with rooms as one class: socketeer run class_based:io

Everything that happens in the namespace /chat is a method. Clients connect to http://localhost:3000/chat.
"""

from socketeer import ConnectionRefused, Namespace, Server, event

io = Server()


class Chat(Namespace):
    def __init__(self, name):
        super().__init__(name)
        self.use(self.check_name)

    def check_name(self, socket):
        name = socket.handshake.auth.get("name")
        if not isinstance(name, str) or not name:
            raise ConnectionRefused("name: expected some text")
        socket.data["name"] = name

    def on_connection(self, socket):
        socket.emit("welcome", len(self.sockets))

    def on_enter(self, socket, room: str):  # the event is called "enter"
        socket.join(f"room {room}")
        socket.to(f"room {room}").emit("entered", room, socket.data["name"])
        return f"you are in {room}"

    @event("chat message")  # a name that is no identifier
    async def say(self, socket, room: str, text: str):
        if f"room {room}" not in socket.rooms:
            return "enter the room first"
        self.to(f"room {room}").emit("chat message", room, socket.data["name"], text)
        return "delivered"

    def on_disconnecting(self, socket, reason):  # while the rooms are still there
        for room in socket.rooms - {socket.id}:
            socket.to(room).emit("left", room.removeprefix("room "), socket.data["name"])


chat = io.of(Chat("/chat"))
