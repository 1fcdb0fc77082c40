// The official server, socket.io with ws, as its documentation starts it.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { listen } from "./handlers.js";

const http = createServer();
const io = new Server(http);
listen(io, process.argv[3] === "rooms");

// Garbage is collected when the runner asks for it, so that it is not taken for memory in use.
process.on("SIGUSR2", () => globalThis.gc());
http.listen(Number(process.argv[2]), "127.0.0.1");
