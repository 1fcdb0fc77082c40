// Middlewares: of a namespace, which refuse a connection; of a socket, which refuse an event.

import assert from "node:assert/strict";

const refused = async (t, socket) => (await t.event(socket, "connect_error"))[0];

export async function refuses_with_a_message(t) {
  const watch = await t.watch();
  const socket = t.open("/secret");
  const error = await refused(t, socket);
  assert.ok(error instanceof Error);
  assert.equal(error.message, "not authorized");
  assert.equal(error.data, undefined, "without data there is none");
  assert.equal(socket.connected, false);
  assert.equal(socket.active, false, "the client does not try again by itself");
  await watch.fence();
  assert.deepEqual(watch.of("connection"), [], "the connection handler did not run");
}

export async function refuses_with_data(t) {
  const error = await refused(t, t.open("/secret", { auth: { token: "guessed" } }));
  assert.equal(error.message, "wrong token");
  assert.deepEqual(error.data, { code: 4001, hints: ["spelling", { case: true }] });
}

export async function lets_through_in_order(t) {
  const socket = await t.connect("/secret", { auth: { token: "s3cret" } });
  const { data } = await t.ask(socket, "describe");
  assert.deepEqual(data, { steps: ["first", "second"] }, "one after the other, and the data stays");
}

export async function the_connection_survives_a_refusal(t) {
  const manager = t.manager();
  const [main, secret] = ["/", "/secret"].map((nsp) => manager.socket(nsp).connect());
  await Promise.all([t.connected(main), refused(t, secret)]);
  assert.equal(await t.ask(main, "ack", "alive"), "alive");
}

export async function a_second_attempt_with_better_auth(t) {
  const manager = t.manager();
  await t.connected(manager.socket("/").connect());
  const secret = manager.socket("/secret", { auth: { token: "guessed" } }).connect();
  await refused(t, secret);
  secret.auth = { token: "s3cret" };
  secret.connect();
  await t.connected(secret);
  assert.equal(await t.ask(secret, "ack", "in"), "in");
}

export async function rooms_of_the_refused_are_left(t) {
  await refused(t, t.open("/secret", { auth: { token: "guessed" } }));
  const socket = await t.connect("/secret", { auth: { token: "s3cret" } });
  socket.on("who", (callback) => callback(socket.id));
  const spec = { via: "io", to: [`${t.tag}-refused`], timeout: 2_000 };
  const { responses } = await t.ask(socket, "ask many", spec, "who", []);
  assert.deepEqual(responses, [socket.id], "only who got through is in the room");
}

export async function events_refused_by_the_socket(t) {
  const watch = await t.watch();
  const socket = await t.connect("/checked");
  const back = t.event(socket, "echo");
  socket.emit("forbidden", 1);
  socket.emit("echo", "allowed");
  assert.deepEqual(await back, ["allowed"], "other events pass, and so they do after a refusal");
  await t.fence(socket);
  await watch.fence();
  const { message, data } = await watch.find("error");
  assert.equal(message, "this event is forbidden");
  assert.deepEqual(data, { event: "forbidden" });
  assert.deepEqual(watch.of("passed"), [], "the handler did not run");
  const checked = watch.of("checked").map(({ event, args }) => [event, ...args]);
  assert.deepEqual(checked, [["forbidden", 1], ["echo", "allowed"], ["ack", "fence"]]);
}
