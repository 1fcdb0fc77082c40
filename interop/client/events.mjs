// Events in both directions: their values, their order, who listens.

import assert from "node:assert/strict";

const VALUES = {
  null: null,
  true: true,
  false: false,
  zero: 0,
  negative: -1,
  fraction: 0.1,
  tiny: 5e-324,
  huge: 1.7976931348623157e308,
  "largest safe integer": Number.MAX_SAFE_INTEGER,
  "beyond 64 bits": 2 ** 70,
  "empty string": "",
  ascii: "plain",
  "escapes": "\" \\ / \b \f \n \r \t \u0000 \u001e \u2028 \u2029 \u007f",
  accents: "čeština, Ελληνικά, 日本語",
  "outside the basic plane": "😀👩‍👩‍👧‍👦𝄞",
  "empty array": [],
  "empty object": {},
  nested: { a: [{ b: [[{ c: null }]] }], "": "empty key", "ключ": [1, [2, [3, [4]]]] },
  "keys of JavaScript": { constructor: 1, toString: "x", length: 2 },
  "looks like a packet": ['42["x"]', "b64", "451-[]", { _placeholder: false }],
  "looks like an attachment": { _placeholder: true, num: 0 },
};

/** Emits and waits for the echo of these arguments. */
async function echo(t, socket, ...args) {
  const back = t.event(socket, "echo");
  socket.emit("echo", ...args);
  return back;
}

export async function every_kind_of_value(t) {
  const socket = await t.connect();
  for (const [name, value] of Object.entries(VALUES)) {
    assert.deepEqual(await echo(t, socket, value), [value], name);
  }
  assert.deepEqual(await echo(t, socket, ...Object.values(VALUES)), Object.values(VALUES), "all at once");
}

export async function what_json_makes_of_it(t) {
  const socket = await t.connect();
  const date = new Date(0);
  const [got] = await echo(t, socket, { undefined: undefined, list: [undefined, () => 1, NaN, -Infinity], date });
  assert.deepEqual(got, { list: [null, null, null, null], date: date.toISOString() });
}

export async function lone_surrogate(t) {
  const socket = await t.connect();
  const [got] = await echo(t, socket, "half a pair: \ud83d.");
  assert.equal(got, "half a pair: \ud83d.", "JSON allows it as an escape, and browsers produce it");
}

export async function number_of_arguments(t) {
  const socket = await t.connect();
  assert.deepEqual(await echo(t, socket), []);
  const twenty = Array.from({ length: 20 }, (_, i) => i);
  assert.deepEqual(await echo(t, socket, ...twenty), twenty);
}

export async function a_handler_takes_fewer_than_are_sent(t) {
  const socket = await t.connect();
  const back = t.event(socket, "first only");
  socket.emit("first only", 1, 2, 3);
  assert.deepEqual(await back, [1]);
}

export async function unusual_event_names(t) {
  const socket = await t.connect();
  const names = [
    "", " ", "with, comma", "b", "2", "[", "é😀", "__proto__", "constructor", "toString", "a".repeat(1_000),
    "connection", "new_namespace", "close", "packet", "ping",
  ];
  const watch = await t.watch();
  await t.ask(socket, "listen to", names);
  for (const name of names) {
    socket.emit(name, "value");
    const seen = await watch.find("heard", { event: name });
    assert.deepEqual(seen.args, ["value"], `event ${JSON.stringify(name)}`);
  }
}

export async function the_name_of_a_local_event(t) {
  const socket = await t.connect();
  socket.emit("error", { message: "made up by the client" });
  assert.deepEqual(await echo(t, socket, "alive"), ["alive"], "a client cannot hurt the server by an event's name");
}

export async function order_of_many(t) {
  const socket = await t.connect();
  const count = 500;
  const echoes = t.collect(socket, "echo");
  for (let i = 0; i < count; i++) socket.emit("echo", i);
  const items = await echoes.reach(count);
  await t.fence(socket);
  assert.deepEqual(items.map(([i]) => i), Array.from({ length: count }, (_, i) => i), "once each, in order");
}

export async function burst_from_the_server(t) {
  const socket = await t.connect();
  const count = 1_000;
  const numbers = t.collect(socket, "number");
  socket.emit("burst", "number", count);
  const items = await numbers.reach(count);
  await t.fence(socket);
  assert.deepEqual(items.map(([i]) => i), Array.from({ length: count }, (_, i) => i), "once each, in order");
}

export async function large_message(t) {
  const socket = await t.connect();
  const text = "large ✓ ".repeat(60_000);
  const [got] = await echo(t, socket, text);
  assert.equal(got.length, text.length);
  assert.ok(got === text, "600 kB there and back unchanged");
}

export async function emitted_before_connected(t) {
  const socket = t.open();
  const echoes = t.collect(socket, "echo");
  for (let i = 0; i < 20; i++) socket.emit("echo", i);
  assert.equal(socket.connected, false);
  await echoes.reach(20);
  assert.deepEqual(echoes.items.map(([i]) => i), Array.from({ length: 20 }, (_, i) => i));
}

export async function send_is_an_event_named_message(t) {
  const socket = await t.connect();
  const back = t.event(socket, "message");
  socket.send("one", { two: 2 });
  assert.deepEqual(await back, ["one", { two: 2 }]);
}

export async function once_and_off(t) {
  const socket = await t.connect();
  const once = t.collect(socket, "once");
  const removable = t.collect(socket, "removable");
  for (let i = 0; i < 3; i++) {
    socket.emit("once", i);
    socket.emit("removable");
  }
  await t.ask(socket, "remove");
  socket.emit("removable");
  await t.fence(socket);
  assert.deepEqual(once.items, [[0]], "a listener by once() hears the first event only");
  assert.equal(removable.length, 3, "a listener taken off hears no more");
}

export async function reserved_names_cannot_be_emitted(t) {
  const socket = await t.connect();
  const reserved = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
  for (const name of reserved) {
    assert.equal(await t.ask(socket, "emit reserved", name), true, `"${name}" is refused at once`);
  }
}

export async function waiting_handlers_overlap(t) {
  const socket = await t.connect();
  const watch = await t.watch();
  const done = t.collect(socket, "slow done");
  // Long enough for all three to be there before the second one ends, on whatever way.
  socket.emit("slow", "first", 600);
  socket.emit("slow", "second", 300);
  socket.emit("slow", "third", 1);
  await done.reach(3);
  const started = (await watch.reach("started", 3)).map(({ name }) => name);
  assert.deepEqual(started, ["first", "second", "third"], "started in order of arrival");
  assert.deepEqual(done.items.flat(), ["third", "second", "first"], "none waits for another's pause");
}

export async function a_handler_that_raises(t) {
  const socket = await t.connect();
  const watch = await t.watch();
  socket.emit("raise", "out of cheese");
  const { message } = await watch.find("error");
  assert.match(message, /out of cheese/, "it reaches the error hook");
  assert.deepEqual(await echo(t, socket, "alive"), ["alive"], "the connection lives on");
}
