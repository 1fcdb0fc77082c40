// From polling to WebSocket with the official client: nothing is lost, doubled or overtaken on the way.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const upgrading = (run) => where({ modes: ["upgrade"] }, run);
const numbers = (count) => Array.from({ length: count }, (_, i) => i);

export const transport_events = upgrading(async (t) => {
  const watch = await t.watch();
  const manager = t.manager();
  const socket = manager.socket("/").connect();
  const { engine } = manager;
  const seen = [];
  for (const name of ["open", "upgrading", "upgrade", "upgradeError"]) {
    engine.on(name, () => seen.push([name, engine.transport.name]));
  }
  await t.connected(socket);
  await t.settled(socket);
  assert.deepEqual(seen, [["open", "polling"], ["upgrading", "polling"], ["upgrade", "websocket"]]);
  const { to } = await watch.find("upgrade");
  assert.equal(to, "websocket", "the server tells of the upgrade too");
  assert.equal((await t.ask(socket, "describe")).transport, "websocket");
  return seen;
});

export const keeps_the_session = upgrading(async (t) => {
  const socket = await t.connect();
  const before = [socket.id, socket.io.engine.id];
  await t.settled(socket);
  const there = await t.ask(socket, "describe");
  assert.deepEqual([socket.id, socket.io.engine.id], before);
  assert.deepEqual([there.id, there.conn], before);
});

/** Follows everything that both sides send each other over one socket. */
function traffic(t, socket) {
  const [echoes, streamed] = [t.collect(socket, "echo"), t.collect(socket, "number")];
  const sent = [];
  return {
    /** The client sends one event, every third of them with an attachment. */
    send() {
      const i = sent.length;
      sent.push(i % 3 ? [i] : [i, Buffer.from([i % 256])]);
      socket.emit("echo", ...sent[i]);
    },
    get count() {
      return sent.length;
    },
    /** How many of them have not come back. */
    get behind() {
      return sent.length - echoes.length;
    },
    async complete(fromServer) {
      await Promise.all([echoes.reach(sent.length, 10_000), streamed.reach(fromServer, 10_000)]);
      await t.fence(socket);
      assert.deepEqual(echoes.items, sent, "what the client sent arrived once each, in order");
      assert.deepEqual(streamed.items.map(([i]) => i), numbers(fromServer), "and so did what the server sent");
    },
  };
}

export const sent_at_every_moment = upgrading(async (t) => {
  const manager = t.manager();
  const socket = manager.socket("/").connect();
  const { engine } = manager;
  const flow = traffic(t, socket);
  let moments = 0;
  const burst = () => {
    moments++;
    for (let i = 0; i < 40; i++) flow.send();
  };
  socket.emit("stream", "number", 400);
  burst();
  for (const name of ["open", "upgrading", "upgrade"]) engine.once(name, burst);
  socket.once("connect", burst);
  // Around the probe: when the WebSocket opens, when its pong comes, when the last poll returns.
  engine.on("packetCreate", ({ type }) => type === "upgrade" && burst());
  engine.once("upgrading", (transport) => {
    transport.once("drain", burst);
    engine.transport.once("pause", burst);
    queueMicrotask(burst);
    setImmediate(burst);
  });
  engine.once("upgrade", () => {
    queueMicrotask(burst);
    setImmediate(burst);
    setTimeout(burst, 1);
  });
  await t.connected(socket);
  await t.settled(socket);
  assert.ok(moments >= 8, `moments met: ${moments}`);
  await flow.complete(400);
  return { moments, sent: flow.count };
});

export const streams_both_ways = upgrading(async (t) => {
  const sockets = numbers(6).map(() => t.open());
  const sent = await Promise.all(sockets.map(async (socket, which) => {
    const flow = traffic(t, socket);
    socket.emit("stream", "number", 500);
    let settled = false;
    let after = 0;
    const settling = t.connected(socket).then(() => t.settled(socket)).finally(() => (settled = true));
    // From the first moment until well after the upgrade, with another rhythm for each socket; a server that has more
    // to do than this is not flooded.
    while (after < 100) {
      const sends = flow.behind < 1_000;
      if (sends) flow.send();
      if (settled) after++;
      if (!sends || flow.count % (which + 1) === 0) await new Promise(setImmediate);
    }
    await settling;
    await flow.complete(500);
    return flow.count;
  }));
  return { sent };
});

export const broadcasts_meanwhile = upgrading(async (t) => {
  const source = await t.connect("/", { transports: ["websocket"] });
  const sockets = numbers(10).map(() => t.open());
  const news = await Promise.all(sockets.map(async (socket) => {
    const tally = t.collect(socket, "news");
    await t.connected(socket);
    await t.ask(socket, "join", t.room("all"));
    return tally;
  }));
  const spec = { via: "io", to: [t.room("all")] };
  for (let i = 0; i < 200; i++) await t.ask(source, "relay", spec, "news", i);
  for (const [i, socket] of sockets.entries()) {
    await t.settled(socket);
    await news[i].reach(200);
    assert.deepEqual(news[i].items.flat(), numbers(200));
  }
});

export const acknowledgements_across_it = upgrading(async (t) => {
  const socket = t.open();
  socket.on("double", (n, callback) => callback(n * 2));
  const asked = numbers(100).map((i) => t.ask(socket, "ack", i));
  const asks = numbers(100).map((i) => t.ask(socket, "ask", "double", 3_000, [i]));
  assert.deepEqual(await Promise.all(asked), numbers(100));
  assert.deepEqual(await Promise.all(asks), numbers(100).map((i) => ({ value: i * 2 })));
  await t.settled(socket);
});

export const large_messages_meanwhile = upgrading(async (t) => {
  const socket = t.open();
  const echoes = t.collect(socket, "echo");
  const parts = numbers(12).map((i) => (i % 2 ? Buffer.alloc(150_000, i) : String(i).repeat(100_000)));
  for (const part of parts) socket.emit("echo", part);
  const items = await echoes.reach(parts.length, 10_000);
  for (const [i, [got]] of items.entries()) {
    assert.ok(typeof got === "string" ? got === parts[i] : got.equals(parts[i]), `part ${i}`);
  }
  await t.settled(socket);
});

export const client_leaves_meanwhile = upgrading(async (t) => {
  const watch = await t.watch();
  const socket = await t.connect();
  const ended = t.event(socket, "disconnect");
  const engine = socket.io.engine;
  if (engine.transport.name === "polling") await t.event(engine, "upgrading");
  socket.disconnect();
  assert.equal((await ended)[0], "io client disconnect");
  assert.equal((await watch.find("disconnect")).reason, "client namespace disconnect");
});

export const server_closes_meanwhile = upgrading(async (t) => {
  const watch = await t.watch();
  const sockets = numbers(5).map(() => t.open());
  const ended = sockets.map((socket) => t.event(socket, "disconnect"));
  for (const socket of sockets) socket.emit("close_connection");
  for (const gone of ended) assert.equal((await gone)[0], "transport close");
  const entries = await watch.reach("disconnect", 5);
  assert.deepEqual([...new Set(entries.map(({ reason }) => reason))], ["forced close"]);
});

export const not_allowed = where({ profile: "no_upgrades" }, async (t) => {
  const poller = t.poller();
  await poller.open();
  assert.deepEqual(poller.handshake.upgrades, []);
  const socket = await t.connect();
  await t.fence(socket);
  const expected = t.mode === "websocket" ? "websocket" : "polling";
  assert.equal(socket.io.engine.transport.name, expected, "a client stays with what it began with");
  assert.equal((await t.ask(socket, "describe")).transport, expected);
});

export const only_polling = where({ profile: "polling_only", modes: ["polling", "upgrade"] }, async (t) => {
  const socket = await t.connect();
  assert.equal(await t.ask(socket, "ack", "polling"), "polling");
  assert.equal((await t.ask(socket, "describe")).transport, "polling");
  const refused = await t.refusedWire("EIO=4&transport=websocket");
  assert.equal(refused.status, 400);
  assert.match(refused.body, /Transport unknown/);
});

export const only_websocket = where({ profile: "websocket_only", modes: ["websocket"] }, async (t) => {
  const socket = await t.connect();
  assert.equal(await t.ask(socket, "ack", "websocket"), "websocket");
  const refused = await t.request("/socket.io/?EIO=4&transport=polling");
  assert.equal(refused.status, 400);
  assert.deepEqual(JSON.parse(refused.body), { code: 0, message: "Transport unknown" });
});

export const tries_the_next_transport = where({ profile: "websocket_only", modes: ["upgrade"] }, async (t) => {
  const socket = await t.connect("/", { tryAllTransports: true });
  assert.equal((await t.ask(socket, "describe")).transport, "websocket");
});
