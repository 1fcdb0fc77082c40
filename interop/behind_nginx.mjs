// Official clients behind a proxy: node behind_nginx.mjs URL COUNT TRANSPORT...
// Each sends one chat message and waits until it has those of all. Prints one line of JSON.
import { io } from "socket.io-client";

const [url, count, ...transports] = process.argv.slice(2);
const total = Number(count);
const trouble = [];

const talk = (number) =>
  new Promise((resolve, reject) => {
    const socket = io(url, { transports, forceNew: true, reconnection: false });
    const heard = new Set();
    let server;
    socket.on("welcome", (pid) => (server = pid));
    socket.on("connect_error", (error) => reject(error));
    socket.on("disconnect", (reason) => heard.size < total && reject(new Error(reason)));
    socket.on("chat message", (text) => {
      heard.add(text);
      if (heard.size === total) resolve({ socket, server, transport: socket.io.engine.transport.name });
    });
    const isReady = () => (ready.add(number), ready.size === total && everybody());
    socket.on("connect", () => {
      if (transports.length === 1 || socket.io.engine.transport.name === "websocket") isReady();
      else socket.io.engine.once("upgrade", isReady);
    });
    sockets.set(number, socket);
  });

const ready = new Set();
const sockets = new Map();
const acks = [];

// Nobody speaks before all listen.
function everybody() {
  for (const [number, socket] of sockets) {
    acks.push(socket.timeout(15000).emitWithAck("chat message", `hello from ${number}`));
  }
}

const timer = setTimeout(() => {
  console.log(JSON.stringify({ trouble: [...trouble, "not done after 30 s"] }));
  process.exit(1);
}, 30000);

try {
  const clients = await Promise.all(Array.from({ length: total }, (_, number) => talk(number)));
  const answers = await Promise.all(acks);
  console.log(
    JSON.stringify({
      answers,
      servers: [...new Set(clients.map((client) => client.server))],
      transports: [...new Set(clients.map((client) => client.transport))],
    }),
  );
  for (const client of clients) client.socket.disconnect();
} catch (error) {
  console.log(JSON.stringify({ trouble: [error.message, String(error.description ?? "")] }));
  process.exitCode = 1;
} finally {
  clearTimeout(timer);
  for (const socket of sockets.values()) socket.disconnect();
}
