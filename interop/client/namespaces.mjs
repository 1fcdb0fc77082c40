// Namespaces: several on one connection, unknown ones, and what may come before the confirmation.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

export async function several_on_one_connection(t) {
  const manager = t.manager();
  const [main, chat] = ["/", "/chat"].map((nsp) => manager.socket(nsp).connect());
  await Promise.all([t.connected(main), t.connected(chat)]);
  const [there, here] = [await t.ask(main, "describe"), await t.ask(chat, "describe")];
  assert.equal(there.conn, here.conn, "one connection");
  assert.notEqual(there.id, here.id, "two sockets");
  assert.deepEqual([there.nsp, here.nsp], ["/", "/chat"]);
  const elsewhere = t.collect(main, "echo");
  const back = t.event(chat, "echo");
  chat.emit("echo", "for chat only");
  assert.deepEqual(await back, ["for chat only"]);
  await t.fence(main);
  assert.equal(elsewhere.length, 0, "events stay in their namespace");
}

export async function only_a_namespace(t) {
  const socket = await t.connect("/chat");
  assert.equal((await t.ask(socket, "describe")).nsp, "/chat", "nobody must join the main namespace first");
}

export async function unknown(t) {
  const [error] = await t.event(t.open("/does-not-exist"), "connect_error");
  assert.equal(error.message, "Invalid namespace");
  assert.equal(error.data, undefined);
}

export async function unknown_beside_a_known_one(t) {
  const manager = t.manager();
  const [main, lost] = ["/", "/lost"].map((nsp) => manager.socket(nsp).connect());
  const [error] = await t.event(lost, "connect_error");
  assert.equal(error.message, "Invalid namespace");
  await t.connected(main);
  assert.equal(await t.ask(main, "ack", "alive"), "alive");
}

export async function leaving_one_keeps_the_other(t) {
  const manager = t.manager();
  const [main, chat] = ["/", "/chat"].map((nsp) => manager.socket(nsp).connect());
  await Promise.all([t.connected(main), t.connected(chat)]);
  const watch = await t.watch();
  const { id } = chat;
  chat.disconnect();
  const { reason } = await watch.find("disconnect", { id });
  assert.equal(reason, "client namespace disconnect");
  assert.equal(await t.ask(main, "ack", "alive"), "alive");
  chat.connect();
  await t.connected(chat);
  assert.notEqual(chat.id, id, "and it can be joined again");
  assert.equal((await t.ask(chat, "describe")).conn, main.io.engine.id, "on the same connection");
}

export async function events_before_the_confirmation(t) {
  const socket = t.open("/eager");
  const order = [];
  socket.on("connect", () => order.push("connect"));
  const early = t.collect(socket, "early");
  await t.connected(socket);
  await early.reach(2);
  assert.deepEqual(early.items.flat(), ["from the middleware", "from the connection handler"]);
  assert.deepEqual(order, ["connect"]);
}

export const order_on_the_wire = where({ modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.opened;
  await wire.next();
  wire.send("40/eager,");
  const packets = [await wire.next(), await wire.next(), await wire.next()];
  assert.equal(packets[0], '42/eager,["early","from the middleware"]');
  assert.match(packets[1], /^40\/eager,\{"sid":"/);
  assert.equal(packets[2], '42/eager,["early","from the connection handler"]', "after the confirmation");
});

export const names_as_they_come = where({ modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.opened;
  await wire.next();
  wire.send("40/chat");
  assert.match(await wire.next(), /^40\/chat,\{"sid":"/, "the comma may be missing at the end");
  wire.send("40/chat?token=1,");
  assert.equal(await wire.next(), '44/chat?token=1,{"message":"Invalid namespace"}', "a query is part of the name");
  wire.send('40/lost,{"a":1}');
  assert.equal(await wire.next(), '44/lost,{"message":"Invalid namespace"}');
});
