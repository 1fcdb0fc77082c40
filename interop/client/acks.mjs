// Acknowledgements: asked by either side, by hand, late, never, and of many at once.

import assert from "node:assert/strict";

export async function client_asks_server(t) {
  const socket = await t.connect();
  assert.equal(await t.ask(socket, "ack", "value"), "value");
  assert.equal(await t.ask(socket, "ack", null), null);
  assert.deepEqual(await t.ask(socket, "ack", { deep: [1, { two: "✓" }] }), { deep: [1, { two: "✓" }] });
}

export async function number_of_values(t) {
  const socket = await t.connect();
  for (const values of [["one"], ["one", 2, { three: 3 }]]) {
    const args = await t.within(new Promise((resolve) => {
      socket.emit("ack", ...values, (...got) => resolve(got));
    }), "acknowledgement");
    assert.deepEqual(args, values, "each value is an argument of the callback");
  }
}

export async function a_list_is_one_value(t) {
  const socket = await t.connect();
  assert.deepEqual(await t.ask(socket, "ack", [1, 2, 3]), [1, 2, 3]);
}

export async function many_at_once(t) {
  const socket = await t.connect();
  const questions = Array.from({ length: 200 }, (_, i) => i);
  const answers = await Promise.all(questions.map((i) => t.ask(socket, "ack", i)));
  assert.deepEqual(answers, questions, "each question gets its own answer");
}

export async function answered_out_of_order(t) {
  const socket = await t.connect();
  const order = [];
  await Promise.all([800, 400, 1].map(async (ms) => {
    assert.equal(await t.ask(socket, "ack later", ms, `after ${ms}`), `after ${ms}`);
    order.push(ms);
  }));
  assert.deepEqual(order, [1, 400, 800], "answers need not come in the order of the questions");
}

export async function only_the_first_answer_counts(t) {
  const socket = await t.connect();
  const answers = [];
  socket.emit("ack twice", (value) => answers.push(value));
  await t.fence(socket);
  assert.deepEqual(answers, ["first"]);
}

export async function client_runs_out_of_time(t) {
  const socket = await t.connect();
  await assert.rejects(socket.timeout(50).emitWithAck("silent"), /operation has timed out/);
  assert.equal(await socket.timeout(2_000).emitWithAck("ack", "in time"), "in time");
}

export async function server_asks_client(t) {
  const socket = await t.connect();
  socket.on("question", (a, b, callback) => callback(a + b));
  socket.on("pair", (callback) => callback("one", { two: 2 }));
  socket.on("nothing", (callback) => callback());
  assert.deepEqual(await t.ask(socket, "ask", "question", 2_000, [2, 3]), { value: 5 });
  assert.deepEqual(await t.ask(socket, "ask", "pair", 2_000, []), { value: ["one", { two: 2 }] });
  assert.deepEqual(await t.ask(socket, "ask", "nothing", 2_000, []), { value: null });
}

export async function server_asks_many_times_at_once(t) {
  const socket = await t.connect();
  socket.on("double", (n, callback) => callback(n * 2));
  const asked = Array.from({ length: 50 }, (_, i) => t.ask(socket, "ask", "double", 2_000, [i]));
  assert.deepEqual(await Promise.all(asked), Array.from({ length: 50 }, (_, i) => ({ value: i * 2 })));
}

export async function server_runs_out_of_time(t) {
  const socket = await t.connect();
  let late;
  socket.on("question", (callback) => (late = callback));
  const { error } = await t.ask(socket, "ask", "question", 60, []);
  assert.equal(error, "operation has timed out");
  late("too late");
  assert.equal(await t.ask(socket, "ack", "alive"), "alive", "a late answer harms nothing");
}

export async function an_unknown_answer_is_ignored(t) {
  const socket = await t.connect();
  socket.io._packet({ type: 3, nsp: "/", id: 987_654, data: ["nobody asked"] });
  assert.equal(await t.ask(socket, "ack", "alive"), "alive");
}

export async function asked_and_gone(t) {
  const socket = await t.connect();
  const watch = await t.watch();
  const asked = t.event(socket, "question");
  socket.emit("ask and log", "question", 150);
  await asked;
  socket.disconnect();
  const { failed } = await watch.find("asked");
  assert.equal(failed, true, "the question to someone who left runs out of time");
}

export async function a_pending_question_fails_on_disconnect(t) {
  const socket = await t.connect();
  const pending = assert.rejects(socket.emitWithAck("silent"), /socket has been disconnected/);
  await t.fence(socket);
  socket.disconnect();
  await t.within(pending, "the rejection");
}

export async function retries_until_acknowledged(t) {
  const socket = await t.connect("/", { retries: 3, ackTimeout: 100 });
  const attempts = await t.within(new Promise((resolve, reject) => {
    socket.emit("unreliable", "key", (error, count) => (error ? reject(error) : resolve(count)));
  }), "the acknowledgement of a retry");
  assert.equal(attempts, 2, "the first was not answered, the second was");
}

export async function broadcast_with_answers(t) {
  const sockets = await t.connectMany(3);
  const [asker] = sockets;
  const room = t.room("asked");
  for (const [i, socket] of sockets.entries()) {
    socket.on("vote", (question, callback) => callback(`${question} ${i}`));
    await t.ask(socket, "join", room);
  }
  const all = await t.ask(asker, "ask many", { via: "io", to: [room], timeout: 2_000 }, "vote", ["yes"]);
  assert.deepEqual(all.responses.sort(), ["yes 0", "yes 1", "yes 2"]);
  const others = await t.ask(asker, "ask many", { via: "socket", to: [room], timeout: 2_000 }, "vote", ["no"]);
  assert.deepEqual(others.responses.sort(), ["no 1", "no 2"], "without the sender");
}

export async function broadcast_that_runs_out_of_time(t) {
  const sockets = await t.connectMany(3);
  const room = t.room("asked");
  for (const [i, socket] of sockets.entries()) {
    socket.on("vote", (callback) => i && callback(i));
    await t.ask(socket, "join", room);
  }
  const timeout = t.several ? 1_500 : 150; // enough for those that answer
  const result = await t.ask(sockets[0], "ask many", { via: "io", to: [room], timeout }, "vote", []);
  assert.equal(result.error, "operation has timed out");
  assert.deepEqual(result.responses.sort(), [1, 2], "with the answers that came");
}

export async function broadcast_to_nobody(t) {
  const socket = await t.connect();
  const spec = { via: "io", to: [t.room("empty")], timeout: 2_000 };
  assert.deepEqual(await t.ask(socket, "ask many", spec, "vote", []), { responses: [] }, "answered at once");
}

export async function per_namespace(t) {
  const manager = t.manager();
  const [main, chat] = ["/", "/chat"].map((nsp) => manager.socket(nsp).connect());
  await Promise.all([t.connected(main), t.connected(chat)]);
  const answers = await Promise.all([main, chat, main, chat].map((socket, i) => t.ask(socket, "ack", i)));
  assert.deepEqual(answers, [0, 1, 2, 3]);
  main.on("where", (callback) => callback("main"));
  chat.on("where", (callback) => callback("chat"));
  const asked = await Promise.all([main, chat].map((socket) => t.ask(socket, "ask", "where", 2_000, [])));
  assert.deepEqual(asked, [{ value: "main" }, { value: "chat" }], "the same numbers do not mix");
}
