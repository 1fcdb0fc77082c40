// Binary in any nesting, both ways, in events and in acknowledgements.

import assert from "node:assert/strict";

const bytes = (...values) => Buffer.from(values);

const SHAPES = {
  alone: [bytes(1, 2, 3)],
  empty: [Buffer.alloc(0)],
  "every byte": [Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
  "in an object": [{ file: bytes(0), name: "zero" }],
  "in a list": [[bytes(1), "between", bytes(2)]],
  "deep down": [{ a: [{ b: { c: [[bytes(9)]] } }] }],
  "among arguments": ["text", bytes(1), 7, { x: bytes(2) }, null, [bytes(3)]],
  "as many as are allowed": Array.from({ length: 10 }, (_, i) => bytes(i)),
  "beside what looks like one": [{ _placeholder: "no" }, bytes(5)],
};

async function echo(t, socket, ...args) {
  const back = t.event(socket, "echo");
  socket.emit("echo", ...args);
  return back;
}

export async function every_nesting(t) {
  const socket = await t.connect();
  for (const [name, args] of Object.entries(SHAPES)) {
    assert.deepEqual(await echo(t, socket, ...args), args, name);
  }
}

export async function every_kind_of_buffer(t) {
  const socket = await t.connect();
  const content = bytes(0, 127, 128, 255);
  const arrayBuffer = new Uint8Array(content).buffer;
  const part = new Uint8Array(new Uint8Array([9, 0, 127, 128, 255, 9]).buffer, 1, 4);
  for (const value of [content, new Uint8Array(content), arrayBuffer, part]) {
    assert.deepEqual(await echo(t, socket, value), [content], `${value.constructor.name} comes back as a Buffer`);
  }
}

export async function same_buffer_twice(t) {
  const socket = await t.connect();
  const shared = bytes(4, 2);
  assert.deepEqual(await echo(t, socket, shared, { again: shared }), [shared, { again: shared }]);
}

export async function acknowledgements(t) {
  const socket = await t.connect();
  for (const [name, args] of Object.entries(SHAPES)) {
    const got = await t.within(new Promise((resolve) => {
      socket.emit("ack", ...args, (...values) => resolve(values));
    }), "acknowledgement");
    assert.deepEqual(got, args, name);
  }
}

export async function server_asks_with_binary(t) {
  const socket = await t.connect();
  socket.on("reverse", ({ content }, callback) => callback({ content: Buffer.from(content).reverse() }));
  const { value } = await t.ask(socket, "ask", "reverse", 2_000, [{ content: bytes(1, 2, 3) }]);
  assert.deepEqual(value, { content: bytes(3, 2, 1) });
}

export async function answers_of_many_with_binary(t) {
  const sockets = await t.connectMany(3);
  const room = t.room("binary");
  for (const [i, socket] of sockets.entries()) {
    socket.on("part", (content, callback) => callback(Buffer.concat([content, bytes(i)])));
    await t.ask(socket, "join", room);
  }
  const spec = { via: "io", to: [room], timeout: 2_000 };
  const { responses } = await t.ask(sockets[0], "ask many", spec, "part", [bytes(7)]);
  assert.deepEqual(responses.sort(Buffer.compare), [bytes(7, 0), bytes(7, 1), bytes(7, 2)]);
}

export async function broadcast(t) {
  const sockets = await t.connectMany(3);
  const room = t.room("binary");
  for (const socket of sockets) await t.ask(socket, "join", room);
  const received = sockets.map((socket) => t.event(socket, "file"));
  const file = { name: "x", parts: [bytes(1), bytes(2, 3)] };
  await t.ask(sockets[0], "relay", { via: "io", to: [room] }, "file", file);
  for (const arrived of received) assert.deepEqual(await arrived, [file]);
}

export async function large(t) {
  const socket = await t.connect();
  const content = Buffer.alloc(400_000, "0123456789abcdef");
  const [got] = await echo(t, socket, content);
  assert.ok(content.equals(got), "400 kB there and back unchanged");
}

export async function mixed_with_text_in_order(t) {
  const socket = await t.connect();
  const echoes = t.collect(socket, "echo");
  const sent = Array.from({ length: 300 }, (_, i) => (i % 3 ? [i] : [i, bytes(i % 256), { more: bytes(1) }]));
  for (const args of sent) socket.emit("echo", ...args);
  assert.deepEqual(await echoes.reach(sent.length), sent);
}

export async function burst_from_the_server(t) {
  const socket = await t.connect();
  const numbers = t.collect(socket, "number");
  socket.emit("burst", "number", 300, true);
  const expected = Array.from({ length: 300 }, (_, i) => [i, bytes(i % 256)]);
  assert.deepEqual(await numbers.reach(300), expected);
}

export async function in_a_namespace(t) {
  const socket = await t.connect("/chat");
  assert.deepEqual(await echo(t, socket, { x: bytes(1) }), [{ x: bytes(1) }]);
  assert.deepEqual(await t.ask(socket, "ack", bytes(2)), bytes(2));
}

export async function forced_to_base64(t) {
  const socket = await t.connect("/", { forceBase64: true });
  await t.settled(socket);
  assert.deepEqual(await echo(t, socket, bytes(251, 255), [bytes()]), [bytes(251, 255), [bytes()]]);
}
