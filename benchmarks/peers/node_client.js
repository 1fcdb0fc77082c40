// The official client, as its documentation uses it. Commands come by standard input: client_work.py says which.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const TEXT = "all for one, one for all";
const [port, connections, inFlight, batch] = process.argv.slice(2).map(Number);
const request = batch === 1 ? ["echo", TEXT] : ["flood", batch];
const reply = batch === 1 ? "echo" : "news";

let [messages, awaited, runs, done] = [0, 0, false, null];

const sockets = [];
for (let i = 0; i < connections; i++) {
  const socket = io(`http://127.0.0.1:${port}`, { transports: ["websocket"], forceNew: true });
  socket.on(reply, (text) => {
    if (text !== TEXT || !awaited) throw new Error(`not asked for: ${text}`);
    messages++;
    awaited--;
    if (runs && messages % batch === 0) {
      awaited += batch;
      socket.emit(...request);
    } else if (!awaited) done();
  });
  await once(socket, "connect");
  sockets.push(socket);
}
console.log(JSON.stringify({ ready: connections }));

for await (const line of createInterface({ input: process.stdin })) {
  [messages, runs, awaited] = [0, true, sockets.length * inFlight * batch];
  const finished = new Promise((resolve) => (done = resolve));
  setTimeout(() => (runs = false), Number(line.split(" ")[1]) * 1000);
  const began = performance.now();
  for (let i = 0; i < inFlight; i++) for (const socket of sockets) socket.emit(...request);
  await finished;
  console.log(JSON.stringify({ messages, seconds: (performance.now() - began) / 1000 }));
}
process.exit();
