// permessage-deflate, for servers that offer it.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

export const negotiated_and_used = where({ profile: "deflate", modes: ["websocket", "upgrade"] }, async (t) => {
  const wire = t.wire();
  await wire.opened;
  assert.match(wire.headers["sec-websocket-extensions"] ?? "", /permessage-deflate/);
  const socket = await t.connect();
  await t.settled(socket);
  for (const text of ["short", "long ".repeat(20_000)]) {
    const back = t.event(socket, "echo");
    socket.emit("echo", text, Buffer.from(text));
    const [string, buffer] = await back;
    assert.ok(string === text && buffer.equals(Buffer.from(text)));
  }
});
