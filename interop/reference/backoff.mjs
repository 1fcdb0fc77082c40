// One line in, one line out: {"min": ms, "max": ms, "jitter": ..., "chances": [...]} to the waits that the official
// client's backoff computes from these random numbers.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const { Backoff } = require(join(dirname(require.resolve("socket.io-client")), "contrib", "backo2.js"));

for await (const line of createInterface({ input: process.stdin })) {
  const { min, max, jitter, chances } = JSON.parse(line);
  const left = [...chances];
  Math.random = () => left.shift();
  const backoff = new Backoff({ min, max, jitter });
  console.log(JSON.stringify({ waits: chances.map(() => backoff.duration()) }));
}
