// Every way in which a connection ends, with the reason that each side gives for it.
//
// Two namespaces share each connection: each must hear of the end once, "disconnecting" with its rooms still
// there and then "disconnect" without them.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

/** A connection that uses the final transport, with the sockets of two namespaces in a room each. */
async function pair(t, url) {
  const watch = await t.watch();
  const manager = t.manager({}, url);
  const sockets = ["/", "/chat"].map((nsp) => manager.socket(nsp).connect());
  for (const socket of sockets) await t.connected(socket);
  await t.settled(sockets[0]);
  const rooms = {};
  const ends = {};
  for (const socket of sockets) {
    rooms[socket.nsp] = [socket.id, t.room("kept")];
    await t.ask(socket, "join", t.room("kept"));
    ends[socket.nsp] = t.collect(socket, "disconnect");
  }
  return { watch, sockets, rooms, ends, engine: manager.engine };
}

/** What both sides must have seen once the connection has ended. */
async function ended(t, { watch, rooms, ends }, reasons, namespaces = ["/", "/chat"]) {
  for (const nsp of namespaces) {
    const [[client, details]] = await ends[nsp].reach(1);
    assert.ok([reasons.client].flat().includes(client), `${client} in ${nsp}: ${details?.description}`);
    const gone = await watch.find("disconnect", { nsp });
    assert.equal(gone.reason, reasons.server, `the reason for the server in ${nsp}`);
    assert.deepEqual(gone.rooms, [], "no rooms at disconnect");
    assert.equal(gone.connected, false);
    const going = await watch.find("disconnecting", { nsp });
    assert.equal(going.reason, reasons.server);
    assert.deepEqual(going.rooms.sort(), rooms[nsp].sort(), "the rooms are still there at disconnecting");
  }
  await watch.fence();
  const kinds = watch.entries.map(({ kind, nsp }) => `${kind} ${nsp}`);
  for (const nsp of namespaces) {
    assert.equal(ends[nsp].length, 1, "the client hears of it once");
    assert.deepEqual(
      kinds.filter((entry) => entry.startsWith("disconnect") && entry.endsWith(` ${nsp}`)),
      [`disconnecting ${nsp}`, `disconnect ${nsp}`],
      "each once, in this order",
    );
  }
  return reasons;
}

export async function client_leaves(t) {
  const session = await pair(t);
  session.sockets[0].disconnect();
  await ended(t, session, { client: "io client disconnect", server: "client namespace disconnect" }, ["/"]);
  assert.equal(session.sockets[1].connected, true, "the other namespace stays");
  assert.equal(await t.ask(session.sockets[1], "ack", "alive"), "alive");
}

export async function client_leaves_all(t) {
  const session = await pair(t);
  for (const socket of session.sockets) socket.disconnect();
  await ended(t, session, { client: "io client disconnect", server: "client namespace disconnect" });
}

export async function client_leaves_after_sending(t) {
  const session = await pair(t);
  const [socket] = session.sockets;
  await t.ask(socket, "listen to", ["number"]);
  for (let i = 0; i < 50; i++) socket.emit("number", i);
  socket.disconnect();
  await ended(t, session, { client: "io client disconnect", server: "client namespace disconnect" }, ["/"]);
  const sent = session.watch.of("heard").map(({ args }) => args[0]);
  // The official server may leave out the last ones: it defers handlers, and the disconnect packet overtakes them.
  assert.deepEqual(sent, Array.from(sent, (_, i) => i), "what was sent before is handled in order, without a gap");
}

export async function client_closes_the_connection(t) {
  const session = await pair(t);
  session.engine.close();
  await ended(t, session, { client: "forced close", server: "transport close" });
}

export async function server_disconnects_the_socket(t) {
  const session = await pair(t);
  session.sockets[0].emit("disconnect_me", false);
  await ended(t, session, { client: "io server disconnect", server: "server namespace disconnect" }, ["/"]);
  assert.equal(session.sockets[0].active, false, "the client does not come back by itself");
  assert.equal(await t.ask(session.sockets[1], "ack", "alive"), "alive");
}

export async function server_disconnects_the_connection(t) {
  const session = await pair(t);
  const closed = t.event(session.engine, "close");
  session.sockets[0].emit("disconnect_me", true);
  await ended(t, session, { client: "io server disconnect", server: "server namespace disconnect" });
  await closed;
}

export async function server_sends_then_disconnects(t) {
  const session = await pair(t);
  const [socket] = session.sockets;
  const numbers = t.collect(socket, "number");
  socket.emit("burst", "number", 50);
  socket.emit("disconnect_me", true);
  await ended(t, session, { client: "io server disconnect", server: "server namespace disconnect" });
  assert.equal(numbers.length, 50, "what the server sent before arrives before");
}

export async function server_closes_the_connection(t) {
  const session = await pair(t);
  session.sockets[0].emit("close_connection");
  await ended(t, session, { client: "transport close", server: "forced close" });
}

export async function the_network_drops_the_connection(t) {
  const proxy = await t.proxy();
  const session = await pair(t, proxy.url);
  if (t.transport === "polling") await session.watch.polled(session.engine.id);
  proxy.cut();
  const reason = t.transport === "polling" ? "transport error" : "transport close";
  await ended(t, session, { client: reason, server: reason });
}

/** The official client made to send one packet that it never would. */
function misbehaves(send, server, { error = false } = {}) {
  return async function (t) {
    const session = await pair(t);
    if (t.transport === "polling") await session.watch.polled(session.engine.id);
    await send(session.engine, t);
    // The poll is answered by a close, the POST by an error: with several servers in any order.
    const client = t.several ? ["transport close", "transport error"] : "transport close";
    const reasons = await ended(t, session, { client, server });
    const told = session.watch.of("error").map(({ nsp }) => nsp);
    if (error) assert.deepEqual(told, ["/", "/chat"], "what could not be decoded is an error of each socket");
    return reasons;
  };
}

const UNDECODABLE = { error: true };

const raw = (engine, packet) => {
  const { transport } = engine;
  if (transport.name === "websocket") transport.ws.send(packet);
  else transport.doWrite(packet, () => {});
};

export const unknown_engine_packet = misbehaves((engine) => raw(engine, "9x"), "parse error");
export const ping_from_the_client = misbehaves((engine) => raw(engine, "2"), "transport error");
export const empty_message = misbehaves((engine) => raw(engine, "4"), "forced close");
export const connect_twice = misbehaves((engine) => raw(engine, "40"), "forced close");
export const connect_error_from_the_client = misbehaves((engine) => raw(engine, '44{"message":"x"}'), "forced close");
export const event_for_an_unjoined_namespace = misbehaves((engine) => raw(engine, '42/secret,["x"]'), "forced close");
export const disconnect_of_an_unjoined_namespace = misbehaves((engine) => raw(engine, "41/secret,"), "forced close");
export const unknown_packet_type = misbehaves((engine) => raw(engine, "49garbage"), "forced close", UNDECODABLE);
export const broken_json = misbehaves((engine) => raw(engine, '42["echo"'), "forced close", UNDECODABLE);
export const reserved_event_name = misbehaves((engine) => raw(engine, '42["disconnect"]'), "forced close", UNDECODABLE);
export const too_many_attachments = misbehaves((engine) => raw(engine, '4511-["echo"]'), "forced close", UNDECODABLE);
export const no_attachments = misbehaves((engine) => raw(engine, '450-["echo"]'), "forced close", UNDECODABLE);
export const binary_out_of_place = misbehaves((engine) => raw(engine, "bAQ=="), "forced close", UNDECODABLE);
export const text_among_attachments = misbehaves(
  (engine) => {
    engine.write('51-["echo",{"_placeholder":true,"num":0}]');
    engine.write('2["echo"]');
  },
  "forced close",
  UNDECODABLE,
);
export const placeholder_out_of_range = misbehaves(
  (engine) => {
    engine.write('51-["echo",{"_placeholder":true,"num":1}]');
    engine.write(Buffer.from([1]));
  },
  "forced close",
  UNDECODABLE,
);

export const close_packet_over_polling = where({ modes: ["polling"] }, async (t) => {
  const watch = await t.watch();
  const poller = t.poller();
  await poller.open();
  await poller.join();
  const pending = poller.poll();
  await watch.polled(poller.sid);
  await poller.post("1", '42["echo","after the end"]');
  assert.deepEqual(await pending, ["6"], "the poll that waits is answered");
  assert.equal((await watch.find("disconnect")).reason, "transport close");
  assert.equal((await poller.get()).status, 400, "the session is gone");
});

export const connection_without_a_namespace = where({ profile: "limits" }, async (t) => {
  const manager = t.manager();
  const begun = performance.now();
  await new Promise((resolve, reject) => manager.open((error) => (error ? reject(error) : resolve())));
  const [reason] = await t.event(manager.engine, "close");
  const waited = performance.now() - begun;
  assert.equal(reason, "transport close", "closed by the server after connect_timeout");
  assert.ok(waited > 250, `not before: ${waited}`);
});

/** Both namespaces hear of the end; what the server saw is on its output, where whoever started it can look. */
const goes_down = (order) => async (t) => {
  const session = await pair(t);
  session.watch.observer.emit(order);
  for (const nsp of ["/", "/chat"]) {
    const [[reason]] = await session.ends[nsp].reach(1);
    // A poll that is cut off is an error to the client, one that is answered is a close: both will do.
    const allowed = t.transport === "polling" ? ["transport close", "transport error"] : ["transport close"];
    assert.ok(allowed.includes(reason), `${reason} in ${nsp}`);
  }
};

export const server_shuts_down = where({ fresh: true }, goes_down("close_server"));
export const server_is_interrupted = where({ fresh: true }, goes_down("interrupt"));
