// A node of a cluster: the official server with an official adapter, and one client of it.
// node cluster_node.mjs URL KEY MODE; the modes are in engines.mjs
// Commands come as JSON lines on stdin: an operation's name and its arguments; binary is {"$hex": "..."}.
// On stdout: what was asked for as {answer}, what the client gets as {event}, what the server gets as {told}.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { engineFor } from "./engines.mjs";

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

const { adapter, emitter, connectionStateRecovery } = await engineFor(url, key, mode);

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
  emitterLeave: (rooms, target) => void emitter.in(rooms).socketsLeave(target),
  emitterDisconnect: (rooms) => void emitter.in(rooms).disconnectSockets(),
  data: (value) => void [...io.of("/").sockets.values()].forEach((socket) => (socket.data.value = value)),
  emitterTell: (...args) => void emitter.serverSideEmit(...args),
};

say({ answer: client.id });
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line, revive);
  say({ answer: (await operations[name](...args)) ?? null });
}
process.exit();
