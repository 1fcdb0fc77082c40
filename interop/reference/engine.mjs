// node engine.mjs <options as JSON>
//
// The official Engine.IO server, below Socket.IO: it says each message again. `key` and `cert` (PEM) among the
// options make it serve TLS, and `cookie` is the official option. The first line on stdout is {"url": ...}; then
// each session's end, as {"closed": reason}.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";

import { Server } from "engine.io";

const { key, cert, ...options } = JSON.parse(process.argv[2] ?? "{}");
const answer = (_, response) => response.writeHead(404).end();
const httpServer = key
  ? createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) }, answer)
  : createServer(answer);
const engine = new Server(options);
engine.attach(httpServer, { path: "/socket.io" });

engine.on("connection", (socket) => {
  socket.on("message", (data) => socket.send(data));
  socket.on("close", (reason) => console.log(JSON.stringify({ closed: reason })));
  // What a client gets at every moment of its upgrade.
  const burst = Number(new URL(socket.request.url, "http://localhost").searchParams.get("burst") ?? 0);
  let sent = 0;
  const next = () => {
    if (sent === burst) return;
    socket.send(`burst ${sent++}`);
    setImmediate(next);
  };
  next();
});

httpServer.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ url: `${key ? "https" : "http"}://127.0.0.1:${httpServer.address().port}` }));
});
