// Namespaces that come to be when a client asks for them.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const refusal = async (t, nsp, options) => (await t.event(t.open(nsp, options), "connect_error"))[0];

export const by_pattern = where({ profile: "dynamic" }, async (t) => {
  const nsp = `/dynamic-${t.tag}`;
  const watch = await t.watch();
  const sockets = await Promise.all([t.connect(nsp), t.connect(nsp)]);
  const there = await t.ask(sockets[0], "describe");
  assert.equal(there.nsp, nsp);
  assert.deepEqual(there.data, { parent: true }, "the parent's middleware ran");
  const news = t.event(sockets[1], "news");
  await t.ask(sockets[0], "relay", { via: "io" }, "news", "to the child");
  assert.deepEqual(await news, ["to the child"]);
  await watch.fence();
  assert.equal(watch.of("new_namespace").length, 1, "announced once");
  const other = await refusal(t, "/dynamic-");
  assert.equal(other.message, "Invalid namespace", "the pattern must fit");
});

export const parent_reaches_every_child = where({ profile: "dynamic" }, async (t) => {
  const watch = await t.watch();
  const sockets = await Promise.all(["a", "b"].map((name) => t.connect(`/dynamic-${t.tag}${name}`)));
  const news = sockets.map((socket) => t.event(socket, "news"));
  await watch.order("emit_to_parent", "news", "to all children");
  for (const arrived of news) assert.deepEqual(await arrived, ["to all children"]);
});

export const by_function = where({ profile: "dynamic" }, async (t) => {
  const nsp = `/tenant-${t.tag}`;
  const socket = await t.connect(nsp, { auth: { member: true } });
  assert.equal((await t.ask(socket, "describe")).nsp, nsp);
  const error = await refusal(t, `/tenant-other-${t.tag}`, { auth: { member: false } });
  assert.equal(error.message, "Invalid namespace", "the function sees the auth");
});
