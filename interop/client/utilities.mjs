// What a server does to sockets that it describes: fetch them, make them join, leave, disconnect.

import assert from "node:assert/strict";

export async function fetch_sockets(t) {
  const sockets = await t.connectMany(3);
  const [a, b] = [t.room("a"), t.room("b")];
  await t.ask(sockets[0], "join", [a, b]);
  await t.ask(sockets[1], "join", a);
  const fetch = async (spec) => (await t.ask(sockets[0], "fetch", spec)).map(({ id }) => id).sort();
  assert.deepEqual(await fetch({ via: "io", in: [a] }), [sockets[0].id, sockets[1].id].sort());
  assert.deepEqual(await fetch({ via: "io", in: [a], except: [b] }), [sockets[1].id]);
  assert.deepEqual(await fetch({ via: "io", in: [t.room("empty")] }), []);
  const everyone = await fetch({ via: "io" });
  for (const { id } of sockets) assert.ok(everyone.includes(id), "without a room: the whole namespace");
  const [one] = await t.ask(sockets[2], "fetch", { via: "io", in: [b] });
  assert.deepEqual({ ...one, rooms: new Set(one.rooms) }, {
    id: sockets[0].id,
    rooms: new Set([sockets[0].id, a, b]),
    data: {},
  });
}

export async function make_others_join_and_leave(t) {
  const sockets = await t.connectMany(3);
  const [a, b] = [t.room("a"), t.room("b")];
  for (const i of [0, 1]) await t.ask(sockets[i], "join", a);
  const inside = async () => (await t.ask(sockets[2], "fetch", { via: "io", in: [b] })).map(({ id }) => id);
  await t.ask(sockets[2], "make join", { via: "io", in: [a] }, [b]);
  assert.deepEqual((await inside()).sort(), [sockets[0].id, sockets[1].id].sort());
  await t.ask(sockets[2], "make leave", { via: "io", in: [sockets[0].id] }, b);
  assert.deepEqual(await inside(), [sockets[1].id]);
}

export async function make_others_disconnect(t) {
  const sockets = await t.connectMany(3);
  const room = t.room("a");
  for (const i of [0, 1]) await t.ask(sockets[i], "join", room);
  const gone = [0, 1].map((i) => t.event(sockets[i], "disconnect"));
  await t.ask(sockets[2], "make disconnect", { via: "io", in: [room] }, false);
  for (const left of gone) assert.equal((await left)[0], "io server disconnect");
  assert.equal(await t.ask(sockets[2], "ack", "alive"), "alive");
}

export async function disconnect_with_the_connection(t) {
  const watch = await t.watch();
  const socket = await t.connect();
  const [ended, closed] = [t.event(socket, "disconnect"), t.event(socket.io.engine, "close")];
  socket.emit("make disconnect", { via: "io", in: [socket.id] }, true);
  assert.equal((await ended)[0], "io server disconnect");
  await closed;
  assert.equal((await watch.find("disconnect")).reason, "server namespace disconnect");
}

export async function data_of_the_fetched(t) {
  const [socket, other] = await t.connectMany(2);
  await t.ask(socket, "data", { name: "Ada", rank: 1 });
  const [fetched] = await t.ask(other, "fetch", { via: "io", in: [socket.id] });
  assert.deepEqual(fetched, { id: socket.id, rooms: [socket.id], data: { name: "Ada", rank: 1 } });
}
