// What the official adapters are made of: for each mode an adapter, and an emitter where there is one for it.
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Emitter as RedisEmitter } from "@socket.io/redis-emitter";
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
  postgres,
};

export const engineFor = (url, key, mode) => engines[mode](url, key);
