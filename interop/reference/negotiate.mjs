// One line in, one line out: {"options": ..., "header": ...} to what ws's server answers, an
// "answer" that is the parameters of the extension, null for none, or "refused". It runs ws's own negotiation, without a connection.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const lib = join(dirname(require.resolve("ws")), "lib");
const { parse } = require(join(lib, "extension.js"));
const PerMessageDeflate = require(join(lib, "permessage-deflate.js"));

function answer({ options, header }) {
  try {
    const offers = parse(header.trim())["permessage-deflate"];
    return offers ? new PerMessageDeflate({ ...options, isServer: true }).accept(offers) : null;
  } catch {
    return "refused";
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify({ answer: answer(JSON.parse(line)) }));
}
