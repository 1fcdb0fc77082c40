// node client_trace.mjs <url> <options as JSON> <mode>
//
// What the official client tells, event by event, as JSON lines, until it gives up ("refused": nobody listens at the
// url) or has come back once ("back": its connection is closed under it when it is first connected).

import { io } from "socket.io-client";

const [url, options, mode] = process.argv.slice(2);
const socket = io(url, JSON.parse(options));
const tell = (name, ...args) => console.log(JSON.stringify([name, ...args]));

for (const name of ["connect", "connect_error"]) socket.on(name, () => tell(name));
socket.on("disconnect", (reason) => tell("disconnect", reason));
let done = false;
for (const name of ["open", "error", "reconnect_error", "reconnect_failed"]) socket.io.on(name, () => tell(name));
for (const name of ["reconnect_attempt", "reconnect"]) socket.io.on(name, (attempt) => tell(name, attempt));
socket.io.on("close", (reason) => tell("close", reason));
socket.io.on("reconnect_failed", () => setTimeout(() => process.exit(), 50));
socket.on("connect", () => {
  if (done) setTimeout(() => process.exit(), 50);
  else if (mode === "back") setTimeout(() => socket.io.engine.close(), 20);
  done = true;
});
