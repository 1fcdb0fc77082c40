// Connection state recovery: a client whose connection broke has its id, rooms and data again, and misses nothing.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const recovery = (options, run) => where({ profile: "recovery", ...options }, run);

/** A settled client that has got one event and so knows an offset, and another one that stays. */
async function start(t, { nsp = "/", ...options } = {}) {
  const watch = await t.watch();
  const other = await t.connect();
  const socket = await t.connect(nsp, options);
  await t.settled(socket);
  const first = t.event(socket, "echo");
  socket.emit("echo", "first");
  const args = await first;
  assert.equal(args.length, 2, `an offset comes last: ${JSON.stringify(args)}, ${socket._pid}`);
  return { watch, other, socket, id: socket.id, news: t.collect(socket, "news") };
}

/** Emit to whoever `spec` means. */
const emit = (t, other, spec, ...args) => t.ask(other, "relay", { via: "io", ...spec }, "news", ...args);

/** The connection ends by the client's engine, and the server has noticed. */
async function lose(t, { watch, socket }, id = socket.id) {
  const seen = watch.of("disconnect").length;
  socket.io.engine.close();
  await watch.reach("disconnect", seen + 1);
  assert.equal(watch.of("disconnect").at(-1).id, id);
}

async function comeBack(t, socket) {
  socket.connect();
  await t.connected(socket);
  await t.settled(socket);
}

/** The network drops the connection, which both sides notice, and is there again. */
async function drop(t, proxy, { watch, socket, id }) {
  const gone = Promise.all([watch.find("disconnect", { id }), t.event(socket, "disconnect")]);
  if (t.transport === "polling" || proxy.holdUpgrades) await watch.polled(socket.io.engine.id);
  proxy.cut();
  await gone;
  proxy.mend();
}

/** What has come, without the offsets. */
const without = (news) => news.items.map((args) => args.slice(0, -1));

async function recovers(t, session, cut) {
  const { socket, other, id, news } = session;
  await t.ask(socket, "join", [t.room("a"), t.room("b")]);
  await t.ask(socket, "leave", t.room("b"));
  await t.ask(socket, "data", { name: "Ada" });
  await cut();
  await emit(t, other, {}, "to all");
  await emit(t, other, { to: [t.room("a")] }, "to a room", { deep: [1] });
  await emit(t, other, { to: [t.room("b")] }, "to a room that it left");
  await emit(t, other, { except: [t.room("a")] }, "but not to a room");
  await emit(t, other, { to: [t.room("b"), t.room("a")] }, "to two rooms");
  await emit(t, other, { to: [id] }, "to itself");
  await emit(t, other, { to: [t.room("a")] }, Buffer.from([1, 2, 3]), [Buffer.from([4])]);
  await comeBack(t, socket);
  assert.equal(socket.recovered, true);
  assert.equal(socket.id, id);
  const mine = without(news).filter(([first]) => first !== "to all");
  assert.deepEqual(mine, [
    ["to a room", { deep: [1] }],
    ["to two rooms"],
    ["to itself"],
    [Buffer.from([1, 2, 3]), [Buffer.from([4])]],
  ]);
  assert.equal(news.length, mine.length + 1, "and what was for everybody, once");
  const described = await t.ask(socket, "describe");
  assert.equal(described.recovered, true);
  assert.equal(described.id, id);
  assert.deepEqual(described.rooms.sort(), [id, t.room("a")].sort());
  assert.deepEqual(described.data, { name: "Ada" });
  await emit(t, other, { to: [t.room("a")] }, "live");
  await t.fence(socket);
  assert.deepEqual(without(news).at(-1), ["live"]);
  assert.equal(news.length, mine.length + 2);
}

export const client_closes_the_connection = recovery({}, async (t) => {
  const session = await start(t);
  await recovers(t, session, () => lose(t, session));
});

export const network_drops_the_connection = recovery({}, async (t) => {
  const proxy = await t.proxy();
  const session = await start(t, { url: proxy.url });
  await recovers(t, session, () => drop(t, proxy, session));
});

export const network_drops_during_the_upgrade = recovery({ modes: ["upgrade"] }, async (t) => {
  const proxy = await t.proxy();
  proxy.holdUpgrades = true;
  const watch = await t.watch();
  const other = await t.connect();
  const socket = await t.connect("/", { url: proxy.url });
  const first = t.event(socket, "echo");
  socket.emit("echo", "first");
  await first;
  assert.equal(socket.io.engine.transport.name, "polling");
  const session = { watch, other, socket, id: socket.id, news: t.collect(socket, "news") };
  await recovers(t, session, () => drop(t, proxy, session));
});

export const events_on_their_way_are_sent_again = recovery({}, async (t) => {
  const proxy = await t.proxy();
  const session = await start(t, { url: proxy.url });
  const { socket } = session;
  const numbers = t.collect(socket, "number");
  socket.emit("burst", "number", 200, true);
  // Of an answer that is lost with its poll nobody knows before the heartbeat: none may be on its way.
  await numbers.reach(t.transport === "polling" ? 200 : 1);
  await drop(t, proxy, session);
  await comeBack(t, socket);
  assert.equal(socket.recovered, true);
  await numbers.reach(200);
  await t.fence(socket);
  assert.deepEqual(numbers.items.map(([number]) => number), Array.from({ length: 200 }, (_, i) => i));
});

export const several_times = recovery({}, async (t) => {
  const session = await start(t);
  const { socket, other, news, id } = session;
  for (let i = 0; i < 3; i++) {
    await lose(t, session, id);
    await emit(t, other, { to: [id] }, i);
    await comeBack(t, socket);
    assert.equal(socket.recovered, true);
  }
  assert.deepEqual(without(news), [[0], [1], [2]]);
});

export const neither_volatile_nor_acknowledged_events = recovery({}, async (t) => {
  const session = await start(t);
  const { socket, other, news, id } = session;
  await lose(t, session);
  await emit(t, other, { to: [id], volatile: true }, "volatile");
  await t.ask(other, "ask many", { via: "io", to: [id], timeout: 100 }, "news", ["acknowledged"]);
  await emit(t, other, { to: [id] }, "regular");
  await comeBack(t, socket);
  assert.deepEqual(without(news), [["regular"]]);
});

export const offsets_go_with_what_is_kept_only = recovery({ modes: ["websocket"] }, async (t) => {
  const { socket } = await start(t);
  socket.on("question", (...args) => args.pop()(args.length));
  assert.deepEqual(await t.ask(socket, "ask", "question", 1_000, ["x"]), { value: 1 });
  const news = t.collect(socket, "news");
  await t.ask(socket, "relay", { via: "io", to: [socket.id], volatile: true }, "news", 1);
  await t.ask(socket, "relay", { via: "io", to: [socket.id] }, "news", 2);
  await t.fence(socket);
  assert.deepEqual(news.items.map((args) => args.length), [1, 2], `${JSON.stringify(news.items)}`);
});

/** Not recovered: another id, no rooms, no data, nothing missed. */
async function startsAfresh(t, session) {
  const { socket, id, news } = session;
  await comeBack(t, socket);
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
  const described = await t.ask(socket, "describe");
  assert.equal(described.recovered, false);
  assert.deepEqual(described.rooms, [socket.id]);
  assert.deepEqual(described.data, {});
  assert.deepEqual(news.items, []);
}

export const server_disconnects_the_client = recovery({}, async (t) => {
  const session = await start(t);
  session.socket.emit("disconnect_me", false);
  await t.event(session.socket, "disconnect");
  await emit(t, session.other, { to: [session.id] }, "missed");
  await startsAfresh(t, session);
});

export const server_disconnects_the_connection = recovery({}, async (t) => {
  const session = await start(t);
  session.socket.emit("disconnect_me", true);
  await t.event(session.socket.io.engine, "close");
  await startsAfresh(t, session);
});

export const client_disconnects = recovery({}, async (t) => {
  const session = await start(t);
  session.socket.disconnect();
  await session.watch.find("disconnect", { id: session.id });
  await startsAfresh(t, session);
});

export const before_the_first_event = recovery({}, async (t) => {
  const watch = await t.watch();
  const socket = await t.connect();
  await t.settled(socket);
  const session = { watch, socket, id: socket.id, news: t.collect(socket, "news") };
  await lose(t, session);
  await startsAfresh(t, session);
});

export const wrong_private_id = recovery({ modes: ["websocket"] }, async (t) => {
  const session = await start(t);
  const { _pid: pid } = session.socket;
  assert.match(pid, /^[\w-]{20}$/);
  assert.notEqual(pid, session.id);
  await lose(t, session);
  for (const guess of ["x".repeat(20), session.id, "__proto__", ""]) {
    const stranger = await t.connect("/", { auth: { pid: guess, offset: session.socket._lastOffset } });
    assert.notEqual(stranger.id, session.id, guess);
  }
  await comeBack(t, session.socket);
  assert.equal(session.socket.recovered, true);
});

export const unknown_offset = recovery({ modes: ["websocket"] }, async (t) => {
  const session = await start(t);
  await lose(t, session);
  session.socket._lastOffset = "unknown";
  await startsAfresh(t, session);
});

export const not_strings = recovery({ modes: ["websocket"] }, async (t) => {
  const session = await start(t);
  const { _pid: pid, _lastOffset: offset } = session.socket;
  await lose(t, session);
  for (const auth of [{ pid: [pid], offset }, { pid, offset: 5 }, { pid, offset: [offset] }, { pid: null, offset }]) {
    const stranger = await t.connect("/", { auth });
    assert.notEqual(stranger.id, session.id, JSON.stringify(auth));
  }
});

export const too_late = recovery({ profile: "recovery_short", modes: ["websocket"] }, async (t) => {
  const session = await start(t);
  await lose(t, session);
  await new Promise((resolve) => setTimeout(resolve, 500)); // twice the time that the profile allows
  await startsAfresh(t, session);
});

export const auth_is_evaluated_again = recovery({}, async (t) => {
  let token = 0;
  const session = await start(t, { auth: (give) => give({ token: ++token }) });
  await lose(t, session);
  await comeBack(t, session.socket);
  assert.equal(session.socket.recovered, true);
  const { auth } = await t.ask(session.socket, "handshake");
  assert.equal(auth.token, 2);
});

export const middlewares_are_skipped = recovery({}, async (t) => {
  const session = await start(t, { nsp: "/secret", auth: { token: "s3cret" } });
  await lose(t, session);
  session.socket.auth = { token: "wrong" };
  await comeBack(t, session.socket);
  assert.equal(session.socket.recovered, true);
});

export const middlewares_are_asked = recovery({ profile: "recovery_checked" }, async (t) => {
  const session = await start(t, { nsp: "/secret", auth: { token: "s3cret" } });
  await lose(t, session);
  session.socket.auth = { token: "wrong" };
  session.socket.connect();
  const [error] = await t.event(session.socket, "connect_error");
  assert.equal(error.message, "wrong token");
  session.socket.auth = { token: "s3cret" };
  await comeBack(t, session.socket);
  assert.equal(session.socket.recovered, true);
  assert.equal(session.socket.id, session.id);
});

export const each_namespace_by_itself = recovery({}, async (t) => {
  const session = await start(t);
  const chat = session.socket.io.socket("/chat").connect();
  await t.connected(chat);
  const id = chat.id;
  const echoes = t.collect(chat, "echo");
  chat.emit("echo", "first");
  await echoes.reach(1);
  assert.notEqual(chat._pid, session.socket._pid);
  session.socket.io.engine.close();
  await session.watch.reach("disconnect", 2);
  await emit(t, session.other, { to: [session.id] }, "missed");
  for (const socket of [session.socket, chat]) socket.connect();
  for (const socket of [session.socket, chat]) await t.connected(socket);
  assert.deepEqual([session.socket.id, chat.id], [session.id, id]);
  assert.deepEqual([session.socket.recovered, chat.recovered], [true, true]);
  assert.deepEqual(without(session.news), [["missed"]]);
});

export const missed_events_come_before_the_connect_packet = recovery({ modes: ["websocket"] }, async (t) => {
  const session = await start(t);
  const { socket, id, other } = session;
  const { _pid: pid, _lastOffset: offset } = socket;
  await lose(t, session);
  await emit(t, other, { to: [id] }, "missed", 1);
  const wire = t.wire();
  await wire.opened;
  await wire.next();
  wire.send(`40${JSON.stringify({ pid, offset })}`);
  const [event, name, number, last] = JSON.parse((await wire.next()).slice(2));
  assert.deepEqual([event, name, number, typeof last], ["news", "missed", 1, "string"]);
  assert.equal(await wire.next(), `40${JSON.stringify({ sid: id, pid })}`);
});
