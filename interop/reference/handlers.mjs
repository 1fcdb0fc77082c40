// What every socket of the reference server answers to; interop/server_handlers.py is the same by ours.

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The emitter that a scenario describes: {via, broadcast, to, in, except, volatile, local, compress, timeout}. */
export function operator(socket, spec) {
  let target = spec.via === "socket" ? socket : socket.nsp;
  if (spec.broadcast) target = target.broadcast;
  if (spec.local) target = target.local;
  if (spec.volatile) target = target.volatile;
  if ("compress" in spec) target = target.compress(spec.compress);
  for (const room of spec.to ?? []) target = target.to(room);
  for (const room of spec.in ?? []) target = target.in(room);
  for (const room of spec.except ?? []) target = target.except(room);
  if ("timeout" in spec) target = target.timeout(spec.timeout);
  return target;
}

const several = (values) => (values.length > 1 ? values : (values[0] ?? null));

export function attach(socket, log) {
  const tag = socket.handshake.query.tag;
  const note = (kind, detail) => log(kind, tag, { id: socket.id, nsp: socket.nsp.name, ...detail });
  note("connection");
  life(socket, note);
  events(socket, note);
  acknowledgements(socket, note);
  rooms(socket);
  many(socket);
  flags(socket);
}

function life(socket, note) {
  socket.on("disconnecting", (reason) => note("disconnecting", { reason, rooms: [...socket.rooms] }));
  socket.on("disconnect", (reason) => {
    note("disconnect", { reason, rooms: [...socket.rooms], connected: socket.connected });
  });
  socket.on("error", (error) => note("error", { message: error?.message ?? null, data: error?.data ?? null }));
  socket.on("describe", (callback) => {
    callback({
      id: socket.id,
      nsp: socket.nsp.name,
      connected: socket.connected,
      recovered: socket.recovered,
      rooms: [...socket.rooms],
      data: socket.data,
      conn: socket.conn.id,
      transport: socket.conn.transport.name,
    });
  });
  socket.on("handshake", (callback) => {
    const { headers, query, auth, address, secure, url, time } = socket.handshake;
    callback({ headers, query, auth, address, secure, url, time: typeof time });
  });
  socket.on("data", (patch, callback) => callback(Object.assign(socket.data, patch)));
  socket.on("other data", (data, callback) => {
    socket.data = data;
    callback(socket.data);
  });
  socket.on("disconnect_me", (close) => socket.disconnect(close));
  socket.on("close_connection", () => socket.conn.close());
}

function events(socket, note) {
  socket.on("echo", (...args) => socket.emit("echo", ...args));
  socket.on("message", (...args) => socket.send(...args));
  socket.on("first only", (first) => socket.emit("first only", first));
  socket.once("once", (value) => socket.emit("once", value));
  const removable = () => socket.emit("removable");
  socket.on("removable", removable);
  socket.on("remove", (callback) => callback(socket.off("removable", removable) && null));
  socket.on("listen to any", (callback) => {
    const incoming = (event, ...args) => note("any", { event, args: args.filter((arg) => typeof arg !== "function") });
    const outgoing = (event, ...args) => note("any outgoing", { event, args });
    socket.onAny(incoming);
    socket.onAnyOutgoing(outgoing);
    socket.once("stop listening", (stopped) => {
      socket.offAny(incoming);
      socket.offAnyOutgoing(outgoing);
      stopped();
    });
    callback();
  });
  socket.on("listen in order", (callback) => {
    const step = (name) => (event) => event === "ordered" && note("step", { step: name });
    socket.onAny(step("second"));
    socket.prependAny(step("first"));
    socket.onAny(step("third"));
    socket.use(([event], next) => {
      step("middleware")(event);
      next();
    });
    socket.on("ordered", () => note("step", { step: "handler" }));
    socket.prependListener("ordered", () => note("step", { step: "handler in front" }));
    socket.prependOnceListener("ordered", () => note("step", { step: "once, before that" }));
    socket.onAnyOutgoing(step("out second"));
    socket.prependAnyOutgoing(step("out first"));
    callback([socket.listenersAny().length, socket.listenersAnyOutgoing().length, socket.listenerCount("ordered")]);
  });
  socket.on("answer any", (callback) => {
    socket.onAny((event, ...args) => {
      if (event === "answered by any") args.pop()(...args, "from the catch-all");
    });
    callback();
  });
  socket.on("listen to", (names, callback) => {
    for (const name of names) socket.on(name, (...args) => note("heard", { event: name, args }));
    callback();
  });
  socket.on("slow", async (name, ms) => {
    note("started", { name });
    await pause(ms);
    socket.emit("slow done", name);
  });
  // An exception in a listener ends a Node.js process, so this only says what ours must do with one.
  socket.on("raise", (message) => note("error", { message }));
  socket.on("emit reserved", (name, callback) => {
    try {
      socket.emit(name);
      callback(false);
    } catch {
      callback(true);
    }
  });
  socket.on("burst", (event, count, makeBinary) => {
    for (let i = 0; i < count; i++) socket.emit(event, i, ...(makeBinary ? [Buffer.from([i % 256])] : []));
  });
  socket.on("stream", async (event, count) => {
    for (let i = 0; i < count; i++) {
      socket.emit(event, i);
      if (i % 5 === 4) await pause(1);
    }
  });
}

function acknowledgements(socket, note) {
  socket.on("ack", (...args) => args.pop()(...args));
  socket.on("silent", () => {});
  socket.on("ack twice", (callback) => {
    callback("first");
    callback("second");
  });
  socket.on("ack later", async (ms, value, callback) => {
    await pause(ms);
    callback(value);
  });
  const attempts = new Map();
  socket.on("unreliable", (key, callback) => {
    attempts.set(key, (attempts.get(key) ?? 0) + 1);
    if (attempts.get(key) > 1) callback(attempts.get(key));
  });
  socket.on("ask", (event, ms, args, callback) => {
    const answer = (error, ...values) => callback(error ? { error: error.message } : { value: several(values) });
    socket.timeout(ms).emit(event, ...args, answer);
  });
  // The asker may be gone when the answer comes due, so that one goes to the log.
  socket.on("ask and log", (event, ms) => {
    socket.timeout(ms).emit(event, (error, value) => note("asked", { failed: Boolean(error), value: value ?? null }));
  });
  socket.on("ask many", async (spec, event, args, callback) => {
    try {
      callback({ responses: await operator(socket, spec).emitWithAck(event, ...args) });
    } catch (error) {
      callback({ error: error.message, responses: error.responses });
    }
  });
}

function rooms(socket) {
  socket.on("join", (names, callback) => {
    socket.join(names);
    callback([...socket.rooms]);
  });
  socket.on("leave", (name, callback) => {
    socket.leave(name);
    callback([...socket.rooms]);
  });
  socket.on("follow rooms", (callback) => {
    const told = [];
    const { adapter } = socket.nsp;
    const events = ["create-room", "join-room", "leave-room", "delete-room"];
    const listeners = events.map((event) => [event, (...args) => told.push([event, ...args])]);
    for (const each of listeners) adapter.on(...each);
    socket.once("what of rooms", (answer) => {
      for (const each of listeners) adapter.off(...each);
      answer(told);
    });
    callback();
  });
  socket.on("relay", (spec, event, ...args) => {
    const callback = args.pop();
    operator(socket, spec).emit(event, ...args);
    callback();
  });
}

function many(socket) {
  socket.on("fetch", async (spec, callback) => {
    const found = await operator(socket, spec).fetchSockets();
    callback(found.map(({ id, rooms, data }) => ({ id, rooms: [...rooms], data })));
  });
  socket.on("make join", (spec, names, callback) => {
    operator(socket, spec).socketsJoin(names);
    callback();
  });
  socket.on("make leave", (spec, names, callback) => {
    operator(socket, spec).socketsLeave(names);
    callback();
  });
  socket.on("make disconnect", (spec, close, callback) => {
    operator(socket, spec).disconnectSockets(close);
    callback?.();
  });
}

function flags(socket) {
  socket.on("volatile", (event) => {
    socket.volatile.emit(event, "volatile");
    socket.emit(event, "regular");
  });
  socket.on("large", (compress, size) => socket.compress(compress).emit("large", "x".repeat(size)));
}
