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
  assert.equal(watch.announced(), 1, "once");
  const other = await refusal(t, "/dynami-");
  assert.equal(other.message, "Invalid namespace", "the pattern must fit");
});

export const the_first_that_fits = where({ profile: "dynamic" }, async (t) => {
  const watch = await t.watch();
  const [word, other] = [`/dynamic-${t.tag}`, `/dynamic--${t.tag}`];
  assert.deepEqual((await t.ask(await t.connect(word), "describe")).data, { parent: true }, "the first pattern");
  assert.deepEqual((await t.ask(await t.connect(other), "describe")).data, {}, "the second one");
  assert.deepEqual(await watch.order("children", t.tag), [word]);
});

export const parent_reaches_every_child = where({ profile: "dynamic" }, async (t) => {
  const watch = await t.watch();
  const sockets = await Promise.all(["a", "b"].map((name) => t.connect(`/dynamic-${t.tag}${name}`)));
  const news = sockets.map((socket) => t.event(socket, "news"));
  await watch.order("emit_to_parent", {}, "news", "to all children");
  for (const arrived of news) assert.deepEqual(await arrived, ["to all children"]);
});

export const parent_reaches_rooms_of_every_child = where({ profile: "dynamic" }, async (t) => {
  const watch = await t.watch();
  const names = ["a", "b"].map((name) => `/dynamic-${t.tag}${name}`);
  const inside = await Promise.all(names.map((name) => t.connect(name)));
  const outside = await Promise.all(names.map((name) => t.connect(name)));
  const [room, banned] = [t.room("kitchen"), t.room("banned")];
  for (const socket of inside) await t.ask(socket, "join", [room]);
  await t.ask(inside[1], "join", [banned]);
  const heard = [...inside, ...outside].map((socket) => t.collect(socket, "news"));
  await watch.order("emit_to_parent", { to: [room] }, "news", "room");
  await watch.order("emit_to_parent", { in: [room], except: [banned] }, "news", "room but");
  await watch.order("emit_to_parent", { except: [room], local: true, compress: false }, "news", "the others");
  await t.fence(...inside, ...outside);
  assert.deepEqual(
    heard.map(({ items }) => items.flat()),
    [["room", "room but"], ["room"], ["the others"], ["the others"]],
  );
});

export const what_is_added_later = where({ profile: "dynamic" }, async (t) => {
  const watch = await t.watch();
  const names = ["a", "b"].map((name) => `/dynamic-${t.tag}${name}`);
  await t.connect(names[0]);
  await watch.order("add_to_parent", t.tag);
  await t.connect(names[0]);
  await t.connect(names[1]);
  await watch.find("added later");
  await watch.fence();
  assert.deepEqual(
    watch.of("added later").map(({ nsp }) => nsp),
    [names[1]],
    "only later children have it",
  );
});

export const by_function = where({ profile: "dynamic" }, async (t) => {
  const nsp = `/tenant-${t.tag}`;
  const socket = await t.connect(nsp, { auth: { member: true } });
  assert.equal((await t.ask(socket, "describe")).nsp, nsp);
  const error = await refusal(t, `/tenant-other-${t.tag}`, { auth: { member: false } });
  assert.equal(error.message, "Invalid namespace", "the function sees the auth");
});

export const by_function_that_fails = where({ profile: "dynamic" }, async (t) => {
  const nsp = `/broken-${t.tag}`;
  assert.equal((await t.ask(await t.connect(nsp), "describe")).nsp, nsp, "the next one is asked");
});

export const by_function_in_its_own_time = where({ profile: "dynamic" }, async (t) => {
  const nsp = `/later-${t.tag}`;
  const watch = await t.watch();
  const manager = t.manager();
  const others = [manager.socket(nsp).connect(), manager.socket("/").connect(), t.open(nsp)];
  await Promise.all(others.map((socket) => t.connected(socket)));
  assert.equal((await t.ask(others[0], "describe")).nsp, nsp);
  await watch.fence();
  assert.equal(watch.of("new_namespace").length, 1, "made once, though two asked at the same time");
  assert.equal(watch.of("asked").length, 2);
  await t.connect(nsp, { auth: { member: false } });
  await watch.fence();
  assert.equal(watch.of("asked").length, 2, "nobody asks about a namespace that is there");
  const refused = await refusal(t, `/later-other-${t.tag}`, { auth: { member: false } });
  assert.equal(refused.message, "Invalid namespace");
});

export const auth_as_it_came = where({ profile: "dynamic" }, async (t) => {
  const watch = await t.watch();
  const auth = { token: "t", nested: { list: [1, null, "x"] } };
  await t.connect(`/later-1-${t.tag}`, { auth });
  await t.connect(`/later-2-${t.tag}`);
  await watch.fence();
  assert.deepEqual(
    watch.of("asked").map((entry) => entry.auth),
    [auth, {}],
    "empty where the client sent none",
  );
});

export const gone_while_it_is_decided = where({ profile: "dynamic" }, async (t) => {
  const watch = await t.watch();
  const nsp = `/held-${t.tag}`;
  const manager = t.manager();
  const main = await t.connected(manager.socket("/").connect());
  manager.socket(nsp).connect();
  await watch.find("asked");
  main.io._close();
  await watch.find("disconnect", { nsp: "/" });
  const late = t.open(nsp);
  await watch.reach("asked", 2);
  await watch.order("release", t.tag);
  const { id } = await t.connected(late);
  await watch.fence();
  const connected = watch.of("connection").filter((entry) => entry.nsp === nsp);
  assert.deepEqual(connected.map((entry) => entry.id), [id], "only who is there still");
});

export const adopted_by_of = where({ profile: "dynamic" }, async (t) => {
  const watch = await t.watch();
  const [fits, other] = [`/dynamic-${t.tag}`, `/tenant-${t.tag}`];
  assert.deepEqual(await watch.order("of", fits.slice(1)), [fits], "the slash may be missing");
  assert.deepEqual(await watch.order("of", other), [other]);
  assert.deepEqual(await watch.order("children", t.tag), [fits], "a function is not asked");
  await watch.fence();
  assert.equal(watch.announced(), 2);
  assert.deepEqual((await t.ask(await t.connect(fits), "describe")).data, { parent: true });
  await t.connect(other);
  await watch.fence();
  assert.equal(watch.announced(), 2, "and that is the one");
});

export const children_stay = where({ profile: "dynamic" }, async (t) => {
  const nsp = `/dynamic-${t.tag}`;
  const watch = await t.watch();
  (await t.connect(nsp)).disconnect();
  await watch.find("disconnect");
  assert.deepEqual(await watch.order("children", t.tag), [nsp]);
  await t.connect(nsp);
  await watch.fence();
  assert.equal(watch.announced(), 1);
});

export const cleaned_up = where({ profile: "dynamic_cleanup" }, async (t) => {
  const nsp = `/dynamic-${t.tag}`;
  const watch = await t.watch();
  const sockets = await t.connectMany(2, nsp);
  sockets[0].disconnect();
  await watch.reach("disconnect", 1);
  assert.deepEqual(await watch.order("children", t.tag), [nsp], "somebody is there");
  sockets[1].io._close();
  await watch.reach("disconnect", 2);
  assert.deepEqual(await watch.order("children", t.tag), []);
  await watch.fence();
  const before = watch.of("new_namespace").length;
  const again = await t.connect(nsp);
  assert.equal(await t.ask(again, "ack", "alive"), "alive");
  await watch.fence();
  assert.equal(watch.of("new_namespace").length, before + 1, "and made anew");
});

export const cleaned_up_after_a_refusal = where({ profile: "dynamic_cleanup" }, async (t) => {
  const watch = await t.watch();
  const error = await refusal(t, `/dynamic-${t.tag}`, { auth: { refuse: true } });
  assert.equal(error.message, "refused by the parent's middleware");
  assert.deepEqual(await watch.order("children", t.tag), []);
});

export const names_on_the_wire = where({ profile: "dynamic", modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.opened;
  await wire.next();
  wire.send(`40/later-${t.tag}\n,`);
  assert.match(await wire.next(), /^40\/later-\w+\n,\{"sid":"/, "a function decides for itself");
  wire.send(`40/dynamic-${t.tag}?token=1,`);
  assert.match(await wire.next(), /^40\/dynamic-\w+\?token=1,\{"sid":"/, "a query is part of the name");
  wire.send("40/_0,");
  assert.equal(await wire.next(), '44/_0,{"message":"Invalid namespace"}', "a parent is no namespace for clients");
});
