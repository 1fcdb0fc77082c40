// The heartbeat: the server pings, the client answers, and either notices when the other falls silent.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const INTERVAL = 150;
const TIMEOUT = 250;

export const keeps_a_quiet_connection = where({ profile: "heartbeat" }, async (t) => {
  const socket = await t.connect();
  const ended = t.collect(socket, "disconnect");
  const begun = performance.now();
  const pings = t.collect(socket.io, "ping");
  await pings.reach(5);
  const waited = performance.now() - begun;
  assert.ok(waited > 4 * INTERVAL * 0.9, `one ping for each interval, not more: five in ${waited} ms`);
  assert.equal(ended.length, 0);
  assert.equal(await t.ask(socket, "ack", "alive"), "alive");
});

export const keeps_a_busy_connection = where({ profile: "heartbeat" }, async (t) => {
  const socket = await t.connect();
  const pings = t.collect(socket.io, "ping");
  const enough = pings.reach(4);
  let done = false;
  enough.finally(() => (done = true));
  while (!done) await t.fence(socket);
  assert.equal(socket.connected, true);
});

export const both_notice_silence = where({ profile: "heartbeat" }, async (t) => {
  const watch = await t.watch();
  const proxy = await t.proxy();
  const socket = await t.connect("/", { url: proxy.url });
  await t.settled(socket);
  const ended = t.event(socket, "disconnect");
  const begun = performance.now();
  proxy.freeze();
  assert.equal((await ended)[0], "ping timeout");
  const noticed = performance.now() - begun;
  const { _pingInterval: interval, _pingTimeout: timeout } = socket.io.engine;
  assert.ok(noticed < interval + timeout + 300, `the client noticed within a heartbeat: ${noticed}`);
  const { reason } = await watch.find("disconnect");
  assert.equal(reason, "ping timeout");
});

export const a_client_that_never_answers = where({ profile: "heartbeat", modes: ["polling", "websocket"] }, async (t) => {
  const watch = await t.watch();
  const begun = performance.now();
  let handshake;
  if (t.mode === "polling") {
    const poller = t.poller();
    await poller.open();
    ({ handshake } = poller);
    await poller.join();
    assert.deepEqual(await poller.poll(), ["2"], "the ping comes with a poll");
    const { reason } = await watch.find("disconnect");
    assert.equal(reason, "ping timeout");
    assert.equal((await poller.get()).status, 400, "the session is gone");
  } else {
    const wire = t.wire();
    await wire.join();
    ({ handshake } = wire);
    assert.equal(await wire.next(), "2");
    const { reason } = await watch.find("disconnect");
    assert.equal(reason, "ping timeout");
    await wire.closed();
  }
  const lived = performance.now() - begun;
  assert.ok(lived > handshake.pingInterval + handshake.pingTimeout - 20, `not before its time: ${lived}`);
});

export const a_client_that_answers_late = where({ profile: "heartbeat", modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.join();
  for (let i = 0; i < 3; i++) {
    assert.equal(await wire.next(), "2");
    await new Promise((resolve) => setTimeout(resolve, TIMEOUT / 2));
    wire.send("3");
  }
  wire.send('420["ack"]');
  assert.equal(await wire.next(), "430[]");
});

export const one_message_extends_the_wait = where({ profile: "heartbeat", modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.join();
  assert.equal(await wire.next(), "2");
  const pinged = performance.now();
  // Without a pong: the first packet after a ping grants a fresh timeout, and those after it do not.
  const talking = setInterval(() => wire.ws.readyState === 1 && wire.send('42["silent"]'), TIMEOUT / 2);
  await wire.closed();
  clearInterval(talking);
  const lived = performance.now() - pinged;
  assert.ok(lived > TIMEOUT * 1.4, `extended once: ${lived}`);
  assert.ok(lived < TIMEOUT * 3, `but not again: ${lived}`);
});

export const unasked_pongs_do_no_harm = where({ modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.join();
  for (let i = 0; i < 100; i++) wire.send("3");
  wire.send('420["ack"]');
  assert.equal(await wire.next(), "430[]");
});
