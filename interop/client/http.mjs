// What stands in the HTTP answers: types, lengths, compression, headers added by the application, the path.

import assert from "node:assert/strict";
import { gunzipSync, inflateSync } from "node:zlib";

import { where } from "./lib/where.mjs";

const once = (run, profile) => where({ profile, modes: ["polling"] }, run);

/** A joined polling session for which the server has an answer of this size waiting. */
async function waiting(t, size, compress = true) {
  const poller = t.poller();
  await poller.open();
  await poller.join();
  await poller.post(`42["large",${compress},${size}]`);
  return poller;
}

const expected = (size) => `42["large","${"x".repeat(size)}"]`;

export const headers_of_a_poll = once(async (t) => {
  const poller = t.poller();
  const opened = await poller.open();
  await poller.join();
  await poller.post('42["echo","é"]');
  for (const response of [opened, await poller.get()]) {
    assert.equal(response.headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(response.headers["cache-control"], "no-store");
    assert.equal(Number(response.headers["content-length"]), response.bytes.length);
  }
});

export const headers_of_a_post = once(async (t) => {
  const poller = t.poller();
  await poller.open();
  const response = await poller.post("40");
  assert.equal(response.status, 200);
  assert.equal(response.body, "ok");
  assert.equal(response.headers["content-type"], "text/html");
  assert.equal(response.headers["content-length"], "2");
});

export const several_packets_in_one_answer = once(async (t) => {
  const poller = t.poller();
  await poller.open();
  await poller.join();
  await poller.post('42["burst","n",3]', '420["ack","after"]');
  const packets = await poller.poll();
  assert.deepEqual(packets, ['42["n",0]', '42["n",1]', '42["n",2]', '430["after"]']);
});

export const binary_in_base64 = once(async (t) => {
  const poller = t.poller();
  await poller.open();
  await poller.join();
  await poller.post('451-["echo",{"_placeholder":true,"num":0}]', "b+/8=");
  assert.deepEqual(await poller.poll(), ['451-["echo",{"_placeholder":true,"num":0}]', "b+/8="]);
});

export const compressed_by_gzip = once(async (t) => {
  const poller = await waiting(t, 3_000);
  const response = await poller.get({ headers: { "accept-encoding": "gzip, deflate, br" } });
  assert.equal(response.headers["content-encoding"], "gzip");
  assert.equal(gunzipSync(response.bytes).toString(), expected(3_000));
  assert.ok(response.bytes.length < 500);
});

export const compressed_by_deflate = once(async (t) => {
  const poller = await waiting(t, 3_000);
  const response = await poller.get({ headers: { "accept-encoding": "deflate" } });
  assert.equal(response.headers["content-encoding"], "deflate");
  assert.equal(inflateSync(response.bytes).toString(), expected(3_000));
});

export const not_compressed = once(async (t) => {
  const plain = [
    ["nobody asked", await waiting(t, 3_000), {}],
    ["an unknown encoding", await waiting(t, 3_000), { "accept-encoding": "zstd" }],
    ["below the threshold of 1024", await waiting(t, 500), { "accept-encoding": "gzip" }],
    ["compress(false)", await waiting(t, 3_000, false), { "accept-encoding": "gzip" }],
  ];
  for (const [why, poller, headers] of plain) {
    const response = await poller.get({ headers });
    assert.equal(response.headers["content-encoding"], undefined, why);
    assert.match(response.body, /^42\["large","x+"\]$/, why);
  }
});

export const compression_switched_off = once(async (t) => {
  const poller = await waiting(t, 3_000);
  const response = await poller.get({ headers: { "accept-encoding": "gzip" } });
  assert.equal(response.headers["content-encoding"], undefined);
  assert.equal(response.body, expected(3_000));
}, "uncompressed");

export const headers_by_the_application = once(async (t) => {
  const poller = t.poller();
  const seen = ({ headers }) => [headers["x-first-answer"], headers["x-every-answer"]];
  assert.deepEqual(seen(await poller.open()), ["yes", "yes"], "initial_headers and headers");
  assert.deepEqual(seen(await poller.post("40")), [undefined, "yes"], "headers alone");
  assert.deepEqual(seen(await poller.get()), [undefined, "yes"]);
  const wire = t.wire();
  await wire.opened;
  assert.deepEqual(seen(wire), ["yes", "yes"], "on the handshake of a WebSocket too");
  const upgrade = t.wire({ query: `&sid=${poller.sid}` });
  await upgrade.opened;
  assert.deepEqual(seen(upgrade), [undefined, "yes"], "an upgrade is not the first answer");
});

export const another_path = where({ profile: "path" }, async (t) => {
  const socket = await t.connect("/", { path: "/deep/er/socket" });
  await t.settled(socket);
  assert.equal(await t.ask(socket, "ack", "found"), "found");
  const { url } = await t.ask(socket, "handshake");
  assert.ok(url.startsWith("/deep/er/socket/?"), url);
  assert.equal((await t.request("/socket.io/?EIO=4&transport=polling")).status, 404, "the usual path is free");
});
