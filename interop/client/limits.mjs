// max_http_buffer_size: how much may arrive in one piece, and what happens to more. The limit here is 10 000.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const LIMIT = 10_000;
/** A packet of this size that asks for its payload back, and the answer. */
const ack = (size) => `420["ack","${"x".repeat(size - '420["ack",""]'.length)}"]`;
const answer = (packet) => packet.replace('420["ack",', "430[");

export const advertised = where({ profile: "limits" }, async (t) => {
  const socket = await t.connect();
  assert.equal(socket.io.engine._maxPayload ?? socket.io.engine.maxPayload, LIMIT);
  const text = "x".repeat(3_000);
  const answers = await Promise.all(Array.from({ length: 20 }, () => t.ask(socket, "ack", text)));
  assert.ok(answers.every((back) => back === text), "the client keeps its polling payloads below it");
});

export const too_large_a_post = where({ profile: "limits", modes: ["polling"] }, async (t) => {
  const watch = await t.watch();
  const poller = t.poller();
  await poller.open();
  await poller.join();
  const refused = await poller.post(ack(LIMIT + 1));
  assert.equal(refused.status, 413);
  const accepted = await poller.post(ack(LIMIT));
  assert.equal(accepted.status, 200, "the session lives on, and the limit itself is allowed");
  assert.deepEqual(await poller.poll(), [answer(ack(LIMIT))]);
  await watch.fence();
  assert.deepEqual(watch.of("disconnect"), []);
});

export const too_large_a_post_in_chunks = where({ profile: "limits", modes: ["polling"] }, async (t) => {
  const poller = t.poller();
  await poller.open();
  await poller.join();
  const post = t.unfinishedPost(poller.url, ack(LIMIT));
  await post.sent;
  post.finish("more than is allowed");
  assert.equal((await t.within(post.answered, "the refusal")).status, 413, "counted as it arrives");
  assert.equal((await poller.post('420["ack"]')).status, 200);
  assert.deepEqual(await poller.poll(), ["430[]"]);
});

export const too_large_a_frame = where({ profile: "limits", modes: ["websocket"] }, async (t) => {
  const watch = await t.watch();
  const wire = t.wire();
  await wire.join();
  wire.send(ack(LIMIT));
  assert.equal(await wire.next(), answer(ack(LIMIT)), "the limit itself is allowed");
  wire.send(ack(LIMIT + 1));
  assert.equal(await wire.closed(), 1009);
  assert.equal((await watch.find("disconnect")).reason, "transport error");
});

export const too_large_in_fragments = where({ profile: "limits", modes: ["websocket"] }, async (t) => {
  const watch = await t.watch();
  const wire = t.wire();
  await wire.join();
  const half = "x".repeat(LIMIT / 2 + 1);
  wire.ws.send(`42["${half}`, { fin: false });
  wire.ws.send(`${half}"]`, { fin: true });
  assert.equal(await wire.closed(), 1009, "fragments count together");
  assert.equal((await watch.find("disconnect")).reason, "transport error");
});

export const within_the_limit_in_fragments = where({ profile: "limits", modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.join();
  wire.ws.send('420["ack",', { fin: false });
  wire.ws.send('"in ', { fin: false });
  wire.ws.send('parts"]', { fin: true });
  assert.equal(await wire.next(), '430["in parts"]');
});

export const too_large_from_the_official_client = where({ profile: "limits" }, async (t) => {
  const socket = await t.connect();
  await t.settled(socket);
  const ended = t.event(socket, "disconnect");
  socket.emit("echo", "x".repeat(LIMIT + 1));
  const [reason, details] = await ended;
  assert.equal(reason, t.transport === "polling" ? "transport error" : "transport close");
  if (t.transport === "polling") assert.equal(details.description, 413);
});

export const nothing_limits_what_is_sent = where({ profile: "limits" }, async (t) => {
  const socket = await t.connect();
  const arrived = t.event(socket, "large");
  socket.emit("large", true, LIMIT * 5);
  assert.equal((await arrived)[0].length, LIMIT * 5, "it is a limit on what the server receives");
});
