// The options of each server that the scenarios ask for; interop/profiles.py says the same for ours.

import * as jsonParser from "socket.io-json-parser";
import * as msgpackParser from "socket.io-msgpack-parser";

const cors = (origin, more = {}) => ({ cors: { origin, methods: ["GET", "POST"], ...more } });

export const PROFILES = {
  default: {},
  heartbeat: { pingInterval: 150, pingTimeout: 250 },
  limits: { maxHttpBufferSize: 10_000, connectTimeout: 300, upgradeTimeout: 300 },
  cookie: { cookie: { name: "io", path: "/", httpOnly: true, sameSite: "lax", maxAge: 3600, secure: true } },
  cookie_rare: {
    cookie: {
      name: "io",
      expires: new Date("2038-01-19T03:14:07Z"),
      partitioned: true,
      priority: "medium",
      encode: (sid) => `node-1.${sid}`,
    },
  },
  cors: cors("http://localhost:5174", { credentials: true }),
  cors_list: cors(["http://one.example", "http://two.example"], {
    allowedHeaders: ["x-first", "x-second"],
    exposedHeaders: ["x-shown"],
    maxAge: 600,
  }),
  cors_status: cors("http://localhost:5174", { optionsSuccessStatus: 200 }),
  cors_pattern: cors(/^https:\/\/[a-z]+\.example$/),
  cors_callable: cors((origin, callback) => callback(null, origin === "http://asked.example")),
  cors_function: {
    cors: (request, callback) => {
      const { searchParams } = new URL(request.url, "http://localhost");
      if (searchParams.has("fail")) callback(new Error("of the function"));
      else if (searchParams.has("open")) callback(null, { origin: "*" });
      else callback(null, { origin: "http://localhost:5174", credentials: true });
    },
  },
  cors_any: { cors: { origin: "*" } },
  guarded: {
    allowRequest: (request, callback) => {
      const { searchParams } = new URL(request.url, "http://localhost");
      if (searchParams.get("ticket") === "valid") callback(null, true);
      else callback(searchParams.get("ticket") === "expired" ? "the ticket has expired" : null, false);
    },
  },
  path: { path: "/deep/er/socket" },
  polling_only: { transports: ["polling"] },
  websocket_only: { transports: ["websocket"] },
  no_upgrades: { allowUpgrades: false },
  dynamic: {},
  dynamic_cleanup: { cleanupEmptyChildNamespaces: true },
  deflate: { perMessageDeflate: true },
  deflate_alone: { perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true } },
  deflate_context: { perMessageDeflate: {} },
  deflate_small: { perMessageDeflate: { serverMaxWindowBits: 8, clientMaxWindowBits: 8 } },
  msgpack: { parser: msgpackParser },
  json: { parser: jsonParser },
  recovery: { connectionStateRecovery: {} },
  recovery_checked: { connectionStateRecovery: { skipMiddlewares: false } },
  recovery_short: { connectionStateRecovery: { maxDisconnectionDuration: 250 } },
  uncompressed: { httpCompression: false },
  eio3: { allowEIO3: true },
  eio3_page: { allowEIO3: true, ...cors(/^http:\/\/localhost:[0-9]+$/) },
  eio3_heartbeat: { allowEIO3: true, pingInterval: 150, pingTimeout: 250 },
  client_files: {},
  client_files_cors: cors("http://localhost:5174", { credentials: true }),
  hooks: {},
  no_client_files: { serveClient: false },
  no_slash: { addTrailingSlash: false },
  initial_packet: { initialPacket: '2["first"]' },
};
