// Hooks of the engine below: packets told of, middlewares around HTTP, ids of the application's own.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const hooked = (run, modes) => where({ profile: "hooks", ...(modes && { modes }) }, run);

/** A connection whose packets the server tells of. (Telling of those that tell would never end.) */
const connect = (t) => t.connect("/", { query: { hooked: 1 } });

export const packets_that_come = hooked(async (t) => {
  const log = await t.watch();
  const socket = await connect(t);
  await t.settled(socket);
  socket.emit("échö", 1);
  await t.fence(socket);
  await log.find("packet", { type: "message", data: '2["échö",1]' });
  const first = log.of("packet")[0];
  assert.deepEqual([first.type, first.data], ["message", "0"]);
  await log.fence();
  const told = log.of("message").map(({ data }) => data);
  assert.deepEqual(told, log.of("packet").map(({ data }) => data));
});

export const packets_that_are_sent = hooked(async (t) => {
  const log = await t.watch();
  const socket = await connect(t);
  await t.settled(socket);
  const echoed = t.event(socket, "echo");
  socket.emit("echo", "one");
  await echoed;
  await log.find("packet_create", { type: "message", data: '2["echo","one"]' });
  await log.find("drain");
  await log.fence();
  const flushed = log.of("flush").flatMap(({ packets }) => packets);
  assert.ok(flushed.some(([type, data]) => type === "message" && data === '2["echo","one"]'));
});

export const binary_packets = hooked(async (t) => {
  const log = await t.watch();
  const socket = await connect(t);
  await t.settled(socket);
  const echoed = t.event(socket, "echo");
  socket.emit("echo", Buffer.from([1, 2, 250]));
  await echoed;
  for (const kind of ["packet", "packet_create"]) {
    await log.find(kind, { type: "message", data: "binary 0102fa" });
  }
});

export const upgrading_then_upgrade = hooked(async (t) => {
  const log = await t.watch();
  const socket = await connect(t);
  await t.settled(socket);
  await log.find("upgrade", { to: "websocket" });
  assert.deepEqual(log.of("upgrading").map(({ to }) => to), ["websocket"]);
  const kinds = log.entries.map(({ kind }) => kind);
  assert.ok(kinds.indexOf("upgrading") < kinds.indexOf("upgrade"));
}, ["upgrade"]);

export const the_end = hooked(async (t) => {
  const log = await t.watch();
  const socket = await connect(t);
  await t.settled(socket);
  socket.disconnect();
  const closed = await log.find("close");
  assert.equal(closed.reason, "transport close");
});

export const headers_of_a_middleware = hooked(async (t) => {
  const poller = t.poller();
  assert.equal((await poller.open()).headers["x-middleware"], "first");
  assert.equal((await poller.post("40")).headers["x-middleware"], "first");
  const wire = t.wire();
  await wire.opened;
  assert.equal(wire.headers["x-middleware"], "first");
  const upgrade = t.wire({ query: `&sid=${poller.sid}` });
  await upgrade.opened;
  assert.equal(upgrade.headers["x-middleware"], "first");
}, ["polling"]);

export const a_middleware_that_answers = hooked(async (t) => {
  const response = await t.request("/socket.io/?EIO=4&transport=polling&deny=1");
  assert.deepEqual([response.status, response.body], [401, "denied"]);
}, ["polling"]);

export const a_middleware_that_fails = hooked(async (t) => {
  const log = await t.watch();
  const response = await t.request(`/socket.io/?EIO=4&transport=polling&fail=1&tag=${t.tag}`);
  assert.deepEqual([response.status, response.body], [400, '{"code":3,"message":"Bad request"}']);
  const refused = await t.refusedWire("EIO=4&transport=websocket&fail=1");
  assert.deepEqual([refused.status, refused.body], [400, "Bad request"]);
  for (const entry of await log.reach("connection_error", 2)) {
    assert.deepEqual([entry.code, entry.context.name], [3, "MIDDLEWARE_FAILURE"]);
  }
}, ["polling"]);

export const ids_of_ones_own = hooked(async (t) => {
  const poller = t.poller({ query: `&id=own-${t.tag}` });
  await poller.open();
  assert.equal(poller.sid, `own-${t.tag}`);
  await poller.join();
  const wire = t.wire({ query: `&id=wire-${t.tag}` });
  await wire.join();
  assert.equal(wire.handshake.sid, `wire-${t.tag}`);
}, ["polling"]);

export const no_id = hooked(async (t) => {
  const log = await t.watch();
  const response = await t.request(`/socket.io/?EIO=4&transport=polling&id=throw&tag=${t.tag}`);
  assert.deepEqual([response.status, response.body], [400, '{"code":3,"message":"Bad request"}']);
  const entry = await log.find("connection_error");
  assert.deepEqual([entry.code, entry.context.name], [3, "ID_GENERATION_ERROR"]);
}, ["polling"]);
