// Clients of Socket.IO 2 (Engine.IO 3), where the server allows them, beside those of Socket.IO 4.

import assert from "node:assert/strict";

import { where } from "./lib/where.mjs";

const bytes = (...values) => Buffer.from(values);
const numbers = (count) => Array.from({ length: count }, (_, i) => i);

/** A scenario that has clients of both kinds; they need their packages, which a mere list of scenarios does not. */
function both(run, more = {}) {
  return where({ profile: "eio3", ...more }, async (t) => {
    const { V2 } = await import("./lib/v2.mjs");
    return run(t, new V2(t));
  });
}

async function echo(t, socket, ...args) {
  const back = t.event(socket, "echo");
  socket.emit("echo", ...args);
  return back;
}

const TEXTS = {
  plain: "plain",
  empty: "",
  accents: "čeština, Ελληνικά, 日本語",
  "outside the basic plane": "😀👩‍👩‍👧‍👦𝄞",
  "ends of lines": "a\nb\r\nc\u2028d\u2029e",
  "backslashes": "\\ \\n \\\\n \\\n \\\\\n",
  "control characters": "\u0000\u001e\u007f\u0080\u00ff",
  "looks like a payload": "5:hello3:b4A",
  "looks like markup": "</script><!-- ]]>",
};

const VALUES = [null, true, 0, -1.5, 2 ** 70, [], {}, { a: [{ b: [[null]] }] }, [1, [2, [3]]]];

const SHAPES = {
  alone: [bytes(1, 2, 3)],
  empty: [Buffer.alloc(0)],
  "every byte": [Buffer.from(numbers(256))],
  "deep down": [{ a: [{ b: { c: [[bytes(9)]] } }] }],
  "among arguments": ["text 😀", bytes(1), 7, { x: bytes(2) }, null, [bytes(3)]],
};

export const connects = both(async (t, v2) => {
  const socket = await v2.connect();
  const there = await v2.ask(socket, "describe");
  assert.equal(there.id, socket.id, "the same id on both sides");
  assert.equal(there.id, socket.io.engine.id, "and it is the session's");
  assert.deepEqual([there.nsp, there.connected, there.rooms], ["/", true, [socket.id]]);
  await v2.settled(socket);
  assert.equal((await v2.ask(socket, "describe")).transport, t.transport);
  const { query, auth } = await v2.ask(socket, "handshake");
  assert.deepEqual([query.EIO, query.tag, auth], ["3", t.tag, {}]);
});

export const events_both_ways = both(async (t, v2) => {
  const socket = await v2.connect();
  for (const [name, text] of Object.entries(TEXTS)) assert.deepEqual(await echo(t, socket, text), [text], name);
  for (const value of VALUES) assert.deepEqual(await echo(t, socket, value), [value]);
  const all = [...Object.values(TEXTS), ...VALUES];
  assert.deepEqual(await echo(t, socket, ...all), all, "all at once");
  assert.deepEqual(await echo(t, socket), []);
});

export const many_in_order = both(async (t, v2) => {
  const socket = await v2.connect();
  const [echoes, streamed] = [t.collect(socket, "echo"), t.collect(socket, "number")];
  for (const i of numbers(300)) socket.emit("echo", i, "ž😀".repeat(i % 7));
  socket.emit("burst", "number", 500);
  await Promise.all([echoes.reach(300), streamed.reach(500)]);
  assert.deepEqual(echoes.items.map(([i]) => i), numbers(300));
  assert.deepEqual(streamed.items.map(([i]) => i), numbers(500));
});

export const acknowledgements = both(async (t, v2) => {
  const socket = await v2.connect();
  assert.deepEqual(await v2.ask(socket, "ack", 1, "two", { three: 3 }), [1, "two", { three: 3 }]);
  socket.on("double", (n, callback) => callback(n * 2));
  assert.deepEqual(await v2.ask(socket, "ask", "double", 2_000, [21]), { value: 42 });
  assert.deepEqual(await v2.ask(socket, "ask", "unheard", 50, []), { error: "operation has timed out" });
});

export const binary = both(async (t, v2) => {
  const socket = await v2.connect();
  for (const [name, args] of Object.entries(SHAPES)) {
    assert.deepEqual(await echo(t, socket, ...args), args, name);
    const answer = await v2.ask(socket, "ack", ...args);
    assert.deepEqual(answer, args.length > 1 ? args : args[0], `acknowledged: ${name}`);
  }
  socket.on("reverse", (content, callback) => callback({ content: Buffer.from(content).reverse() }));
  assert.deepEqual(await v2.ask(socket, "ask", "reverse", 2_000, [bytes(1, 2, 3)]), { value: { content: bytes(3, 2, 1) } });
});

export const binary_as_text = both(async (t, v2) => {
  const socket = await v2.connect("/", { forceBase64: true });
  await v2.settled(socket);
  assert.deepEqual(await echo(t, socket, bytes(251, 255), "ž", [bytes()]), [bytes(251, 255), "ž", [bytes()]]);
});

export const binary_among_text = both(async (t, v2) => {
  const socket = await v2.connect();
  const echoes = t.collect(socket, "echo");
  const sent = numbers(200).map((i) => (i % 3 ? [i, "ž😀"] : [i, bytes(i % 256), { more: bytes(1) }]));
  for (const args of sent) socket.emit("echo", ...args);
  assert.deepEqual(await echoes.reach(sent.length), sent);
});

export const large_messages = both(async (t, v2) => {
  const socket = await v2.connect();
  const text = "large ✓ 😀 ".repeat(30_000);
  assert.ok((await echo(t, socket, text))[0] === text);
  const content = Buffer.alloc(400_000, "0123456789abcdef");
  assert.ok(content.equals((await echo(t, socket, content))[0]));
});

export const namespaces_with_a_query = both(async (t, v2) => {
  const manager = v2.manager();
  const main = manager.socket("/").open();
  const chat = manager.socket("/chat", { query: { token: "a b&c=ž", empty: "" } }).open();
  await Promise.all([v2.connected(main), v2.connected(chat)]);
  const [there, here] = [await v2.ask(main, "describe"), await v2.ask(chat, "describe")];
  assert.equal(there.conn, here.conn, "one connection");
  assert.deepEqual([here.nsp, here.id], ["/chat", `/chat#${manager.engine.id}`]);
  assert.equal(here.id, chat.id, "the same id on both sides");
  assert.deepEqual((await v2.ask(chat, "handshake")).auth, { token: "a b&c=ž", empty: "" });
  assert.deepEqual(await echo(t, chat, bytes(1)), [bytes(1)]);
  const watch = await t.watch();
  chat.close();
  assert.equal((await watch.find("disconnect", { id: here.id })).reason, "client namespace disconnect");
  assert.equal(await v2.ask(main, "ack", "alive"), "alive");
  chat.open();
  await v2.connected(chat);
  assert.equal((await v2.ask(chat, "describe")).id, here.id, "joined again under the same id");
});

export const an_unknown_namespace = both(async (t, v2) => {
  const manager = v2.manager();
  const main = manager.socket("/").open();
  await v2.connected(main);
  const [error] = await t.event(manager.socket("/lost", { query: "a=1" }).open(), "error");
  assert.deepEqual(error, { message: "Invalid namespace" });
  assert.equal(await v2.ask(main, "ack", "alive"), "alive");
});

export const broadcasts_to_both_kinds = both(async (t, v2) => {
  const [old, other] = await Promise.all([v2.connect(), v2.connect()]);
  const recent = await t.connect();
  const room = t.room("mixed");
  await Promise.all([v2.ask(old, "join", room), v2.ask(other, "join", room), t.ask(recent, "join", room)]);
  const all = [old, other, recent];
  for (const args of [["text 😀\n"], [{ name: "x", parts: [bytes(1), bytes(2, 3)] }], ["again"]]) {
    const heard = all.map((socket) => t.event(socket, "news"));
    await v2.ask(old, "relay", { via: "io", to: [room] }, "news", ...args);
    for (const each of heard) assert.deepEqual(await each, args);
  }
  const [mine, theirs] = [t.collect(old, "others"), [other, recent].map((socket) => t.event(socket, "others"))];
  await v2.ask(old, "relay", { via: "socket", to: [room] }, "others", bytes(7));
  for (const each of theirs) assert.deepEqual(await each, [bytes(7)]);
  await v2.fence(old);
  assert.equal(mine.length, 0, "not to the one that sends");
  const direct = t.event(old, "direct");
  await t.ask(recent, "relay", { via: "io", to: [old.id] }, "direct", 1);
  assert.deepEqual(await direct, [1], "its id is a room of its own");
});

export const answers_of_both_kinds = both(async (t, v2) => {
  const [old, recent] = [await v2.connect(), await t.connect()];
  const room = t.room("asked");
  await Promise.all([v2.ask(old, "join", room), t.ask(recent, "join", room)]);
  old.on("part", (content, callback) => callback(Buffer.concat([content, bytes(2)])));
  recent.on("part", (content, callback) => callback(Buffer.concat([content, bytes(4)])));
  const spec = { via: "io", to: [room], timeout: 2_000 };
  const { responses } = await t.ask(recent, "ask many", spec, "part", [bytes(0)]);
  assert.deepEqual(responses.sort(Buffer.compare), [bytes(0, 2), bytes(0, 4)]);
});

export const a_middleware_refuses = both(async (t, v2) => {
  const watch = await t.watch();
  const manager = v2.manager();
  await v2.connected(manager.socket("/").open());
  const error = async (query) => (await t.event(manager.socket("/secret", { query }).open(), "error"))[0];
  assert.equal(await error(undefined), "not authorized", "the message alone");
  delete manager.nsps["/secret"]; // which keeps a socket's query for as long as it lives
  assert.deepEqual(await error({ token: "guessed" }), { code: 4001, hints: ["spelling", { case: true }] }, "the data alone");
  await watch.fence();
  assert.deepEqual(watch.of("connection").filter(({ nsp }) => nsp === "/secret"), []);
});

export const a_middleware_lets_through = both(async (t, v2) => {
  const socket = await v2.connect("/secret", { query: { token: "s3cret" } });
  assert.deepEqual((await v2.ask(socket, "describe")).data, { steps: ["first", "second"] });
  const eager = v2.open("/eager");
  const early = t.collect(eager, "early");
  await v2.connected(eager);
  await early.reach(2);
  assert.deepEqual(early.items.flat(), ["from the middleware", "from the connection handler"]);
});

export const disconnects = both(async (t, v2) => {
  const watch = await t.watch();
  const leave = async (act, here, there) => {
    const socket = await v2.settled(await v2.connect());
    const { id } = socket;
    const gone = t.event(socket, "disconnect");
    act(socket);
    assert.equal((await gone)[0], here);
    const { reason, rooms } = await watch.find("disconnect", { id });
    assert.deepEqual([reason, rooms], [there, []]);
  };
  await leave((socket) => socket.close(), "io client disconnect", "client namespace disconnect");
  await leave((socket) => socket.emit("disconnect_me", false), "io server disconnect", "server namespace disconnect");
  await leave((socket) => socket.emit("disconnect_me", true), "io server disconnect", "server namespace disconnect");
  await leave((socket) => socket.emit("close_connection"), "transport close", "forced close");
  await leave((socket) => socket.io.engine.close(), "forced close", "transport close");
});

export const keeps_a_quiet_connection = both(async (t, v2) => {
  const socket = await v2.settled(await v2.connect());
  const ended = t.collect(socket, "disconnect");
  await t.collect(socket.io.engine, "pong").reach(5);
  assert.equal(ended.length, 0);
  assert.equal(await v2.ask(socket, "ack", "alive"), "alive");
}, { profile: "eio3_heartbeat" });

export const both_notice_silence = both(async (t, v2) => {
  const watch = await t.watch();
  const proxy = await t.proxy();
  const socket = await v2.connect("/", { url: proxy.url });
  await v2.settled(socket);
  const ended = t.event(socket, "disconnect");
  proxy.freeze();
  assert.equal((await ended)[0], "ping timeout");
  assert.equal((await watch.find("disconnect")).reason, "ping timeout");
  // Not after an upgrade: with it the official server forgets the time-out of Engine.IO 3 for good.
}, { profile: "eio3_heartbeat", modes: ["polling", "websocket"] });

export const nothing_lost_in_the_upgrade = both(async (t, v2) => {
  const sockets = numbers(5).map(() => v2.open());
  await Promise.all(sockets.map(async (socket) => {
    const [echoes, streamed] = [t.collect(socket, "echo"), t.collect(socket, "number")];
    const sent = [];
    const send = () => {
      const i = sent.length;
      sent.push(i % 3 ? [i, "ž😀"] : [i, bytes(i % 256)]);
      socket.emit("echo", ...sent[i]);
    };
    socket.emit("stream", "number", 300);
    const { engine } = socket.io;
    let upgraded = false;
    engine.on("upgrade", () => (upgraded = true));
    for (const name of ["open", "upgrading", "upgrade"]) engine.on(name, () => numbers(20).forEach(send));
    for (let after = 0; after < 50; after += upgraded ? 1 : 0) {
      send();
      await new Promise(setImmediate);
    }
    await Promise.all([echoes.reach(sent.length, 10_000), streamed.reach(300, 10_000)]);
    assert.deepEqual(echoes.items, sent, "once each, in order");
    assert.deepEqual(streamed.items.map(([i]) => i), numbers(300));
  }));
}, { modes: ["upgrade"] });

export const on_the_wire = both(async (t) => {
  const wire = t.wire({ version: 3 });
  await wire.opened;
  const opened = JSON.parse((await wire.next()).slice(1));
  assert.deepEqual(Object.keys(opened), ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]);
  assert.equal(await wire.next(), "40", "in the main namespace, unasked");
  wire.send("2");
  assert.equal(await wire.next(), "3");
  wire.send('451-["echo",{"_placeholder":true,"num":0}]');
  wire.send(bytes(4, 9));
  assert.equal(await wire.next(), '451-["echo",{"_placeholder":true,"num":0}]');
  assert.deepEqual(await wire.next(), bytes(4, 9), "the type stands before the data");
  wire.send("40/chat?token=1,");
  assert.equal(await wire.next(), "40/chat,");
  wire.send("40/lost?token=1,");
  assert.equal(await wire.next(), '44/lost,{"message":"Invalid namespace"}');
  wire.send("40/secret");
  assert.equal(await wire.next(), '44/secret,"not authorized"');
  wire.send("3");
  await wire.closed();
}, { modes: ["websocket"] });

export const whatever_is_not_4_is_3 = both(async (t) => {
  for (const version of ["3", "2", "", "abc"]) {
    const wire = t.wire({ version });
    await wire.opened;
    await wire.next();
    assert.equal(await wire.next(), "40", `EIO=${version}`);
  }
}, { modes: ["websocket"] });

/** A session over polling by hand: `requests` of it are made with `more` in their query. */
async function session(t, more = "") {
  const path = `/socket.io/?EIO=3&transport=polling&tag=${t.tag}${more}`;
  const headers = { referer: `${t.url}/page` };
  const first = await t.request(path, { headers });
  const sid = /\\?"sid\\?":\\?"([\w-]{20})/.exec(first.body)[1];
  const url = `${path}&sid=${sid}`;
  let body = first.body;
  return {
    first,
    sid,
    /** Everything that polls have brought, once `pattern` is in it. */
    async until(pattern) {
      while (!pattern.test(body)) {
        const { status, bytes } = await t.request(url, { headers });
        assert.equal(status, 200);
        body += bytes.toString("latin1");
      }
      const found = body;
      body = "";
      return found;
    },
    get: () => t.request(url, { headers }),
    post: (data, type = "text/plain;charset=UTF-8") => {
      return t.request(url, { method: "POST", headers: { ...headers, "content-type": type }, body: data });
    },
  };
}

export const payloads = both(async (t) => {
  const open = await session(t);
  assert.match(open.first.headers["content-type"], /^text\/plain; charset=UTF-8$/i);
  assert.match(open.first.body, /^\d+:0\{"sid"/);
  assert.match(await open.until(/2:40/), /2:40$/);
  assert.equal((await open.post('16:42["echo","ž😀"]')).body, "ok", "characters are counted, not bytes");
  assert.equal(Buffer.from(await open.until(/echo/), "latin1").toString(), '16:42["echo","ž😀"]');
  const packet = '451-["echo",{"_placeholder":true,"num":0}]';
  await open.post(`42:${packet}6:b4AQI=`);
  const binary = await open.get();
  assert.equal(binary.headers["content-type"], "application/octet-stream");
  const expected = Buffer.concat([bytes(0, 4, 2, 255), Buffer.from(packet), bytes(1, 3, 255, 4, 1, 2)]);
  assert.deepEqual(binary.bytes, expected);
  await open.post(expected, "application/octet-stream");
  assert.deepEqual((await open.get()).bytes, expected);
  await open.post(Buffer.concat([bytes(0, 1, 9, 255), Buffer.from('42["echo","ž😀"]')]), "application/octet-stream");
  assert.match(await open.until(/echo/), /^16:42/, "in this form bytes are counted");
  await open.post("1:2");
  assert.equal(await open.until(/3/), "1:3");
}, { modes: ["polling"] });

export const payloads_for_who_takes_no_binary = both(async (t) => {
  const open = await session(t, "&b64=1");
  await open.until(/2:40/);
  const packets = '42:451-["echo",{"_placeholder":true,"num":0}]6:b4AQI=';
  await open.post(packets);
  assert.equal(await open.until(/b4/), packets);
}, { modes: ["polling"] });

export const jsonp = both(async (t) => {
  const open = await session(t, "&j=7%27%5D(alert)&b64=1");
  assert.match(open.first.body, /^___eio\[7\]\("\d+:0\{\\"sid\\"/, "only the digits are used");
  await open.until(/2:40/);
  const text = "\u2028\u2029</script>\n\\n\\\\n\"😀";
  const packet = `42${JSON.stringify(["echo", text])}`;
  const escaped = `${packet.length}:${packet}`.replace(/\\n/g, "\\\n").replace(/\n/g, "\\n");
  const answer = await open.post(`d=${encodeURIComponent(escaped)}`, "application/x-www-form-urlencoded");
  assert.deepEqual([answer.status, answer.body], [200, "ok"]);
  const script = Buffer.from(await open.until(/echo/), "latin1").toString();
  assert.doesNotMatch(script, /[\u2028\u2029]/);
  const heard = [];
  new Function("___eio", script)({ 7: (payload) => heard.push(payload) });
  assert.deepEqual(JSON.parse(heard[0].slice(heard[0].indexOf(":") + 3)), ["echo", text]);
}, { modes: ["polling"] });

export const a_session_keeps_its_protocol = both(async (t) => {
  const open = await session(t);
  const other = await t.request(`/socket.io/?EIO=4&transport=polling&sid=${open.sid}`);
  assert.deepEqual([other.status, JSON.parse(other.body).code], [400, 3]);
  const poller = t.poller();
  await poller.open();
  const old = await t.request(`/socket.io/?EIO=3&transport=polling&sid=${poller.sid}`);
  assert.deepEqual([old.status, JSON.parse(old.body).code], [400, 3]);
  await open.until(/2:40/);
  await open.post("16:42[\"echo\",\"ž😀\"]");
  await open.until(/echo/);
}, { modes: ["polling"] });

export const internet_explorer_is_told_not_to_look = both(async (t) => {
  const headers = { "user-agent": "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko" };
  const { headers: told } = await t.request("/socket.io/?EIO=3&transport=polling", { headers });
  assert.equal(told["x-xss-protection"], "0");
  assert.equal((await t.request("/socket.io/?EIO=3&transport=polling")).headers["x-xss-protection"], undefined);
}, { modes: ["polling"] });

export const refused_where_not_allowed = both(async (t) => {
  const refused = await t.request("/socket.io/?EIO=3&transport=polling");
  assert.deepEqual([refused.status, JSON.parse(refused.body).code], [400, 5]);
}, { modes: ["polling"], profile: "default" });
