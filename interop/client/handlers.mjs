// A namespace whose handlers are the methods of a class on our side: nothing of that may show.

import assert from "node:assert/strict";

export async function of_a_class(t) {
  const watch = await t.watch();
  const [one, other] = await t.connectMany(2, "/classroom");
  const room = t.room("front");
  const said = t.collect(other, "said");
  const both = (...args) => t.within(new Promise((resolve) => one.emit(...args, (...values) => resolve(values))), args[0]);
  assert.deepEqual(await both("say aloud", "hello", room), ["heard", 5]);
  assert.deepEqual(await t.ask(other, "say aloud", "me too", room), "heard");
  assert.deepEqual(said.items, [["me too"]]);
  assert.deepEqual(await t.ask(one, "later", { deep: [1] }), { deep: [1] });
  assert.deepEqual(await both("by_hand"), ["once"]);
  assert.equal(await t.ask(one, "shared"), "the class");
  assert.deepEqual(await t.ask(one, "binary", Buffer.from([1, 2, 3])), Buffer.from([1, 2, 3]));
  assert.equal((await watch.reach("enters", 2)).every(({ present }) => present), true);
}

export async function from_the_first_to_the_last(t) {
  const watch = await t.watch();
  const socket = await t.connect("/classroom");
  const { id } = socket;
  const gone = t.event(socket, "disconnect");
  socket.emit("go");
  assert.equal((await gone)[0], "io server disconnect");
  const reason = "server namespace disconnect";
  assert.deepEqual((await watch.find("leaving", { id, reason })).rooms, [id]);
  assert.deepEqual((await watch.find("left", { id, reason })).rooms, []);
}
