// volatile and compress: flags that the next emit alone obeys.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

export async function volatile_arrives_at_who_listens(t) {
  const socket = await t.connect();
  // A polling client is between two polls now and then; a volatile event that meets such a moment is lost.
  const arrived = new Promise((resolve) => socket.on("news", (kind) => kind === "volatile" && resolve()));
  const asking = (async () => {
    for (let i = 0; i < 200; i++) {
      socket.emit("volatile", "news");
      if (await Promise.race([arrived.then(() => true), t.fence(socket)])) return;
    }
  })();
  await t.within(arrived, "a volatile event");
  await asking;
}

export const volatile_is_dropped_without_a_poll = where({ modes: ["polling"] }, async (t) => {
  const poller = t.poller();
  await poller.open();
  await poller.join();
  // No poll is waiting, so the volatile event has nowhere to go; the regular one is kept for the next poll.
  await poller.post('42["volatile","news"]');
  assert.deepEqual(await poller.poll(), ['42["news","regular"]']);
});

export const volatile_broadcast = where({ modes: ["polling"] }, async (t) => {
  const poller = t.poller();
  await poller.open();
  await poller.join();
  await poller.post(`420["join","${t.room("v")}"]`);
  await poller.pollFor((packet) => packet.startsWith("430"));
  const socket = await t.connect("/", { transports: ["websocket"] });
  await t.ask(socket, "join", t.room("v"));
  const news = t.collect(socket, "news");
  await t.ask(socket, "relay", { via: "io", to: [t.room("v")], volatile: true }, "news", "volatile");
  await t.ask(socket, "relay", { via: "io", to: [t.room("v")] }, "news", "regular");
  await t.fence(socket);
  assert.deepEqual(news.items.flat(), ["volatile", "regular"], "who can take it gets it");
  const packets = await poller.pollFor((packet) => packet.includes("regular"));
  assert.ok(!packets.some((packet) => packet.includes("volatile")), `who cannot does not: ${packets}`);
});

export async function volatile_from_a_disconnected_client(t) {
  const socket = t.open();
  const echoes = t.collect(socket, "echo");
  socket.volatile.emit("echo", "volatile");
  socket.emit("echo", "regular");
  await t.connected(socket);
  await t.fence(socket);
  assert.deepEqual(echoes.items.flat(), ["regular"]);
}

export async function flags_last_for_one_emit(t) {
  const socket = await t.connect();
  const arrived = t.collect(socket, "news");
  for (let i = 0; i < 20; i++) socket.emit("volatile", "news");
  await t.fence(socket);
  const regular = arrived.items.flat().filter((kind) => kind === "regular");
  assert.equal(regular.length, 20, "the emit after a volatile one is not volatile");
}

export async function compress_changes_nothing_for_the_client(t) {
  const socket = await t.connect();
  for (const compress of [true, false]) {
    const arrived = t.event(socket, "large");
    socket.emit("large", compress, 5_000);
    assert.equal((await arrived)[0].length, 5_000);
  }
}

export const without_per_message_deflate = where({ modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.opened;
  assert.equal(wire.headers["sec-websocket-extensions"], undefined, "off unless asked for");
});
