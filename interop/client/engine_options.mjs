// Options of the engine below: the path without its slash, and a first message of the server's own.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

export const no_trailing_slash = where({ profile: "no_slash" }, async (t) => {
  const socket = await t.connect("/", { addTrailingSlash: false });
  await t.settled(socket);
  assert.equal(await t.ask(socket, "ack", "found"), "found");
  const { url } = await t.ask(socket, "handshake");
  assert.ok(url.startsWith("/socket.io?"), url);
});

export const with_the_slash_as_well = where({ profile: "no_slash" }, async (t) => {
  const socket = await t.connect();
  assert.equal(await t.ask(socket, "ack", "found"), "found");
});

export const the_slash_is_needed_otherwise = where({ profile: "default", modes: ["polling"] }, async (t) => {
  assert.equal((await t.request("/socket.io?EIO=4&transport=polling")).status, 404);
});

export const first_message_over_polling = where({ profile: "initial_packet", modes: ["polling"] }, async (t) => {
  const [opened, first] = (await t.request("/socket.io/?EIO=4&transport=polling")).body.split("\x1e");
  assert.match(opened, /^0\{"sid"/);
  assert.equal(first, '42["first"]');
});

export const first_message_over_websocket = where({ profile: "initial_packet", modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.opened;
  assert.match(await wire.next(), /^0\{"sid"/);
  assert.equal(await wire.next(), '42["first"]');
});
