// A node of a cluster: the official server with the official Redis adapter. node.js PORT REDIS_URL KEY classic|sharded
import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, url, key, mode] = process.argv.slice(2);
const pub = createClient({ url });
const sub = pub.duplicate();
await Promise.all([pub.connect(), sub.connect()]);
const adapter =
  mode === "classic" ? createAdapter(pub, sub, { key }) : createShardedAdapter(pub, sub, { channelPrefix: key });

const http = createServer();
const io = new Server(http, { adapter });

io.on("connection", (socket) => {
  if ("listen" in socket.handshake.query) socket.join("listeners");
  socket.on("say", (number, text) => io.to("listeners").emit("news", number, text));
});

http.listen(Number(port), "127.0.0.1");
