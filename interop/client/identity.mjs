// Who is who: ids, the handshake as the server sees it, and the data kept with a socket.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const ID = /^[A-Za-z0-9_-]{20}$/;

export async function same_id_on_both_sides(t) {
  const socket = await t.connect();
  const there = await t.ask(socket, "describe");
  assert.match(socket.id, ID, "a socket id is 20 characters of the base64url alphabet");
  assert.equal(there.id, socket.id, "the server names the socket as the client does");
  assert.match(socket.io.engine.id, ID, "so is the id of the connection");
  assert.equal(there.conn, socket.io.engine.id, "the server names the connection as the client does");
  assert.notEqual(socket.id, socket.io.engine.id, "the public id must not give away the session id");
  assert.deepEqual(there.rooms, [socket.id], "a socket is in the room of its own id");
  assert.equal(there.nsp, "/");
  assert.equal(there.connected, true);
  assert.equal(there.recovered, false);
  assert.ok(!socket.recovered);
  return there;
}

export async function transport_name(t) {
  const socket = await t.connect();
  await t.settled(socket);
  const { transport } = await t.ask(socket, "describe");
  assert.equal(transport, t.transport, "socket.conn.transport.name on the server");
  assert.equal(socket.io.engine.transport.name, t.transport);
}

export async function distinct_ids(t) {
  const sockets = await t.connectMany(10);
  const ids = new Set(sockets.flatMap((socket) => [socket.id, socket.io.engine.id]));
  assert.equal(ids.size, 20, "no id is given twice");
}

export async function handshake(t) {
  const socket = await t.connect("/", {
    auth: { token: "abc", deep: { list: [1, "zwei", null] } },
    query: { room: "a b&c=d", "ключ": "значение", empty: "" },
    extraHeaders: { "X-Custom": "seen", "user-agent": "interop" },
  });
  const seen = await t.ask(socket, "handshake");
  assert.deepEqual(seen.auth, { token: "abc", deep: { list: [1, "zwei", null] } });
  assert.equal(seen.query.room, "a b&c=d");
  assert.equal(seen.query["ключ"], "значение");
  assert.equal(seen.query.empty, "");
  assert.equal(seen.query.EIO, "4");
  assert.equal(seen.query.transport, t.mode === "websocket" ? "websocket" : "polling", "of the first request");
  assert.equal(seen.headers["x-custom"], "seen", "header names are in lower case");
  assert.equal(seen.headers["user-agent"], "interop");
  assert.equal(seen.address, "127.0.0.1");
  assert.equal(seen.secure, false);
  assert.ok(seen.url.startsWith("/socket.io/?"), `the url is path and query: ${seen.url}`);
  assert.equal(seen.time, "string");
  return seen;
}

export const a_parameter_given_twice = where({ modes: ["websocket"] }, async (t) => {
  const wire = t.wire({ query: "&room=first&other=1&room=last" });
  await wire.opened;
  wire.send("40");
  await wire.messages.reach(2);
  wire.send('420["handshake"]');
  const [, , answer] = await wire.messages.reach(3);
  assert.equal(JSON.parse(answer.slice(3))[0].query.room, "last");
});

export async function no_auth(t) {
  const socket = await t.connect();
  assert.deepEqual((await t.ask(socket, "handshake")).auth, {}, "no auth is an empty object");
}

export async function auth_from_a_function(t) {
  let calls = 0;
  const socket = await t.connect("/", { auth: (callback) => callback({ calls: ++calls }) });
  assert.deepEqual((await t.ask(socket, "handshake")).auth, { calls: 1 });
  socket.disconnect().connect();
  await t.connected(socket);
  assert.deepEqual((await t.ask(socket, "handshake")).auth, { calls: 2 }, "asked again for each connection");
}

export async function data_of_a_socket(t) {
  const [socket, other] = await t.connectMany(2);
  assert.deepEqual(await t.ask(socket, "data", {}), {}, "empty at first");
  await t.ask(socket, "data", { name: "Ada" });
  assert.deepEqual(await t.ask(socket, "data", { rank: 1 }), { name: "Ada", rank: 1 }, "kept between events");
  assert.deepEqual(await t.ask(other, "data", {}), {}, "not shared between sockets");
  assert.deepEqual(await t.ask(socket, "other data", { age: 36 }), { age: 36 }, "another one in its place");
  assert.deepEqual((await t.ask(socket, "describe")).data, { age: 36 });
}

export async function reconnecting_gives_a_new_id(t) {
  const socket = await t.connect();
  const before = socket.id;
  socket.disconnect();
  assert.equal(socket.id, undefined);
  socket.connect();
  await t.connected(socket);
  assert.match(socket.id, ID);
  assert.notEqual(socket.id, before);
}

export async function reconnects_by_itself_after_a_drop(t) {
  const socket = await t.connect("/", { reconnection: true, reconnectionDelay: 10, randomizationFactor: 0 });
  const attempts = t.collect(socket.io, "reconnect_attempt");
  const again = t.event(socket.io, "reconnect");
  const dropped = t.event(socket, "disconnect");
  socket.emit("close_connection");
  await dropped;
  socket.emit("echo", "written while away");
  const [echoed] = await t.event(socket, "echo");
  await again;
  assert.equal(echoed, "written while away", "what was emitted in between is sent afterwards");
  assert.ok(attempts.length >= 1);
}

export const open_packet = where({ modes: ["polling", "websocket"] }, async (t) => {
  let opened;
  if (t.mode === "polling") {
    const poller = t.poller();
    opened = (await poller.open()).body;
  } else {
    const wire = t.wire();
    await wire.opened;
    opened = await wire.next();
  }
  assert.equal(opened[0], "0");
  const open = JSON.parse(opened.slice(1));
  assert.deepEqual(
    Object.keys(open),
    ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"],
    "these keys, in this order",
  );
  assert.match(open.sid, ID);
  assert.deepEqual(open.upgrades, t.mode === "polling" ? ["websocket"] : []);
  assert.deepEqual([open.pingInterval, open.pingTimeout, open.maxPayload], [25_000, 20_000, 1_000_000]);
});

export const connect_packet = where({ modes: ["polling", "websocket"] }, async (t) => {
  const session = t.mode === "polling" ? t.poller() : t.wire();
  if (t.mode === "polling") await session.open();
  const reply = await session.join({ any: "thing" });
  assert.deepEqual(Object.keys(reply), ["sid"], "without connection state recovery the reply is the id alone");
  assert.match(reply.sid, ID);
});
