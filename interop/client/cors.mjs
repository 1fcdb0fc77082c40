// Cross-origin requests: what a browser asks before and what it must find in the answers.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const PATH = "/socket.io/?EIO=4&transport=polling";
const under = (profile, run, modes = ["polling"]) => where({ profile, modes }, run);

const get = (t, origin, path = PATH) => t.request(path, { headers: origin ? { origin } : {} });

function preflight(t, origin, method = "POST", headers = "x-custom", path = PATH) {
  return t.request(path, {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": method,
      ...(headers && { "access-control-request-headers": headers }),
    },
  });
}

const allowed = ({ headers }) => headers["access-control-allow-origin"];
const list = (value = "") => value.toLowerCase().split(/, */).filter(Boolean);

export const one_origin = under("cors", async (t) => {
  const origin = "http://localhost:5174";
  const response = await get(t, origin);
  assert.equal(response.status, 200);
  assert.equal(allowed(response), origin);
  assert.equal(response.headers["access-control-allow-credentials"], "true");
  assert.ok(list(response.headers.vary).includes("origin"), "caches must tell origins apart");
  const { sid } = JSON.parse(response.body.slice(1));
  const post = await t.request(`${PATH}&sid=${sid}`, { method: "POST", headers: { origin }, body: "40" });
  assert.equal(allowed(post), origin, "on the answer to a POST");
  const refused = await get(t, origin, `${PATH}&sid=unknown`);
  assert.equal(refused.status, 400);
  assert.equal(allowed(refused), origin, "on an error too, so that the page can read it");
});

export const another_origin = under("cors", async (t) => {
  for (const origin of ["http://evil.example", "http://localhost:5174.evil.example", "https://localhost:5174", "null"]) {
    const response = await get(t, origin);
    // Any answer that the browser keeps from the page will do: a refusal, or no header, or another origin in it.
    assert.ok(![origin, "*"].includes(allowed(response)), origin);
  }
});

export const preflight_of_one_origin = under("cors", async (t) => {
  const response = await preflight(t, "http://localhost:5174");
  assert.equal(response.status, 204);
  assert.equal(response.body, "");
  assert.equal(allowed(response), "http://localhost:5174");
  assert.equal(response.headers["access-control-allow-credentials"], "true");
  assert.deepEqual(list(response.headers["access-control-allow-methods"]), ["get", "post"]);
  assert.deepEqual(list(response.headers["access-control-allow-headers"]), ["x-custom"], "what was asked for");
  assert.ok(list(response.headers.vary).includes("access-control-request-headers"));
});

export const preflight_with_another_status = under("cors_status", async (t) => {
  const response = await preflight(t, "http://localhost:5174");
  assert.equal(response.status, 200);
  assert.equal(response.body, "");
  assert.equal(response.headers["content-length"], "0");
  assert.equal(allowed(response), "http://localhost:5174");
});

export const preflight_of_another_origin = under("cors", async (t) => {
  const response = await preflight(t, "http://evil.example");
  assert.ok(!["http://evil.example", "*"].includes(allowed(response)));
});

export const websocket_handshake = under("cors", async (t) => {
  const origin = "http://localhost:5174";
  const wire = t.wire({ options: { origin } });
  await wire.opened;
  assert.equal(wire.headers["access-control-allow-origin"], origin);
  wire.send("40");
  await wire.messages.reach(2);
}, ["websocket"]);

export const official_client = where({ profile: "cors" }, async (t) => {
  const socket = await t.connect("/", { extraHeaders: { origin: "http://localhost:5174" } });
  await t.settled(socket);
  assert.equal(await t.ask(socket, "ack", "in"), "in");
});

export const no_origin_at_all = under("cors", async (t) => {
  assert.equal((await get(t)).status, 200, "a client that is no browser sends none");
});

export const list_of_origins = under("cors_list", async (t) => {
  for (const origin of ["http://one.example", "http://two.example"]) {
    const response = await get(t, origin);
    assert.equal(allowed(response), origin);
    assert.ok(list(response.headers.vary).includes("origin"));
    assert.deepEqual(list(response.headers["access-control-expose-headers"]), ["x-shown"]);
    assert.equal(response.headers["access-control-allow-credentials"], undefined);
  }
  assert.equal(allowed(await get(t, "http://three.example")), undefined);
});

export const preflight_with_a_list = under("cors_list", async (t) => {
  const response = await preflight(t, "http://two.example");
  assert.equal(response.status, 204);
  assert.equal(allowed(response), "http://two.example");
  assert.deepEqual(list(response.headers["access-control-allow-headers"]), ["x-first", "x-second"]);
  assert.equal(response.headers["access-control-max-age"], "600");
});

export const pattern_of_origins = under("cors_pattern", async (t) => {
  assert.equal(allowed(await get(t, "https://any.example")), "https://any.example");
  for (const origin of ["http://any.example", "https://any.example.org", "https://a1.example"]) {
    assert.equal(allowed(await get(t, origin)), undefined, origin);
  }
});

export const origin_asked_of_a_function = under("cors_callable", async (t) => {
  assert.equal(allowed(await get(t, "http://asked.example")), "http://asked.example");
  assert.equal(allowed(await get(t, "http://other.example")), undefined);
});

export const rules_for_each_request = under("cors_function", async (t) => {
  const origin = "http://localhost:5174";
  const closed = await get(t, origin);
  assert.equal(closed.status, 200);
  assert.equal(allowed(closed), origin);
  assert.equal(closed.headers["access-control-allow-credentials"], "true");
  const open = await get(t, "http://whoever.example", `${PATH}&open=1`);
  assert.equal(open.status, 200);
  assert.equal(allowed(open), "*");
  assert.equal(open.headers["access-control-allow-credentials"], undefined);
  assert.equal(allowed(await preflight(t, origin)), origin);
  assert.equal(allowed(await preflight(t, origin, "POST", "x-custom", `${PATH}&open=1`)), "*");
});

export const rules_that_fail = under("cors_function", async (t) => {
  const origin = "http://localhost:5174";
  const response = await get(t, origin, `${PATH}&fail=1`);
  assert.equal(response.status, 400);
  assert.deepEqual(JSON.parse(response.body), { code: 3, message: "Bad request" });
  assert.equal(allowed(response), undefined);
  const before = await preflight(t, origin, "POST", "x-custom", `${PATH}&fail=1`);
  assert.equal(before.status, 400);
  assert.equal(allowed(before), undefined);
});

export const rules_of_a_websocket = under("cors_function", async (t) => {
  const wire = t.wire({ options: { origin: "http://whoever.example" }, query: "&open=1" });
  await wire.opened;
  assert.equal(wire.headers["access-control-allow-origin"], "*");
}, ["websocket"]);

export const any_origin = under("cors_any", async (t) => {
  const response = await get(t, "http://whoever.example");
  assert.equal(allowed(response), "*");
  const before = await preflight(t, "http://whoever.example", "POST", "");
  assert.equal(before.status, 204);
  assert.equal(allowed(before), "*");
  const methods = ["get", "head", "put", "patch", "post", "delete"];
  assert.deepEqual(list(before.headers["access-control-allow-methods"]), methods, "the default methods");
});

export const none_unless_asked_for = where({ modes: ["polling"] }, async (t) => {
  const response = await get(t, "http://localhost:5174");
  assert.equal(allowed(response), undefined);
  assert.equal(allowed(await preflight(t, "http://localhost:5174")), undefined);
});
