// node parsers.mjs
//
// The official parsers, for packets that ours has encoded. Each line on stdin is a JSON document
// {parser, messages: [{text} | {binary: base64}]}; each line on stdout is what the official decoder made of it,
// {packet, again: messages}, with the same packet as the official encoder writes it, or {error}.
//
// What JSON cannot carry is tagged: {$: "bytes", is: base64}, {$: "date", is: milliseconds},
// {$: "undefined"}, and objects as {$: "object", is: [[key, value], ...]}.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import * as msgpackParser from "socket.io-msgpack-parser";
import * as defaultParser from "socket.io-parser";

const require = createRequire(import.meta.url);
const browserDecode = createRequire(require.resolve("socket.io-msgpack-parser"))("notepack.io/browser/decode.js");
const PARSERS = { default: defaultParser, msgpack: msgpackParser };

function tag(value) {
  if (value === undefined) return { $: "undefined" };
  if (Buffer.isBuffer(value) || value instanceof ArrayBuffer) {
    return { $: "bytes", is: Buffer.from(value).toString("base64") };
  }
  if (value instanceof Date) return { $: "date", is: value.getTime() };
  if (Array.isArray(value)) return value.map(tag);
  if (value && typeof value === "object") {
    return { $: "object", is: Object.entries(value).map(([key, item]) => [key, tag(item)]) };
  }
  return value;
}

const shown = ({ type, nsp, data, id }) => ({ type, nsp, data: tag(data), id: id ?? null });

function decode(parser, messages) {
  const decoder = new parser.Decoder();
  let packet;
  decoder.on("decoded", (decoded) => (packet = decoded));
  for (const { text, binary } of messages) decoder.add(text ?? Buffer.from(binary, "base64"));
  return packet;
}

function answer({ parser, messages }) {
  const packet = decode(PARSERS[parser], messages);
  const report = { packet: shown(packet) };
  if (parser === "msgpack") {
    // The bytes as a browser has them, and the decoder that it has.
    report.browser = shown(browserDecode(new Uint8Array(Buffer.from(messages[0].binary, "base64"))));
  }
  report.again = new PARSERS[parser].Encoder()
    .encode(packet)
    .map((each) => (typeof each === "string" ? { text: each } : { binary: Buffer.from(each).toString("base64") }));
  return report;
}

for await (const line of createInterface({ input: process.stdin })) {
  let report;
  try {
    report = answer(JSON.parse(line));
  } catch (error) {
    report = { error: String(error?.stack ?? error) };
  }
  console.log(JSON.stringify(report));
}
