// What a scenario gets: sockets of the official client in the transport mode under test, and the server's log.

import { Manager } from "socket.io-client";

import { Proxy } from "./proxy.mjs";
import { Poller, Wire, refusedWire, request, unfinishedPost } from "./raw.mjs";
import { Tally, collect, event, within } from "./wait.mjs";

export const MODES = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};

let runs = 0;

export class Scenario {
  constructor(url, mode, several = false) {
    this.url = url;
    this.mode = mode;
    /** Whether each request goes to any of several servers: two on their way at once then come in any order. */
    this.several = several;
    // Marks everything this run does, so that the log of a server shared by many runs can be told apart.
    this.tag = `t${process.pid.toString(36)}${Date.now().toString(36)}${(runs++).toString(36)}`;
    /** Options of every client of this run. */
    this.options = {};
    this.managers = [];
    this.proxies = [];
    this.wires = [];
  }

  /** The name of the transport on which a connection of this mode settles. */
  get transport() {
    return this.mode === "polling" ? "polling" : "websocket";
  }

  /** A name that no other run uses, for rooms. */
  room(name) {
    return `${this.tag}-${name}`;
  }

  manager(options = {}, url = this.url) {
    const manager = new Manager(url, {
      ...MODES[this.mode],
      reconnection: false,
      autoConnect: false,
      ...this.options,
      ...options,
      query: { tag: this.tag, ...options.query },
    });
    this.managers.push(manager);
    return manager;
  }

  /** A socket on a connection of its own that has only just begun to connect. */
  open(nsp = "/", { auth, url, ...options } = {}) {
    const socket = this.manager(options, url).socket(nsp, { ...options, auth });
    socket.connect();
    return socket;
  }

  /** A connected socket on a connection of its own. */
  async connect(nsp, options) {
    const socket = this.open(nsp, options);
    await this.connected(socket);
    return socket;
  }

  async connected(socket) {
    if (socket.connected) return socket;
    const refused = new Promise((_, reject) => {
      socket.once("connect_error", (error) => {
        const cause = error.description?.message ?? error.description ?? "";
        reject(new Error(`connect_error: ${error.message} ${cause}`));
      });
    });
    refused.catch(() => {});
    await Promise.race([event(socket, "connect"), refused]);
    return socket;
  }

  /** `count` connected sockets, each on a connection of its own. */
  connectMany(count, nsp, options) {
    return Promise.all(Array.from({ length: count }, () => this.connect(nsp, options)));
  }

  /** Wait until the connection uses the transport on which this mode settles. */
  async settled(socket) {
    const engine = socket.io.engine;
    if (engine.transport.name !== this.transport) await event(engine, "upgrade");
    // The server has switched too once it answers over the new transport.
    await this.fence(socket);
    return socket;
  }

  /** When the answer is here, so is everything that the server sent to these sockets before. */
  async fence(...sockets) {
    for (const socket of sockets) await this.ask(socket, "ack", "fence");
  }

  /** Ask the server and wait for its acknowledgement, in test time. */
  ask(socket, name, ...args) {
    return within(socket.emitWithAck(name, ...args), `the answer to "${name}"`);
  }

  event(emitter, name, options) {
    return event(emitter, name, options);
  }

  collect(emitter, name) {
    return collect(emitter, name);
  }

  within(promise, what, ms) {
    return within(promise, what, ms);
  }

  /** Follow the server's log. Must be called before what is to be seen there happens. */
  async watch({ all = false, ...options } = {}) {
    const tally = new Tally("log entry");
    const observer = this.open("/control", { transports: ["websocket"], ...options });
    observer.on("log", (entry) => {
      if (all || entry.tag === this.tag) tally.add(entry);
    });
    await this.connected(observer);
    return new Log(tally, observer);
  }

  /** One HTTP request to a path of the server. */
  request(path, options) {
    return request(`${this.url}${path}`, options);
  }

  unfinishedPost(url, part) {
    return unfinishedPost(url, part);
  }

  /** A polling session made by hand; not opened yet. */
  poller({ query = "", ...options } = {}) {
    return new Poller(this.url, { query: `&tag=${this.tag}${query}`, ...options });
  }

  /** A WebSocket made by hand. */
  wire({ query = "", ...options } = {}) {
    const wire = new Wire(this.url, { query: `&tag=${this.tag}${query}`, ...options });
    this.wires.push(wire);
    return wire;
  }

  /** The answer to a WebSocket handshake that must be refused. */
  refusedWire(query, options) {
    return refusedWire(this.url, `${query}&tag=${this.tag}`, options);
  }

  async proxy() {
    const proxy = await new Proxy(this.url).start();
    this.proxies.push(proxy);
    return proxy;
  }

  close() {
    for (const manager of this.managers) manager._close();
    for (const proxy of this.proxies) proxy.stop();
    for (const wire of this.wires) wire.ws.terminate();
  }
}

/** What the server says it has seen. */
class Log {
  constructor(tally, observer) {
    this.tally = tally;
    this.observer = observer;
  }

  get entries() {
    return this.tally.items;
  }

  of(kind) {
    return this.entries.filter((entry) => entry.kind === kind);
  }

  /** The first entry of a kind with these properties, past or to come. */
  find(kind, properties = {}, ms) {
    const wanted = Object.entries(properties);
    const fits = (entry) => entry.kind === kind && wanted.every(([key, value]) => entry[key] === value);
    return this.tally.find(fits, ms, `log entry ${kind} ${JSON.stringify(properties)}`);
  }

  /** All entries of a kind once there are `count`. */
  reach(kind, count, ms) {
    const enough = () => this.of(kind).length >= count && this.of(kind);
    return this.tally.until(enough, `${count} log entries ${kind}`, ms);
  }

  /** Everything that the server has logged up to now has arrived when this resolves. */
  async fence() {
    await within(this.observer.emitWithAck("ack"), "the log to answer");
  }

  /** How many namespaces have been announced: by each server of several that needed them. */
  announced() {
    const nodes = {};
    for (const { node } of this.of("new_namespace")) nodes[node] = (nodes[node] ?? 0) + 1;
    return Math.max(0, ...Object.values(nodes));
  }

  /** Wait until a poll of the session waits at the server. */
  async polled(sid) {
    while (!(await this.order("polled", sid)).length);
  }

  /** Have the server do something to itself or to its sockets. */
  order(...args) {
    return within(this.observer.emitWithAck(...args), `order ${args[0]}`);
  }
}
