// Requests that the server refuses: the code, the HTTP status, and the connection_error event behind them.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const MESSAGES = [
  "Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden",
  "Unsupported protocol version",
];
const once = (run, profile) => where({ profile, modes: ["polling"] }, run);

/** The log of a server; the guarded one lets nobody in without a ticket. */
const watching = (t) => t.watch({ query: { ticket: "valid" } });

async function refused(t, code, query, { context, message = MESSAGES[code], ...options } = {}) {
  const watch = await watching(t);
  const path = `/socket.io/?${query}&tag=${t.tag}`;
  const response = await t.request(path, options);
  assert.equal(response.status, code === 4 ? 403 : 400, query);
  assert.equal(response.headers["content-type"], "application/json");
  assert.deepEqual(JSON.parse(response.body), { code, message }, query);
  const entry = await watch.find("connection_error", { code });
  // Whether the reason given by allow_request stands in the event's message or in its context is no matter here.
  if (code !== 4) assert.equal(entry.message, MESSAGES[code]);
  if (context) assert.equal(entry.context.name, context);
}

/** The same over a WebSocket handshake: always 400, the message is the body. */
async function refusedWire(t, code, query, { message = MESSAGES[code] } = {}) {
  const watch = await watching(t);
  const response = await t.refusedWire(query);
  assert.equal(response.status, 400, query);
  assert.equal(response.body, message);
  await watch.find("connection_error", { code });
}

export const unknown_transport = once(async (t) => {
  for (const name of ["foo", "__proto__", "constructor", "webtransport", ""]) {
    await refused(t, 0, `EIO=4&transport=${name}`);
  }
  await refused(t, 0, "EIO=4");
  await refusedWire(t, 0, "EIO=4&transport=foo");
});

export const unknown_session = once(async (t) => {
  for (const sid of ["abc", "__proto__", "constructor", "A".repeat(20), "%00%0a"]) {
    await refused(t, 1, `EIO=4&transport=polling&sid=${sid}`);
    await refused(t, 1, `EIO=4&transport=polling&sid=${sid}`, { method: "POST", body: "3" });
  }
  await refusedWire(t, 1, "EIO=4&transport=websocket&sid=abc");
});

export const handshake_by_another_method = once(async (t) => {
  for (const method of ["POST", "PUT", "DELETE"]) {
    await refused(t, 2, "EIO=4&transport=polling", { method });
  }
});

export const websocket_without_an_upgrade = once(async (t) => {
  await refused(t, 3, "EIO=4&transport=websocket", { context: "TRANSPORT_HANDSHAKE_ERROR" });
});

export const another_transport_than_the_session = once(async (t) => {
  const wire = t.wire();
  await wire.join();
  const { sid } = wire.handshake;
  await refused(t, 3, `EIO=4&transport=polling&sid=${sid}`, { context: "TRANSPORT_MISMATCH" });
  wire.send('420["ack",1]');
  assert.equal(await wire.next(), "430[1]", "the session is untouched");
});

export const another_protocol_than_the_session = once(async (t) => {
  const poller = t.poller();
  await poller.open();
  await refused(t, 3, `EIO=3&transport=polling&sid=${poller.sid}`, { context: "PROTOCOL_MISMATCH" });
});

export const forbidden = once(async (t) => {
  await refused(t, 4, "EIO=4&transport=polling");
  await refused(t, 4, "EIO=4&transport=polling&ticket=expired", { message: "the ticket has expired" });
  await refusedWire(t, 4, "EIO=4&transport=websocket&ticket=expired", { message: "the ticket has expired" });
}, "guarded");

export const allowed = where({ profile: "guarded" }, async (t) => {
  const socket = await t.connect("/", { query: { ticket: "valid" } });
  await t.settled(socket);
  assert.equal(await t.ask(socket, "ack", "in"), "in");
});

export const unsupported_protocol = once(async (t) => {
  for (const version of ["EIO=3&", "EIO=abc&", "EIO=5&", ""]) {
    await refused(t, 5, `${version}transport=polling`);
  }
  const watch = await t.watch();
  // The official server looks at the version only after it has accepted the WebSocket; refusing at once is as good.
  const wire = t.wire({ version: 3 });
  wire.opened.catch(() => {});
  await wire.closed();
  assert.equal(wire.messages.length, 0, "no session was opened");
  await watch.find("connection_error", { code: 5 });
});

export const forbidden_for_the_official_client = where({ profile: "guarded" }, async (t) => {
  const [error] = await t.event(t.open("/", { query: { ticket: "expired" } }), "connect_error");
  assert.equal(error.message, t.mode === "websocket" ? "websocket error" : "xhr poll error");
  if (t.mode !== "websocket") assert.equal(error.description, 403);
});

export const other_paths = once(async (t) => {
  for (const path of ["/", "/socket.io?EIO=4&transport=polling", "/socket.iox/?EIO=4&transport=polling"]) {
    assert.equal((await t.request(path)).status, 404, path);
  }
});

export const two_polls_at_once = once(async (t) => {
  const watch = await t.watch();
  const poller = t.poller();
  await poller.open();
  await poller.join();
  const first = poller.get();
  first.catch(() => {});
  const second = poller.get();
  const statuses = [(await first).status, (await second).status].sort();
  assert.deepEqual(statuses, [200, 400]);
  assert.equal((await watch.find("disconnect")).reason, "transport error");
  assert.equal((await poller.get()).status, 400, "the session is gone");
});

export const two_posts_at_once = once(async (t) => {
  const watch = await t.watch();
  const poller = t.poller();
  await poller.open();
  await poller.join();
  const first = t.unfinishedPost(poller.url, '42["echo",');
  await first.sent;
  // The server may see the second before the headers of the first have come; it answers "ok" until then.
  while ((await poller.post("3")).status !== 400);
  assert.equal((await watch.find("disconnect")).reason, "transport error");
  first.abort();
});

export const binary_post = once(async (t) => {
  const watch = await t.watch();
  const poller = t.poller();
  await poller.open();
  await poller.join();
  const headers = { "content-type": "application/octet-stream" };
  const response = await t.request(poller.url.slice(t.url.length), { method: "POST", headers, body: "4" });
  assert.equal(response.status, 400);
  assert.equal((await watch.find("disconnect")).reason, "transport error");
});
