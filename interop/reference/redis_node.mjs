// A node of a cluster: the official server with the official Redis adapter, and one client of it.
// node redis_node.mjs URL KEY classic|classic-specific|static|dynamic|dynamic-private|streams|streams-sharded|recovery
// Commands come as JSON lines on stdin: an operation's name and its arguments; binary is {"$hex": "..."}.
// On stdout: what was asked for as {answer}, what the client gets as {event}, what the server gets as {told}.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";

const [url, key, mode] = process.argv.slice(2);

const shown = (value) => {
  if (Buffer.isBuffer(value)) return { $hex: value.toString("hex") };
  if (Array.isArray(value)) return value.map(shown);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shown(each)]));
  }
  return value;
};
const say = (document) => {
  // A Buffer's own toJSON runs before any replacer: it is shown first.
  process.stdout.write(`${JSON.stringify(shown(document))}\n`);
};
const revive = (_, value) => (value?.$hex === undefined ? value : Buffer.from(value.$hex, "hex"));

const pub = createClient({ url });
const sub = pub.duplicate();
await Promise.all([pub.connect(), sub.connect()]);
const adapters = {
  classic: () => createAdapter(pub, sub, { key, publishOnSpecificResponseChannel: mode === "classic-specific" }),
  streams: () =>
    createStreamsAdapter(pub, {
      streamName: key,
      channelPrefix: key,
      sessionKeyPrefix: `${key}:session:`,
      useShardedPubSub: mode === "streams-sharded",
    }),
  recovery: () => adapters.streams(),
};
const adapter =
  adapters[mode.split("-")[0]]?.() ?? createShardedAdapter(pub, sub, { channelPrefix: key, subscriptionMode: mode });
const connectionStateRecovery = mode === "recovery" ? { maxDisconnectionDuration: 60_000 } : undefined;

const http = createServer();
const io = new Server(http, { adapter, connectionStateRecovery });
io.on("connection", (socket) => socket.join("node-room"));
io.on("question", (value, answer) => {
  say({ told: value });
  answer?.({ node: value });
});
await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${http.address().port}`;

const client = connect(address, { transports: ["websocket"] });
client.onAny((...args) => {
  const answer = typeof args.at(-1) === "function" ? args.pop() : undefined;
  say({ event: args });
  answer?.({ client: args[1] });
});
client.on("disconnect", (reason) => say({ event: ["disconnect", reason] }));
await new Promise((resolve) => client.on("connect", resolve));

const emitter = new Emitter(pub, { key });
const operations = {
  address: () => address,
  count: () => io.of("/").adapter.serverCount(),
  emit: (rooms, ...args) => void io.to(rooms).emit(...args),
  ask: (...args) => io.timeout(5000).emitWithAck(...args),
  join: (rooms, target) => void io.in(rooms).socketsJoin(target),
  leave: (rooms, target) => void io.in(rooms).socketsLeave(target),
  disconnect: (rooms) => void io.in(rooms).disconnectSockets(),
  fetch: async () =>
    (await io.fetchSockets()).map(({ id, rooms, data }) => ({ id, rooms: [...rooms].sort(), data })),
  fill: (id, data) => void Object.assign(io.sockets.sockets.get(id).data, data),
  tell: (...args) => void io.serverSideEmit(...args),
  inquire: (...args) => io.serverSideEmitWithAck(...args),
  allRooms: async () => [...(await io.of("/").adapter.allRooms())].sort(),
  emitter: (rooms, ...args) => void emitter.to(rooms).emit(...args),
  emitterJoin: (rooms, target) => void emitter.in(rooms).socketsJoin(target),
  emitterTell: (...args) => void emitter.serverSideEmit(...args),
};

say({ answer: client.id });
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line, revive);
  say({ answer: (await operations[name](...args)) ?? null });
}
process.exit();
