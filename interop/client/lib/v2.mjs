// The official client of Socket.IO 2 in a scenario: as `Scenario` has it for Socket.IO 4, with that client's own words.

import v2 from "socket.io-client-v2";

import { MODES } from "./scenario.mjs";
import { event, within } from "./wait.mjs";

export class V2 {
  constructor(scenario) {
    this.scenario = scenario;
  }

  manager(options = {}, url = this.scenario.url) {
    const manager = new v2.Manager(url, {
      ...MODES[this.scenario.mode],
      reconnection: false,
      autoConnect: false,
      ...options,
      query: { tag: this.scenario.tag, ...options.query },
    });
    this.scenario.managers.push({ _close: () => manager.close() });
    return manager;
  }

  /** A socket on a connection of its own that has only just begun to connect; `query` is its namespace's. */
  open(nsp = "/", { query, url, ...options } = {}) {
    const socket = this.manager(options, url).socket(nsp, { query });
    socket.open();
    return socket;
  }

  async connect(nsp, options) {
    return this.connected(this.open(nsp, options));
  }

  async connected(socket) {
    if (socket.connected) return socket;
    const refused = new Promise((_, reject) => {
      for (const name of ["error", "connect_error"]) {
        socket.once(name, (error) => reject(new Error(`${name}: ${error?.description ?? JSON.stringify(error)}`)));
      }
    });
    refused.catch(() => {});
    await Promise.race([event(socket, "connect"), refused]);
    return socket;
  }

  /** Ask the server and wait for its acknowledgement. */
  ask(socket, name, ...args) {
    const answered = new Promise((resolve) => socket.emit(name, ...args, (...values) => resolve(values)));
    return within(answered, `the answer to "${name}"`).then((values) => (values.length > 1 ? values : values[0]));
  }

  /** When the answer is here, so is everything that the server sent to this socket before. */
  async fence(socket) {
    await this.ask(socket, "ack", "fence");
  }

  /** Wait until the connection uses the transport on which this mode settles. */
  async settled(socket) {
    const { engine } = socket.io;
    if (engine.transport.name !== this.scenario.transport) await event(engine, "upgrade");
    await this.fence(socket);
    return socket;
  }
}
