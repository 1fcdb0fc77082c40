// Official clients of several servers: node cluster_clients.mjs
// Commands come as JSON lines on stdin: an operation's name and its arguments; binary is {"$hex": "..."}.
// On stdout: what was asked for as {answer}, what a client gets as {event: [client, name, ...arguments]}.
import { createInterface } from "node:readline";
import { io as connect } from "socket.io-client";

const shown = (value) => {
  if (Buffer.isBuffer(value)) return { $hex: value.toString("hex") };
  if (Array.isArray(value)) return value.map(shown);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shown(each)]));
  }
  return value;
};
const say = (document) => process.stdout.write(`${JSON.stringify(shown(document))}\n`);
const revive = (_, value) => (value?.$hex === undefined ? value : Buffer.from(value.$hex, "hex"));

const clients = {};
const connected = (client) => new Promise((resolve) => client.once("connect", resolve));
const operations = {
  // Resolves to the id.
  connect: async (name, url, transports) => {
    const client = connect(url, { transports, forceNew: true, reconnectionDelay: 10, auth: {} });
    clients[name] = client;
    client.onAny((...args) => {
      const answer = typeof args.at(-1) === "function" ? args.pop() : undefined;
      say({ event: [name, ...args] });
      answer?.({ by: name, of: args[1] });
    });
    await connected(client);
    return client.id;
  },
  emit: (name, ...args) => clients[name].timeout(10_000).emitWithAck(...args),
  // The connection breaks; the client stays away.
  cut: (name) => {
    const { io } = clients[name];
    io.reconnection(false);
    io.engine.close();
  },
  // It comes back, to this server; resolves to the id, and whether the session was recovered.
  back: async (name, url) => {
    const client = clients[name];
    client.io.uri = url;
    client.io.opts.hostname = new URL(url).hostname;
    client.io.opts.port = new URL(url).port;
    const there = connected(client);
    client.connect();
    await there;
    return [client.id, client.recovered];
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line, revive);
  Promise.resolve(operations[name](...args)).then(
    (answer) => say({ answer: answer ?? null }),
    (error) => say({ error: String(error) }),
  );
}
process.exit();
