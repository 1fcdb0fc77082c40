// Official clients of one server that has several workers: node workers_clients.mjs URL COUNT
// Commands come as JSON lines on stdin, and each is answered by one line on stdout:
//   ["who"]                  each client's [pid, version] of who serves it
//   ["say", client, ...]     that client says something to all
//   ["heard", count]         once each client has heard so much: what each has heard, and forgotten
//   ["renewed", version]     once each client is served by that version, having been cut off: the reasons
import { createInterface } from "node:readline";
import { io as connect } from "socket.io-client";

const [url, count] = process.argv.slice(2);
const options = { transports: ["websocket"], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
const clients = Array.from({ length: Number(count) }, () => connect(url, options));
const heard = clients.map(() => []);
const left = clients.map(() => []);
const connections = clients.map(() => 0);
let changed = () => {};

clients.forEach((client, number) => {
  client.on("connect", () => (connections[number]++, changed()));
  client.on("disconnect", (reason) => (left[number].push(reason), changed()));
  client.on("said", (...words) => (heard[number].push(words), changed()));
  client.on("asked", (value, answer) => answer([number, value]));
});

async function until(met) {
  while (!met()) await new Promise((resolve) => (changed = resolve));
}

const operations = {
  who: () => Promise.all(clients.map((client) => client.timeout(20_000).emitWithAck("who"))),
  say: (number, ...words) => clients[number].timeout(20_000).emitWithAck("say", ...words),
  ask: (number, value) => clients[number].timeout(20_000).emitWithAck("ask all", value),
  heard: async (wanted) => {
    await until(() => heard.every((each) => each.length >= wanted));
    return heard.map((each) => each.splice(0));
  },
  renewed: async (version) => {
    for (const client of clients) {
      const served = () => client.timeout(2000).emitWithAck("who").catch(() => []);
      while ((await served())[1] !== version);
    }
    return left;
  },
};

await until(() => connections.every((each) => each === 1));
console.log(JSON.stringify({ connected: clients.map((client) => client.id) }));
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line);
  console.log(JSON.stringify({ answer: (await operations[name](...args)) ?? null }));
}
process.exit();
