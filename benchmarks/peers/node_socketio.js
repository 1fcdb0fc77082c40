// The official server, socket.io with ws, as its documentation starts it.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.on("echo", (text) => socket.emit("echo", text));
  socket.on("bcast", (text) => io.emit("bcast", text));
});

http.listen(Number(process.argv[2]), "127.0.0.1");
