// The official client, which goes from one server to another.
// node wanderer.mjs URL
// Commands come as JSON lines on stdin: ["cut"], ["go", URL]; binary is {"$hex": "..."}.
// On stdout: {connected: {id, recovered}} at each connection, {lost: reason}, and {event: [...]} without its offset.
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
const say = (document) => {
  process.stdout.write(`${JSON.stringify(shown(document))}\n`);
};

const socket = connect(process.argv[2], { reconnection: false });
socket.on("connect", () => say({ connected: { id: socket.id, recovered: socket.recovered } }));
socket.on("disconnect", (reason) => say({ lost: reason }));
socket.on("connect_error", (error) => say({ failed: error.message }));
socket.onAny((...args) => {
  // What comes before it is connected is what it has missed: all of that has an offset.
  const offset = typeof args.at(-1) === "string" && /^\d+-\d+$/.test(args.at(-1)) ? args.pop() : undefined;
  say({ event: args, kept: offset !== undefined, offset });
});

const operations = {
  cut: () => socket.io.engine.close(),
  go: (url) => {
    socket.io.uri = url;
    socket.connect();
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line);
  operations[name](...args);
}
process.exit();
