// The cookie with the session id: on the first polling answer, with every attribute, and nowhere else.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

export const on_the_handshake = where({ profile: "cookie", modes: ["polling"] }, async (t) => {
  const poller = t.poller();
  const { headers } = await poller.open();
  assert.equal(headers["set-cookie"]?.length, 1);
  const [pair, ...attributes] = headers["set-cookie"][0].split(/; */);
  assert.equal(pair, `io=${poller.sid}`);
  const names = attributes.map((attribute) => attribute.toLowerCase()).sort();
  assert.deepEqual(names, ["httponly", "max-age=3600", "path=/", "samesite=lax", "secure"]);
  assert.equal((await poller.post("40")).headers["set-cookie"], undefined, "not again");
  assert.equal((await poller.get()).headers["set-cookie"], undefined);
});

export const rare_attributes = where({ profile: "cookie_rare", modes: ["polling"] }, async (t) => {
  const poller = t.poller();
  const { headers } = await poller.open();
  const attributes = "Path=/; Expires=Tue, 19 Jan 2038 03:14:07 GMT; HttpOnly; Partitioned; Priority=Medium; SameSite=Lax";
  assert.deepEqual(headers["set-cookie"], [`io=node-1.${poller.sid}; ${attributes}`]);
});

export const not_on_a_websocket = where({ profile: "cookie", modes: ["websocket"] }, async (t) => {
  const wire = t.wire();
  await wire.opened;
  assert.equal(wire.headers["set-cookie"], undefined);
});

export const not_unless_asked_for = where({ modes: ["polling"] }, async (t) => {
  assert.equal((await t.poller().open()).headers["set-cookie"], undefined);
});

export const connects_all_the_same = where({ profile: "cookie" }, async (t) => {
  const socket = await t.connect("/", { withCredentials: true });
  await t.settled(socket);
  assert.equal(await t.ask(socket, "ack", "in"), "in");
});
