// What the official adapters are made of: for each mode an adapter, and what else it has:
// an emitter, options of recovery.
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Emitter as RedisEmitter } from "@socket.io/redis-emitter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createAdapter as createPostgresAdapter } from "@socket.io/postgres-adapter";
import { Emitter as PostgresEmitter } from "@socket.io/postgres-emitter";
import pg from "pg";
import { createClient } from "redis";

const redis = async (url, key, adapterOf) => {
  const pub = createClient({ url });
  const sub = pub.duplicate();
  await Promise.all([pub.connect(), sub.connect()]);
  return { adapter: adapterOf(pub, sub), emitter: new RedisEmitter(pub, { key }) };
};
const classic = (options) => (url, key) =>
  redis(url, key, (pub, sub) => createAdapter(pub, sub, { key, ...options }));
const sharded = (subscriptionMode) => (url, key) =>
  redis(url, key, (pub, sub) => createShardedAdapter(pub, sub, { channelPrefix: key, subscriptionMode }));
const streams = (options, connectionStateRecovery) => async (url, key) => {
  const client = createClient({ url });
  await client.connect();
  const names = { streamName: key, channelPrefix: key, sessionKeyPrefix: `${key}:session:` };
  return { adapter: createStreamsAdapter(client, { ...names, ...options }), connectionStateRecovery };
};

const postgres = async (url, key) => {
  const pool = new pg.Pool({ connectionString: url });
  pool.on("error", () => {}); // of a connection that nobody uses at the moment
  const options = { channelPrefix: key, tableName: `table_${key}` };
  return {
    adapter: createPostgresAdapter(pool, { ...options, errorHandler: (error) => console.error(error) }),
    emitter: new PostgresEmitter(pool, "/", options),
  };
};

const engines = {
  classic: classic({}),
  "classic-specific": classic({ publishOnSpecificResponseChannel: true }),
  static: sharded("static"),
  dynamic: sharded("dynamic"),
  "dynamic-private": sharded("dynamic-private"),
  streams: streams({}),
  "streams-sharded": streams({ useShardedPubSub: true }),
  recovery: streams({}, { maxDisconnectionDuration: 60_000 }),
  postgres,
};

export const engineFor = (url, key, mode) => engines[mode](url, key);
