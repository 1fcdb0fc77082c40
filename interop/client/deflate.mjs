// permessage-deflate, for servers that offer it.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const MODES = ["websocket", "upgrade"];

/** Texts and buffers of all sizes: with something to compress, and with nothing. */
function* payloads() {
  for (const size of [1, 900, 1_100, 40_000, 400_000]) {
    const text = "some text, again and again; ".repeat(Math.ceil(size / 28)).slice(0, size);
    yield text;
    yield Buffer.from(text);
    // Nothing that a window of any size could find again.
    yield Buffer.from(Uint32Array.from({ length: size / 4 + 1 }, (_, i) => Math.imul(i + 1, 2654435761) ^ (i << 7)).buffer);
  }
  yield "é€😀 ".repeat(5_000);
}

async function both_ways(t) {
  const socket = await t.connect();
  await t.settled(socket);
  // Twice, so that a context has what it may refer to.
  for (const value of [...payloads(), ...payloads()]) {
    const back = t.event(socket, "echo");
    socket.emit("echo", value, "beside");
    const [got] = await back;
    assert.ok(Buffer.isBuffer(value) ? value.equals(got) : value === got, `${value.length} there and back unchanged`);
  }
  const echoes = t.collect(socket, "echo");
  const sent = [...payloads()];
  for (const value of sent) socket.emit("echo", value);
  const got = await echoes.reach(sent.length);
  assert.ok(sent.every((value, i) => Buffer.from(value).equals(Buffer.from(got[i][0]))), "in their order");
}

export const negotiated_and_used = where({ profile: "deflate", modes: MODES }, async (t) => {
  const wire = t.wire();
  await wire.opened;
  assert.match(wire.headers["sec-websocket-extensions"] ?? "", /permessage-deflate/);
  const socket = await t.connect();
  await t.settled(socket);
  for (const text of ["short", "long ".repeat(20_000)]) {
    const back = t.event(socket, "echo");
    socket.emit("echo", text, Buffer.from(text));
    const [string, buffer] = await back;
    assert.ok(string === text && buffer.equals(Buffer.from(text)));
  }
});

export const by_default = where({ profile: "deflate", modes: MODES }, (t) => both_ways(t));
export const each_message_alone = where({ profile: "deflate_alone", modes: MODES }, (t) => both_ways(t));
export const in_a_context = where({ profile: "deflate_context", modes: MODES }, (t) => both_ways(t));
export const in_a_small_window = where({ profile: "deflate_small", modes: MODES }, (t) => both_ways(t));

export const broadcast = where({ profile: "deflate_alone", modes: MODES }, async (t) => {
  // Compressed once for those that agreed on it, plain for those that did not.
  const sockets = [
    ...(await t.connectMany(3)),
    ...(await t.connectMany(2, "/", { perMessageDeflate: false })),
    await t.connect("/", { transports: ["polling"] }),
  ];
  const room = t.room("deflate");
  for (const socket of sockets) await t.ask(socket, "join", room);
  const text = "news of the day; ".repeat(1_000);
  const received = sockets.map((socket) => t.event(socket, "news"));
  await t.ask(sockets[0], "relay", { via: "io", to: [room] }, "news", text, Buffer.from(text));
  for (const arrived of received) {
    const [string, buffer] = await arrived;
    assert.ok(string === text && buffer.equals(Buffer.from(text)));
  }
});

/** Whether each message that comes is compressed: the reserved bit of its first frame, as ws has read it. */
function watch(wire) {
  const seen = [];
  wire.ws.on("message", (data) => seen.push([data.toString().slice(0, 12), wire.ws._receiver._compressed]));
  return seen;
}

export const the_threshold = where({ profile: "deflate_alone", modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  const seen = watch(wire);
  await wire.join();
  for (const size of [1_000, 1_024 - 14, 1_024 - 13, 5_000]) {
    wire.send(`42["echo","${"x".repeat(size)}"]`);
    assert.equal((await wire.next()).length, size + 13);
    assert.equal(seen.at(-1)[1], size + 13 >= 1_024, `a message of ${size + 13} bytes`);
  }
  wire.send(`451-["echo",{"_placeholder":true,"num":0}]`);
  wire.send(Buffer.alloc(5_000));
  await wire.next();
  assert.equal((await wire.next()).length, 5_000);
  assert.deepEqual(seen.slice(-2).map(([, compressed]) => compressed), [false, true], "each part for itself");
});

/** What ws may offer, and what the answer must hold. */
const OFFERS = [
  [{}, "deflate_context", []],
  [{ clientMaxWindowBits: 10 }, "deflate_context", ["client_max_window_bits=10"]],
  [{ serverMaxWindowBits: 9 }, "deflate_context", ["server_max_window_bits=9"]],
  [{ serverNoContextTakeover: true }, "deflate_context", ["server_no_context_takeover"]],
  [{ clientNoContextTakeover: true }, "deflate_context", ["client_no_context_takeover"]],
  [{}, "deflate_alone", ["client_no_context_takeover", "server_no_context_takeover"]],
  [{ clientMaxWindowBits: 12 }, "deflate_small", ["client_max_window_bits=8", "server_max_window_bits=8"]],
];

function offered(profile) {
  return where({ profile, modes: ["websocket"] }, async (t) => {
    for (const [perMessageDeflate, where, expected] of OFFERS) {
      if (where !== profile) continue;
      const wire = t.wire({ options: { perMessageDeflate: { ...perMessageDeflate, threshold: 0 } } });
      const seen = watch(wire);
      await wire.join();
      const [name, ...answer] = wire.headers["sec-websocket-extensions"].split("; ");
      assert.deepEqual([name, ...answer.sort()], ["permessage-deflate", ...expected]);
      for (let i = 0; i < 5; i++) {
        const text = `["echo","${"again and again ".repeat(200)}"]`;
        wire.send(`42${text}`);
        assert.ok((await wire.next()) === `42${text}`);
        assert.ok(seen.at(-1)[1], "compressed");
      }
    }
  });
}

export const offers_for_a_context = offered("deflate_context");
export const offers_for_none = offered("deflate_alone");
export const offers_for_a_small_window = offered("deflate_small");

export const malformed_offers = where({ profile: "deflate", modes: ["websocket"] }, async (t) => {
  for (const offer of [
    "permessage-deflate; unknown",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; client_no_context_takeover=1",
    "permessage-deflate; client_max_window_bits; client_max_window_bits",
    "permessage-deflate, permessage-deflate; unknown",
    'other; x="y',
    "a,,b",
  ]) {
    // ws's own client could not send this: without the extension, the header is ours.
    const { status, body } = await t.refusedWire("EIO=4&transport=websocket", {
      headers: { "sec-websocket-extensions": offer },
      perMessageDeflate: false,
    });
    assert.deepEqual([status, body], [400, "Invalid or unacceptable Sec-WebSocket-Extensions header"], offer);
  }
});

export const not_offered_not_used = where({ profile: "deflate", modes: ["websocket"] }, async (t) => {
  const wire = t.wire({ options: { perMessageDeflate: false } });
  await wire.join();
  assert.equal(wire.headers["sec-websocket-extensions"], undefined);
  const text = `42["echo","${"x".repeat(5_000)}"]`;
  wire.send(text);
  assert.ok((await wire.next()) === text, "ws would have refused a reserved bit");
});

export const off_by_default = where({ profile: "default", modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.join();
  assert.equal(wire.headers["sec-websocket-extensions"], undefined);
});

export const a_bomb = where({ profile: "deflate", modes: ["websocket"] }, async (t) => {
  const log = await t.watch();
  const wire = t.wire();
  await wire.join();
  wire.send(`42["echo","${"x".repeat(2_000_000)}"]`);
  assert.equal(await wire.closed(), 1009);
  await log.find("disconnect", { reason: "transport error" });
});
