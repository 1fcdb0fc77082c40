// The wire by hand, for what the official client never does: half sessions, bad requests, silence.

import http from "node:http";

import { WebSocket } from "ws";

import { Tally, within } from "./wait.mjs";

const SEPARATOR = "\x1e";

/** One HTTP request, nothing added to it and nothing taken from its answer. */
export function request(url, { method = "GET", headers = {}, body, ms } = {}) {
  const answered = new Promise((resolve, reject) => {
    const outgoing = http.request(url, { method, headers, agent: false }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const bytes = Buffer.concat(chunks);
        resolve({ status: response.statusCode, headers: response.headers, bytes, body: bytes.toString() });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
  return within(answered, `${method} ${url}`, ms);
}

/** An HTTP request whose body stays unfinished until `finish()`; `answered` settles with the response. */
export function unfinishedPost(url, part) {
  const outgoing = http.request(url, { method: "POST", headers: { "content-type": "text/plain" }, agent: false });
  const answered = new Promise((resolve, reject) => {
    outgoing.on("response", (response) => {
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode }));
      response.on("error", reject);
    });
    outgoing.on("error", reject);
  });
  answered.catch(() => {});
  const sent = new Promise((resolve) => outgoing.write(part, resolve));
  return { sent, answered, finish: (rest) => outgoing.end(rest), abort: () => outgoing.destroy() };
}

/** An Engine.IO session over polling in which every request is made by the scenario itself. */
export class Poller {
  constructor(url, { path = "/socket.io/", query = "", headers = {} } = {}) {
    this.endpoint = `${url}${path}?EIO=4&transport=polling${query}`;
    this.headers = headers;
  }

  get url() {
    return `${this.endpoint}&sid=${this.sid}`;
  }

  async open() {
    const response = await request(this.endpoint, { headers: this.headers });
    if (response.status !== 200 || response.body[0] !== "0") {
      throw new Error(`no handshake: ${response.status} ${response.body}`);
    }
    this.handshake = JSON.parse(response.body.slice(1));
    this.sid = this.handshake.sid;
    return response;
  }

  /** The packets of one poll. */
  async poll(options) {
    const response = await this.get(options);
    if (response.status !== 200) throw new Error(`poll: ${response.status} ${response.body}`);
    return response.body.split(SEPARATOR);
  }

  /** Poll until a packet satisfies `where`; returns all packets seen, that one last. */
  async pollFor(where) {
    const seen = [];
    for (;;) {
      for (const packet of await this.poll()) {
        seen.push(packet);
        if (where(packet)) return seen;
      }
    }
  }

  get(options = {}) {
    return request(this.url, { headers: this.headers, ...options });
  }

  post(...packets) {
    return request(this.url, {
      method: "POST",
      headers: { "content-type": "text/plain;charset=UTF-8", ...this.headers },
      body: packets.join(SEPARATOR),
    });
  }

  /** Join a namespace; returns the payload of the server's CONNECT packet. */
  async join(auth = {}, nsp = "/") {
    const prefix = nsp === "/" ? "" : `${nsp},`;
    await this.post(`40${prefix}${JSON.stringify(auth)}`);
    const packets = await this.pollFor((packet) => packet.startsWith(`40${prefix}`));
    return JSON.parse(packets.at(-1).slice(2 + prefix.length));
  }
}

/** A bare WebSocket: what arrives, and how it ends. */
export class Wire {
  constructor(url, { query = "", path = "/socket.io/", version = 4, options = {} } = {}) {
    const address = `${url.replace("http", "ws")}${path}?EIO=${version}&transport=websocket${query}`;
    this.ws = new WebSocket(address, options);
    this.messages = new Tally("WebSocket message");
    this.opened = within(new Promise((resolve, reject) => {
      this.ws.on("upgrade", (response) => (this.headers = response.headers));
      this.ws.on("open", resolve);
      this.ws.on("error", reject);
    }), "the WebSocket to open");
    this.closing = new Promise((resolve) => this.ws.on("close", (code) => resolve(code)));
    this.ws.on("message", (data, binary) => this.messages.add(binary ? data : data.toString()));
    this.taken = 0;
  }

  send(data) {
    this.ws.send(data);
  }

  /** The next message, in order. */
  async next() {
    const items = await this.messages.reach(++this.taken);
    return items[this.taken - 1];
  }

  /** The code with which the socket was closed. */
  closed(ms) {
    return within(this.closing, "the WebSocket to close", ms);
  }

  /** Open, read the handshake and join a namespace; returns the payload of the server's CONNECT packet. */
  async join(auth = {}) {
    await this.opened;
    this.handshake = JSON.parse((await this.next()).slice(1));
    this.send(`40${JSON.stringify(auth)}`);
    return JSON.parse((await this.next()).slice(2));
  }
}

/** The HTTP answer of a server that refuses a WebSocket handshake. */
export function refusedWire(url, query, { path = "/socket.io/", headers = {}, ...options } = {}) {
  const refused = new Promise((resolve, reject) => {
    const ws = new WebSocket(`${url.replace("http", "ws")}${path}?${query}`, { headers, ...options });
    ws.on("open", () => reject(new Error(`the handshake ?${query} was accepted`)));
    ws.on("error", reject);
    ws.on("unexpected-response", (_, response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => {
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() });
      });
    });
  });
  return within(refused, `the refusal of ?${query}`);
}
