// Listeners to any event, in and out.

import assert from "node:assert/strict";

async function echo(t, socket, ...args) {
  const back = t.event(socket, "echo");
  socket.emit("echo", ...args);
  return back;
}

export async function hear_both_directions(t) {
  const socket = await t.connect();
  const watch = await t.watch();
  await t.ask(socket, "listen to any");
  await echo(t, socket, "both", "ways");
  await t.ask(socket, "ack", 1);
  await t.ask(socket, "stop listening");
  await echo(t, socket, "unheard");
  await t.fence(socket);
  await watch.fence();
  const incoming = watch.of("any").map(({ event, args }) => [event, ...args]);
  const outgoing = watch.of("any outgoing").map(({ event, args }) => [event, ...args]);
  assert.deepEqual(incoming, [["echo", "both", "ways"], ["ack", 1], ["stop listening"]]);
  assert.deepEqual(outgoing, [["echo", "both", "ways"]], "acknowledgements are no events");
}

export async function come_first_and_in_order(t) {
  const socket = await t.connect();
  const watch = await t.watch();
  const counts = await t.ask(socket, "listen in order");
  assert.deepEqual(counts, [3, 2, 3]);
  socket.emit("ordered");
  await t.fence(socket);
  const back = t.event(socket, "ordered");
  await t.ask(socket, "relay", { via: "io", to: [socket.id] }, "ordered");
  await back;
  await watch.fence();
  assert.deepEqual(
    watch.of("step").map(({ step }) => step),
    [
      ...["first", "second", "third", "middleware"],
      ...["once, before that", "handler in front", "handler", "out first", "out second"],
    ],
    "catch-alls, then middlewares, then listeners; what is prepended first",
  );
}

export async function hear_broadcasts(t) {
  const [listener, other] = await t.connectMany(2);
  const watch = await t.watch();
  const room = t.room("a");
  for (const socket of [listener, other]) await t.ask(socket, "join", room);
  await t.ask(listener, "listen to any");
  listener.on("question", (callback) => callback("answer"));
  const relay = (spec, ...args) => t.ask(other, "relay", spec, ...args);
  await relay({ via: "io", to: [room] }, "to the room", 1, { two: [3] });
  await relay({ via: "socket", to: [room] }, "by another");
  await relay({ via: "io", to: [room], except: [listener.id] }, "not for it");
  await relay({ via: "io", to: [room], volatile: true }, "volatile");
  const { responses } = await t.ask(other, "ask many", { to: [room], except: [other.id], timeout: 5000 }, "question", []);
  assert.deepEqual(responses, ["answer"]);
  await t.ask(listener, "relay", { via: "socket", to: [room] }, "its own, to others");
  await t.fence(listener);
  await watch.fence();
  const outgoing = watch.of("any outgoing");
  assert.deepEqual(
    outgoing.map(({ event }) => event),
    ["to the room", "by another", "volatile", "question"],
    "what is sent to it, by whomever",
  );
  assert.ok(outgoing.every(({ id }) => id === listener.id));
  assert.deepEqual(outgoing[0].args, [1, { two: [3] }]);
}

export async function may_acknowledge(t) {
  const socket = await t.connect();
  await t.ask(socket, "answer any");
  const answer = await t.within(
    new Promise((resolve) => socket.emit("answered by any", 1, (...values) => resolve(values))),
    "the catch-all's answer",
  );
  assert.deepEqual(answer, [1, "from the catch-all"]);
  assert.equal(await t.ask(socket, "ack", "as ever"), "as ever");
}
