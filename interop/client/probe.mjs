// The upgrade by hand, stopped and spoilt at every stage: the polling session must not suffer.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const probing = (run) => where({ profile: "limits", modes: ["upgrade"] }, run);

/** A polling session that has joined the main namespace. */
async function session(t) {
  const poller = t.poller();
  await poller.open();
  await poller.join();
  return poller;
}

/** A WebSocket that asks to take over the session; with `probe` it has been answered. */
async function candidate(t, poller, { probe = true } = {}) {
  const wire = t.wire({ query: `&sid=${poller.sid}` });
  await wire.opened;
  if (probe) {
    wire.send("2probe");
    assert.equal(await wire.next(), "3probe");
  }
  return wire;
}

/** The session answers over polling. */
async function polls(poller, mark) {
  assert.equal((await poller.post(`420["ack","${mark}"]`)).status, 200);
  const packets = await poller.pollFor((packet) => packet !== "6");
  assert.equal(packets.at(-1), `430["${mark}"]`);
}

export const completes = probing(async (t) => {
  const watch = await t.watch();
  const poller = await session(t);
  await poller.post('42["burst","before",1]');
  const wire = await candidate(t, poller);
  await poller.post('42["burst","during",1]');
  const [before, during] = await poller.poll();
  assert.deepEqual([before, during], ['42["before",0]', '42["during",0]'], "a poll still takes what waits");
  await poller.post('42["burst","late",1]');
  wire.send("5");
  assert.equal(await wire.next(), '42["late",0]', "what no poll took comes over the WebSocket");
  assert.equal((await watch.find("upgrade")).to, "websocket");
  wire.send('420["ack","over the WebSocket"]');
  assert.equal(await wire.next(), '430["over the WebSocket"]');
  for (const late of [await poller.get(), await poller.post('42["echo"]')]) {
    assert.equal(late.status, 400, "polling is over");
    assert.deepEqual(JSON.parse(late.body), { code: 3, message: "Bad request" });
  }
  wire.send('420["ack","undisturbed"]');
  assert.equal(await wire.next(), '430["undisturbed"]');
});

export const releases_a_waiting_poll = probing(async (t) => {
  const poller = await session(t);
  const pending = poller.poll();
  const wire = await candidate(t, poller);
  assert.deepEqual(await pending, ["6"], "so that the client can stop polling");
  wire.send("5");
  wire.send('420["ack",1]');
  assert.equal(await wire.next(), "430[1]");
});

export const upgrades_while_a_poll_waits = probing(async (t) => {
  const poller = await session(t);
  const wire = await candidate(t, poller);
  // Not what the official client does; the poll must be answered all the same, and nothing be lost.
  const pending = poller.get();
  wire.send("5");
  const { status } = await pending;
  assert.ok([200, 400].includes(status), `answered: ${status}`);
  wire.send('420["ack",1]');
  assert.equal(await wire.next(), "430[1]");
});

export const never_completed = probing(async (t) => {
  const poller = await session(t);
  const wire = await candidate(t, poller);
  await wire.closed();
  await polls(poller, "after upgrade_timeout");
  const second = await candidate(t, poller);
  second.send("5");
  second.send('420["ack",2]');
  assert.equal(await second.next(), "430[2]", "and the next attempt may succeed");
});

export const silent = probing(async (t) => {
  const poller = await session(t);
  const wire = await candidate(t, poller, { probe: false });
  await wire.closed();
  await polls(poller, "after silence");
});

export const given_up_by_the_client = probing(async (t) => {
  const poller = await session(t);
  for (const probe of [false, true]) {
    const wire = await candidate(t, poller, { probe });
    wire.ws.close();
    await wire.closed();
    await polls(poller, `given up ${probe}`);
  }
  const wire = await candidate(t, poller);
  wire.ws.terminate();
  await polls(poller, "cut off");
  const last = await candidate(t, poller);
  last.send("5");
  last.send('420["ack","upgraded"]');
  assert.equal(await last.next(), '430["upgraded"]');
});

export const begins_with_something_else = probing(async (t) => {
  const poller = await session(t);
  for (const first of ["2", "3probe", "40", '42["echo"]', "x", "", Buffer.from([1, 2])]) {
    const wire = await candidate(t, poller, { probe: false });
    wire.send(first);
    await wire.closed();
    assert.equal(wire.messages.length, 0, "not answered");
    await polls(poller, "healthy");
  }
});

export const a_second_one_meanwhile = probing(async (t) => {
  const poller = await session(t);
  const first = await candidate(t, poller);
  const second = await candidate(t, poller, { probe: false });
  await second.closed();
  first.send("5");
  first.send('420["ack","first"]');
  assert.equal(await first.next(), '430["first"]', "the first goes on");
  const third = await candidate(t, poller, { probe: false });
  await third.closed();
  first.send('420["ack","still"]');
  assert.equal(await first.next(), '430["still"]');
});

export const session_closed_meanwhile = probing(async (t) => {
  const watch = await t.watch();
  const poller = await session(t);
  const wire = await candidate(t, poller);
  await poller.post("1");
  await wire.closed();
  assert.equal((await watch.find("disconnect")).reason, "transport close");
});
