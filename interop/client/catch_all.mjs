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
