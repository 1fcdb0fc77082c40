// node for_clients.mjs <profile> <port>
//
// The official server for the tests of our client (interop/test_python_client.py); interop/for_clients.py is the same
// by ours. It says {"url": ...} on stdout once it listens. Port 0 is any that is free.

import { createServer } from "node:http";

import * as msgpackParser from "socket.io-msgpack-parser";
import { Server } from "socket.io";

import { attach } from "./handlers.mjs";

const PROFILES = {
  default: {},
  msgpack: { parser: msgpackParser },
  heartbeat: { pingInterval: 150, pingTimeout: 250 },
  recovery: { connectionStateRecovery: { maxDisconnectionDuration: 60_000 } },
};

const httpServer = createServer((_, response) => response.writeHead(404).end());
const io = new Server(httpServer, PROFILES[process.argv[2]]);

// What has been noted, by key, whichever connection it came over.
const notes = new Map();

function forClients(socket) {
  attach(socket, () => {});
  const note = (key, value) => notes.set(key, [...(notes.get(key) ?? []), value]);
  socket.on("note", (key, value, callback) => {
    note(key, value);
    callback?.(value);
  });
  socket.on("noted", (key, callback) => callback(notes.get(key) ?? []));
  // Acknowledges from the given time on that it is told of the same value.
  socket.on("note reluctantly", (key, value, times, callback) => {
    note(key, value);
    if (notes.get(key).filter((each) => each === value).length >= times) callback(value);
  });
  socket.on("note and leave", (key, value) => {
    note(key, value);
    socket.conn.close();
  });
  socket.on("garbage", () => socket.conn.write("garbage"));
  socket.on("to all", (event, ...args) => socket.nsp.emit(event, ...args));
  socket.on("once told", (callback) => note(socket.id, callback));
  socket.on("tell", (id) => notes.get(id)?.forEach((callback) => callback("late")));
}

for (const name of ["/", "/other", "/third"]) io.of(name).on("connection", forClients);

io.of("/secret").use((socket, next) => {
  if (socket.handshake.auth.token === "s3cret") return next();
  const error = new Error("wrong token");
  error.data = { code: 4001, given: socket.handshake.auth.token ?? null };
  next(error);
});
io.of("/secret").on("connection", forClients);

io.of("/eager").use((socket, next) => {
  for (let i = 0; i < 3; i++) socket.emit("early", i, Buffer.from([i]));
  setTimeout(next, 20);
});
io.of("/eager").on("connection", (socket) => socket.emit("early", 3, Buffer.from([3])));

httpServer.listen(Number(process.argv[3]), "127.0.0.1", () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${httpServer.address().port}` }));
});
