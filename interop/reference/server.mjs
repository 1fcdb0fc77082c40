// node server.mjs <profile>
//
// The server side of the scenarios by the official implementation. It exists so that every scenario is first
// shown to be true of Socket.IO itself; interop/server_app.py is the same server by ours.
//
// Each line on stdout is a JSON document: first {"url": ...}, then what the server sees, entry by entry. The
// same entries go to whoever is connected to the namespace /control.

import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";

import { Server } from "socket.io";

import { attach, operator } from "./handlers.mjs";
import { PROFILES } from "./profiles.mjs";

const httpServer = createServer((_, response) => response.writeHead(404).end());
const profile = process.argv[2] ?? "default";
const io = new Server(httpServer, PROFILES[profile]);
const control = io.of("/control");

function log(kind, tag, detail = {}) {
  const entry = { kind, tag, node: process.pid, ...detail };
  console.log(JSON.stringify(entry));
  control.emit("log", entry);
}

const tagOf = (request) => new URL(request.url, "http://localhost").searchParams.get("tag");

control.on("connection", (socket) => {
  socket.on("ack", (callback) => callback());
  socket.on("close_server", () => io.close());
  socket.on("interrupt", () => process.kill(process.pid, "SIGINT"));
  socket.on("polled", (sid, callback) => callback(io.engine.clients[sid]?.transport.writable ? [sid] : []));
});

io.engine.on("connection_error", ({ req, code, message, context }) => {
  log("connection_error", tagOf(req), { code, message, context: { name: context.name ?? null } });
});
io.engine.on("connection", (connection) => {
  connection.on("upgrade", (transport) => log("upgrade", tagOf(connection.request), { to: transport.name }));
});
io.engine.on("initial_headers", (headers) => {
  headers["x-first-answer"] = "yes";
});
io.engine.on("headers", (headers) => {
  headers["x-every-answer"] = "yes";
});
io.on("new_namespace", (namespace) => log("new_namespace", namespace.name.split("-").at(-1), { name: namespace.name }));

function welcome(socket) {
  attach(socket, log);
}

io.on("connection", welcome);
io.of("/chat").on("connection", welcome);

// Refuses with a message and data unless the token is right; the second middleware sees what the first left.
const secret = io.of("/secret");
secret.use((socket, next) => {
  socket.join(socket.handshake.query.tag + "-refused");
  socket.data.steps = ["first"];
  const { token } = socket.handshake.auth;
  if (token === "s3cret") return next();
  const error = new Error(token ? "wrong token" : "not authorized");
  if (token) error.data = { code: 4001, hints: ["spelling", { case: true }] };
  next(error);
});
secret.use(async (socket, next) => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  socket.data.steps.push("second");
  next();
});
secret.on("connection", welcome);

// Emits before the client's connection is confirmed, and again as the first thing after.
const eager = io.of("/eager");
eager.use((socket, next) => {
  socket.emit("early", "from the middleware");
  next();
});
eager.on("connection", (socket) => {
  socket.emit("early", "from the connection handler");
  welcome(socket);
});

// A middleware of the socket: looks at every event, refuses one name, lets another be slow.
const checked = io.of("/checked");
checked.on("connection", (socket) => {
  socket.use(([event, ...args], next) => {
    log("checked", socket.handshake.query.tag, { event, args: args.filter((arg) => typeof arg !== "function") });
    if (event !== "forbidden") return next();
    const error = new Error("this event is forbidden");
    error.data = { event };
    next(error);
  });
  socket.on("forbidden", () => log("passed", socket.handshake.query.tag));
  welcome(socket);
});

// What a Namespace class of ours does with its methods, by listeners of each socket.
const classroom = io.of("/classroom");
classroom.on("connection", (socket) => {
  const note = (kind, detail) => log(kind, socket.handshake.query.tag, { id: socket.id, ...detail });
  note("enters", { present: classroom.sockets.size > 0 });
  socket.on("disconnecting", (reason) => note("leaving", { reason, rooms: [...socket.rooms] }));
  socket.on("disconnect", (reason) => note("left", { reason, rooms: [...socket.rooms] }));
  socket.on("say aloud", (text, room, callback) => {
    socket.join(room);
    classroom.to(room).emit("said", text);
    callback("heard", text.length);
  });
  socket.on("later", async (value, callback) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    callback(value);
  });
  socket.on("by_hand", (callback) => {
    callback("once");
    callback("twice");
  });
  socket.on("shared", (callback) => socket.listenerCount("shared") === 1 && callback("the class"));
  socket.on("binary", (bytes, callback) => callback(bytes));
  socket.on("go", () => socket.disconnect());
});

if (profile.startsWith("dynamic")) {
  const parent = io.of(/^\/dynamic-\w+$/);
  parent.use((socket, next) => {
    socket.data.parent = true;
    next(socket.handshake.auth.refuse ? new Error("refused by the parent's middleware") : undefined);
  });
  parent.on("connection", welcome);
  const added = new Set();
  const released = new EventEmitter();
  control.on("connection", (socket) => {
    socket.on("emit_to_parent", (spec, event, value, callback) => {
      operator({ nsp: parent }, spec).emit(event, value);
      callback();
    });
    socket.on("children", (tag, callback) => {
      callback([...parent.children].map(({ name }) => name).filter((name) => name.includes(tag)));
    });
    socket.on("of", (name, callback) => callback([io.of(name).name]));
    // Those who wait for a namespace /held-... get it.
    socket.on("release", (tag, callback) => {
      released.emit(tag);
      callback();
    });
    // What is added to the parent after the first child of a run has been made.
    socket.on("add_to_parent", (tag, callback) => {
      if (!added.has(tag)) parent.on("connection", (one) => log("added later", tag, { nsp: one.nsp.name }));
      added.add(tag);
      callback();
    });
  });
  const tagged = (name) => name.split("-").at(-1);
  io.of((name, auth, next) => {
    if (name.startsWith("/broken-")) next(new Error("this function fails"));
    else next(null, name.startsWith("/tenant-") && auth.member === true);
  }).on("connection", welcome);
  // Overlaps with the pattern above it, and takes what the function above it has failed on.
  io.of(/^\/(dynamic|broken)-/, welcome);
  io.of(async (name, auth, next) => {
    log("asked", tagged(name), { auth });
    if (name.startsWith("/held-")) await once(released, tagged(name));
    else await new Promise((resolve) => setTimeout(resolve, 20));
    next(null, /^\/(later|held)-/.test(name) && auth.member !== false);
  }).on("connection", welcome);
}

if (profile === "hooks") {
  const shown = (data) => (Buffer.isBuffer(data) ? `binary ${data.toString("hex")}` : data ?? null);
  io.engine.on("connection", (connection) => {
    if (!connection.request._query.hooked) return;
    const tag = tagOf(connection.request);
    const note = (kind, detail) => log(kind, tag, detail);
    connection.on("packet", ({ type, data }) => type === "message" && note("packet", { type, data: shown(data) }));
    connection.on("message", (data) => note("message", { data: shown(data) }));
    connection.on("packetCreate", ({ type, data }) => note("packet_create", { type, data: shown(data) }));
    connection.on("flush", (packets) => note("flush", { packets: packets.map(({ type, data }) => [type, shown(data)]) }));
    connection.on("drain", () => note("drain"));
    connection.on("upgrading", ({ name }) => note("upgrading", { to: name }));
    connection.on("close", (reason) => note("close", { reason }));
  });
  io.engine.use((request, response, next) => {
    response.setHeader("x-middleware", "first");
    next();
  });
  io.engine.use((request, response, next) => {
    if (request._query.fail) return next(new Error("of the middleware"));
    if (!request._query.deny) return next();
    response.writeHead(401);
    response.end("denied");
  });
  const generateId = io.engine.generateId;
  io.engine.generateId = async (request) => {
    if (request._query.id === "throw") throw new Error("no id");
    return request._query.id ?? generateId(request);
  };
}

process.once("SIGINT", () => io.close());

httpServer.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${httpServer.address().port}` }));
});
