// node reconnecting.mjs <url> <polling|websocket|upgrade>: the official client, which comes back by itself.
//
// Prints a JSON document for each thing that happens to it; each line on stdin is an event and its arguments, and the
// acknowledgement is printed.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const MODES = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

const [url, mode] = process.argv.slice(2);
const say = (document) => console.log(JSON.stringify(document));
const socket = io(url, { transports: MODES[mode], reconnectionDelay: 100, reconnectionDelayMax: 500 });

socket.on("connect", () => {
  const engine = socket.io.engine;
  say({ connected: engine.id, transport: engine.transport.name });
  if (engine.transport.name === "websocket") say({ upgraded: "websocket" });
  else engine.on("upgrade", (transport) => say({ upgraded: transport.name }));
});
socket.on("disconnect", (reason, details) => say({ disconnected: reason, status: details?.description ?? null }));
socket.onAny((...args) => say({ heard: args }));

for await (const line of createInterface({ input: process.stdin })) {
  try {
    say({ answer: await socket.timeout(5_000).emitWithAck(...JSON.parse(line)) });
  } catch (error) {
    say({ answer: null, error: error.message });
  }
}
process.exit(0);
