// A TCP proxy between client and server that can fall silent or drop its connections, as networks do.

import net from "node:net";

export class Proxy {
  constructor(target) {
    const { hostname, port } = new URL(target);
    this.pairs = new Set();
    this.frozen = false;
    this.down = false;
    this.holdUpgrades = false;
    this.server = net.createServer((near) => {
      if (this.down) return near.destroy();
      const far = net.connect(Number(port), hostname);
      const pair = [near, far];
      this.pairs.add(pair);
      for (const [from, to] of [[near, far], [far, near]]) {
        from.on("data", (chunk) => {
          if (this.frozen) return;
          if (this.holdUpgrades && from === near && /^upgrade: websocket/im.test(chunk.toString("latin1"))) return;
          to.write(chunk);
        });
        from.on("end", () => this.frozen || to.end());
        from.on("error", () => to.destroy());
        from.on("close", () => this.frozen || to.destroy());
      }
      near.on("close", () => this.frozen || this.pairs.delete(pair));
    });
  }

  async start() {
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  /** From now on nothing passes, and nobody is told. */
  freeze() {
    this.frozen = true;
  }

  /** Every connection ends at once, on both sides, and no new one comes about. */
  cut() {
    this.down = true;
    for (const pair of this.pairs) for (const socket of pair) socket.destroy();
    this.pairs.clear();
  }

  /** New connections come about again. */
  mend() {
    this.down = false;
    this.holdUpgrades = false;
  }

  stop() {
    this.cut();
    this.server.close();
  }
}
