// Rooms and broadcasts: who gets what, and exactly once.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

/** `count` sockets that count the event "news", and a way to see who got it. */
async function audience(t, count, nsp) {
  const sockets = await t.connectMany(count, nsp);
  const news = sockets.map((socket) => t.collect(socket, "news"));
  const receivers = async () => {
    await t.fence(...sockets);
    const counts = news.map((tally) => tally.length);
    for (const tally of news) tally.items = [];
    return counts;
  };
  const relay = (from, spec, ...args) => t.ask(sockets[from], "relay", spec, "news", ...args);
  return { sockets, receivers, relay };
}

export async function to_one_room(t) {
  const { sockets, receivers, relay } = await audience(t, 4);
  const room = t.room("a");
  for (const i of [0, 1, 2]) await t.ask(sockets[i], "join", room);
  await relay(0, { via: "io", to: [room] }, "x");
  assert.deepEqual(await receivers(), [1, 1, 1, 0], "io.to(): the room");
  await relay(0, { via: "socket", to: [room] }, "x");
  assert.deepEqual(await receivers(), [0, 1, 1, 0], "socket.to(): the room without the sender");
  await relay(3, { via: "socket", to: [room] }, "x");
  assert.deepEqual(await receivers(), [1, 1, 1, 0], "the sender need not be in the room");
  await relay(0, { via: "io", in: [room] }, "x");
  assert.deepEqual(await receivers(), [1, 1, 1, 0], "in() is to()");
}

export async function to_several_rooms(t) {
  const { sockets, receivers, relay } = await audience(t, 4);
  const [a, b] = [t.room("a"), t.room("b")];
  await t.ask(sockets[0], "join", [a, b]);
  await t.ask(sockets[1], "join", a);
  await t.ask(sockets[2], "join", b);
  await relay(3, { via: "io", to: [a, b] }, "x");
  assert.deepEqual(await receivers(), [1, 1, 1, 0], "the union, each once");
  await relay(0, { via: "socket", to: [a, b] }, "x");
  assert.deepEqual(await receivers(), [0, 1, 1, 0]);
}

export async function except_rooms(t) {
  const { sockets, receivers, relay } = await audience(t, 4);
  const [a, b] = [t.room("a"), t.room("b")];
  for (const socket of sockets) await t.ask(socket, "join", a);
  await t.ask(sockets[1], "join", b);
  await relay(0, { via: "io", to: [a], except: [b] }, "x");
  assert.deepEqual(await receivers(), [1, 0, 1, 1]);
  await relay(0, { via: "io", to: [a], except: [b, sockets[3].id] }, "x");
  assert.deepEqual(await receivers(), [1, 0, 1, 0], "a socket's own id is a room to leave out too");
  await relay(0, { via: "socket", to: [a], except: [b] }, "x");
  assert.deepEqual(await receivers(), [0, 0, 1, 1]);
  await relay(0, { via: "io", except: [b] }, "x");
  assert.deepEqual(await receivers(), [1, 0, 1, 1], "everyone except a room");
}

export async function to_everyone(t) {
  const { receivers, relay } = await audience(t, 3);
  await relay(0, { via: "io" }, "x");
  assert.deepEqual(await receivers(), [1, 1, 1], "io.emit()");
  await relay(0, { via: "socket", broadcast: true }, "x");
  assert.deepEqual(await receivers(), [0, 1, 1], "socket.broadcast");
}

export async function to_everyone_of_this_server(t) {
  const { receivers, relay } = await audience(t, 3);
  await relay(0, { via: "io", local: true }, "x");
  assert.deepEqual(await receivers(), [1, 1, 1], "io.local");
}

export async function to_one_socket_by_its_id(t) {
  const { sockets, receivers, relay } = await audience(t, 3);
  await relay(0, { via: "io", to: [sockets[1].id] }, "x");
  assert.deepEqual(await receivers(), [0, 1, 0]);
  await relay(0, { via: "socket", to: [sockets[0].id] }, "x");
  assert.deepEqual(await receivers(), [0, 0, 0], "socket.to() never reaches the sender");
  await relay(0, { via: "io", to: [t.room("nobody is here")] }, "x");
  assert.deepEqual(await receivers(), [0, 0, 0]);
}

export async function join_and_leave(t) {
  const { sockets, receivers, relay } = await audience(t, 2);
  const [socket] = sockets;
  const [a, b] = [t.room("a"), t.room("b")];
  const after = async (verb, room) => new Set(await t.ask(socket, verb, room));
  assert.deepEqual(await after("join", [a, b]), new Set([socket.id, a, b]));
  assert.deepEqual(await after("join", a), new Set([socket.id, a, b]), "joining twice is joining once");
  assert.deepEqual(await after("leave", b), new Set([socket.id, a]));
  assert.deepEqual(await after("leave", t.room("never joined")), new Set([socket.id, a]));
  await relay(1, { via: "io", to: [b] }, "x");
  assert.deepEqual(await receivers(), [0, 0]);
  assert.deepEqual(await t.ask(socket, "leave", socket.id), [a], "even its own room can be left");
}

export async function rooms_are_per_namespace(t) {
  const main = await audience(t, 1);
  const chat = await audience(t, 1, "/chat");
  const room = t.room("same name");
  await t.ask(main.sockets[0], "join", room);
  await t.ask(chat.sockets[0], "join", room);
  await main.relay(0, { via: "io", to: [room] }, "x");
  assert.deepEqual([await main.receivers(), await chat.receivers()], [[1], [0]]);
  await chat.relay(0, { via: "io" }, "x");
  assert.deepEqual([await main.receivers(), await chat.receivers()], [[0], [1]]);
}

export async function several_arguments(t) {
  const { sockets, relay } = await audience(t, 2);
  const arrived = t.event(sockets[1], "news");
  await relay(0, { via: "socket", broadcast: true }, 1, { two: [null] }, "three");
  assert.deepEqual(await arrived, [1, { two: [null] }, "three"]);
}

export async function many_broadcasts_in_order(t) {
  const sockets = await t.connectMany(3);
  const room = t.room("a");
  for (const socket of sockets) await t.ask(socket, "join", room);
  const news = sockets.map((socket) => t.collect(socket, "news"));
  const asked = Array.from({ length: 100 }, (_, i) => t.ask(sockets[0], "relay", { via: "io", to: [room] }, "news", i));
  await Promise.all(asked);
  await t.fence(...sockets);
  const expected = Array.from({ length: 100 }, (_, i) => i);
  for (const tally of news) assert.deepEqual(tally.items.flat(), expected, "each once, in order");
}

export async function broadcast_keeps_its_place(t) {
  const socket = await t.connect();
  const heard = [];
  socket.on("news", (value) => heard.push(value));
  socket.on("echo", (value) => heard.push(value));
  for (let i = 0; i < 60; i += 2) {
    socket.emit("echo", i);
    t.ask(socket, "relay", { via: "io", to: [socket.id] }, "news", i + 1);
  }
  await t.fence(socket);
  assert.deepEqual(heard, Array.from({ length: 60 }, (_, i) => i), "between what is sent to the socket alone");
}

export async function a_room_forgets_who_left(t) {
  const [socket, other] = await t.connectMany(2);
  const watch = await t.watch();
  const room = t.room("a");
  await t.ask(socket, "join", room);
  const { id } = socket;
  socket.disconnect();
  await watch.find("disconnect", { id });
  for (const left of [room, id]) {
    const spec = { via: "io", to: [left], timeout: 2_000 };
    assert.deepEqual(await t.ask(other, "ask many", spec, "who", []), { responses: [] }, "nobody is asked");
  }
}

export async function what_the_adapter_tells(t) {
  const watcher = await t.connect();
  const watch = await t.watch();
  await t.ask(watcher, "follow rooms");
  const [a, b] = [t.room("a"), t.room("b")];
  const one = await t.connect();
  const two = await t.connect();
  const [first, second] = [one.id, two.id];
  await t.ask(one, "join", [a, b]);
  await t.ask(two, "join", b);
  await t.ask(two, "join", [b, a]);
  await t.ask(one, "leave", a);
  await t.ask(one, "leave", a);
  await t.ask(one, "leave", t.room("never joined"));
  one.disconnect();
  await watch.find("disconnect", { id: first });
  await t.ask(two, "leave", b);
  two.disconnect();
  await watch.find("disconnect", { id: second });
  const told = await t.ask(watcher, "what of rooms");
  const ours = told.filter(([, room]) => [a, b, first, second].includes(room));
  assert.deepEqual(ours, [
    ["create-room", first],
    ["join-room", first, first],
    ["create-room", second],
    ["join-room", second, second],
    ["create-room", a],
    ["join-room", a, first],
    ["create-room", b],
    ["join-room", b, first],
    ["join-room", b, second],
    ["join-room", a, second],
    ["leave-room", a, first],
    ["leave-room", first, first],
    ["delete-room", first],
    ["leave-room", b, first],
    ["leave-room", b, second],
    ["delete-room", b],
    ["leave-room", second, second],
    ["delete-room", second],
    ["leave-room", a, second],
    ["delete-room", a],
  ]);
}

export const mixed_transports = where({ modes: ["upgrade"] }, async (t) => {
  const sockets = await Promise.all(
    [["polling"], ["websocket"], ["polling", "websocket"]].map((transports) => t.connect("/", { transports })),
  );
  const room = t.room("mixed");
  for (const socket of sockets) await t.ask(socket, "join", room);
  const news = sockets.map((socket) => t.collect(socket, "news"));
  const content = { text: "é😀", file: Buffer.from([0, 1, 2]) };
  for (let i = 0; i < 50; i++) t.ask(sockets[0], "relay", { via: "io", to: [room] }, "news", i, i % 2 ? content : "text");
  for (const tally of news) {
    const items = await tally.reach(50);
    assert.deepEqual(items.map(([i]) => i), Array.from({ length: 50 }, (_, i) => i));
    assert.deepEqual(items[49][1], content, "one broadcast, framed for each transport");
  }
});
