// The browser client below the server's own path: each of the eight files, as the official server serves it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";

import { where } from "./lib/where.mjs";

const once = (run, profile = "client_files") => where({ profile, modes: ["polling"] }, run);

const PACKAGE = new URL("../node_modules/socket.io/", import.meta.url);
const SCRIPTS = ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"];
const FILES = SCRIPTS.flatMap((name) => [name, `${name}.map`]);
const read = (name) => readFileSync(new URL(`client-dist/${name}`, PACKAGE));
const etag = () => `"${JSON.parse(readFileSync(new URL("package.json", PACKAGE))).version}"`;

export const each_file = once(async (t) => {
  for (const name of FILES) {
    const response = await t.request(`/socket.io/${name}`);
    assert.equal(response.status, 200, name);
    assert.ok(response.bytes.equals(read(name)), name);
    const type = name.endsWith(".map") ? "application/json" : "application/javascript";
    assert.equal(response.headers["content-type"], `${type}; charset=utf-8`);
    assert.equal(response.headers["cache-control"], "public, max-age=0");
    assert.equal(response.headers.etag, etag());
    assert.equal(response.headers["transfer-encoding"], "chunked");
    assert.equal(response.headers["content-encoding"], undefined);
  }
});

export const not_modified = once(async (t) => {
  for (const name of FILES) {
    for (const known of [etag(), `W/${etag()}`]) {
      const response = await t.request(`/socket.io/${name}`, { headers: { "if-none-match": known } });
      assert.equal(response.status, 304);
      assert.equal(response.bytes.length, 0);
      assert.equal(response.headers.etag, undefined);
      assert.equal(response.headers["content-type"], undefined);
    }
    const other = await t.request(`/socket.io/${name}`, { headers: { "if-none-match": '"0.0.0"' } });
    assert.equal(other.status, 200);
  }
});

const UNPACK = { br: brotliDecompressSync, gzip: gunzipSync, deflate: inflateSync };

export const compressed = once(async (t) => {
  const each = [["br", "br"], ["gzip", "gzip"], ["deflate", "deflate"]];
  // Of one file alone: the official server takes up to a second for each answer by br.
  const preferences = [
    ["gzip, deflate, br, zstd", "gzip"],
    ["br, gzip", "br"],
    ["gzip;q=0.5, br;q=0.9", "br"],
    ["*", "br"],
  ];
  for (const name of FILES) {
    for (const [accepted, expected] of name === "socket.io.esm.min.js" ? [...each, ...preferences] : each) {
      const response = await t.request(`/socket.io/${name}`, { headers: { "accept-encoding": accepted } });
      assert.equal(response.headers["content-encoding"], expected, accepted);
      assert.ok(UNPACK[expected](response.bytes).equals(read(name)), `${name} by ${expected}`);
      assert.equal(response.headers.etag, etag());
    }
    for (const accepted of ["identity", "zstd", "gzip;q=0"]) {
      const response = await t.request(`/socket.io/${name}`, { headers: { "accept-encoding": accepted } });
      assert.equal(response.headers["content-encoding"], undefined, accepted);
      assert.ok(response.bytes.equals(read(name)));
    }
  }
});

export const any_method = once(async (t) => {
  for (const method of ["POST", "PUT", "OPTIONS"]) {
    const response = await t.request("/socket.io/socket.io.min.js", { method });
    assert.equal(response.status, 200, method);
    assert.ok(response.bytes.equals(read("socket.io.min.js")), method);
  }
  const head = await t.request("/socket.io/socket.io.min.js", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(head.bytes.length, 0);
  assert.equal(head.headers.etag, etag());
});

export const with_a_query = once(async (t) => {
  const response = await t.request("/socket.io/socket.io.js?v=1");
  assert.ok(response.bytes.equals(read("socket.io.js")));
});

const notAFile = async (t, path) => {
  const response = await t.request(path);
  assert.equal(response.status, 400, path);
  assert.equal(response.body, '{"code":0,"message":"Transport unknown"}', path);
};

export const nothing_else = once(async (t) => {
  // Paths that a client library would tidy up before it sends them are in tests/integrations/test_client_files.py.
  const names = ["package.json", "SOCKET.IO.JS", "socket.io.js/", "..%2fpackage.json", "socket.io.js%00", "x.js"];
  for (const name of names) await notAFile(t, `/socket.io/${name}`);
});

export const switched_off = once(async (t) => {
  for (const name of FILES) await notAFile(t, `/socket.io/${name}`);
}, "no_client_files");

export const other_origins = once(async (t) => {
  const origin = "http://localhost:5174";
  for (const [more, status] of [[{}, 200], [{ "if-none-match": etag() }, 304]]) {
    const response = await t.request("/socket.io/socket.io.js", { headers: { origin, ...more } });
    assert.equal(response.status, status);
    assert.equal(response.headers["access-control-allow-origin"], origin);
    assert.equal(response.headers["access-control-allow-credentials"], "true");
    assert.match(response.headers.vary, /\bOrigin\b/);
  }
  const preflight = await t.request("/socket.io/socket.io.js", { method: "OPTIONS", headers: { origin } });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers["access-control-allow-methods"], "GET,POST");
}, "client_files_cors");
