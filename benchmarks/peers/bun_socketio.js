// socket.io on Bun, with Bun's own engine, as the engine's documentation starts it.
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { listen } from "./handlers.js";

const io = new Server();
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);
listen(io, process.argv[3] === "rooms");

// Garbage is collected when the runner asks for it, so that it is not taken for memory in use.
process.on("SIGUSR2", () => Bun.gc(true));
Bun.serve({ port: Number(process.argv[2]), hostname: "127.0.0.1", ...engine.handler() });
