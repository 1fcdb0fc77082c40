// The page of the demo: a Socket.IO client in plain JavaScript. What others have typed is only ever text.

const $ = (id) => document.getElementById(id);
const people = new Map(); // id -> { id, name, transport }
const typing = new Set(); // ids

const { io } = await import("/socket.io.esm.min.js").catch(() => {
  notice("The browser client is missing. Install Node.js, which brings npm, and start the demo again: " +
    "it then fetches the client. Until then, the terminal shows what the server sees.");
  return new Promise(() => {}); // nothing below would work
});

// The name outlives a reload; each tab has its own.
const socket = io({ auth: (give) => give({ name: sessionStorage.getItem("name") }) });

// --- this tab's connection ---

socket.io.on("open", () => {
  const engine = socket.io.engine;
  const opened = performance.now();
  showTransport(engine.transport.name);
  engine.on("upgrading", (transport) => { $("upgrade").textContent = `trying ${transport.name} …`; });
  engine.on("upgrade", (transport) => {
    showTransport(transport.name);
    const took = `${Math.round(performance.now() - opened)} ms`;
    $("upgrade").textContent = `upgraded after ${took}`;
    note(`Upgraded from polling to ${transport.name} after ${took}`);
  });
});

socket.on("connect", () => {
  $("socket-id").textContent = socket.id;
  $("notice").hidden = true;
  note(`Connected over ${socket.io.engine.transport.name}`);
  setEnabled(true);
});

socket.on("disconnect", (reason) => {
  note(`Disconnected (${reason})`);
  $("socket-id").textContent = "not connected";
  $("upgrade").textContent = "";
  showTransport(null);
  people.clear();
  typing.clear();
  showPeople();
  showTyping();
  setEnabled(false);
  if (socket.active) notice("The connection is lost. Trying again …");
});

socket.on("connect_error", (error) => {
  notice(socket.active ? "The server does not answer. Trying again …" : `Refused: ${error.message}`);
});

$("switch").addEventListener("click", () => (socket.connected ? socket.disconnect() : socket.connect()));

function setEnabled(connected) {
  for (const field of document.querySelectorAll("#composer *, #name")) field.disabled = !connected;
  $("switch").disabled = false;
  $("switch").textContent = connected ? "Disconnect" : "Connect";
  if (connected && document.activeElement === document.body) $("text").focus();
}

function showTransport(name) {
  for (const step of $("transport").children) {
    if (step.dataset.name === name) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
  $("transport").classList.toggle("upgraded", name === "websocket");
}

// --- who is here ---

socket.on("welcome", (name, everybody) => {
  rememberName(name);
  for (const person of everybody) people.set(person.id, person);
  showPeople();
});

socket.on("joined", (person) => {
  people.set(person.id, person);
  showPeople();
  note(`${person.name} joined`);
});

socket.on("left", (id, name, reason) => {
  people.delete(id);
  typing.delete(id);
  showPeople();
  showTyping();
  note(`${name} left (${reason})`);
});

socket.on("moved", (id, transport) => change(id, { transport }));

socket.on("renamed", (id, name) => {
  note(`${people.get(id)?.name} is now ${name}`);
  change(id, { name });
});

$("rename").addEventListener("submit", (event) => {
  event.preventDefault();
  $("text").focus(); // which leaves the field, and that renames
});

$("name").addEventListener("change", async () => {
  const name = await socket.timeout(5000).emitWithAck("rename", $("name").value);
  rememberName(name);
  change(socket.id, { name });
});

function rememberName(name) {
  $("name").value = name;
  document.title = `${name} – Socketeer demo`;
  sessionStorage.setItem("name", name);
}

function change(id, news) {
  if (people.has(id)) Object.assign(people.get(id), news);
  showPeople();
  showTyping();
}

function showPeople() {
  $("count").textContent = people.size;
  const mineFirst = [...people.values()].sort((a, b) => (b.id === socket.id) - (a.id === socket.id));
  $("people").replaceChildren(...mineFirst.map((person) => {
    const item = tag("li", "", { "data-id": person.id, hue: hue(person.id) });
    const name = tag("span", "name", {}, person.name);
    if (person.id === socket.id) name.append(tag("small", "", {}, " (this tab)"));
    item.append(
      tag("span", "face", { "aria-hidden": "true" }, [...person.name][0].toUpperCase()),
      name,
      tag("span", `by ${person.transport}`, {}, person.transport),
      tag("code", "id", {}, person.id),
    );
    return item;
  }));
}

// --- the chat ---

socket.on("chat message", ({ id, name, text }) => {
  typing.delete(id);
  showTyping();
  message(id, name, text);
});

socket.on("typing", (id, on) => {
  typing[on ? "add" : "delete"](id);
  showTyping();
});

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  tellTyping(false);
  const fate = message(socket.id, people.get(socket.id)?.name ?? "You", text);
  const sent = performance.now();
  try {
    const others = await socket.timeout(5000).emitWithAck("chat message", text);
    const took = (performance.now() - sent).toFixed(1);
    fate.textContent = `acknowledged in ${took} ms, sent on to ${others} ${others === 1 ? "other" : "others"}`;
  } catch {
    fate.textContent = "not acknowledged within 5 seconds";
  }
});

let told = false;
let rest;

$("text").addEventListener("input", () => tellTyping($("text").value !== ""));

function tellTyping(on) {
  clearTimeout(rest);
  if (on) rest = setTimeout(tellTyping, 3000, false);
  if (on !== told) socket.emit("typing", (told = on));
}

function showTyping() {
  const names = [...typing].map((id) => people.get(id)?.name).filter(Boolean);
  $("typing").textContent = names.length === 0 ? "" :
    names.length === 1 ? `${names[0]} is typing …` : `${names.join(", ")} are typing …`;
}

function message(id, name, text) {
  const mine = id === socket.id;
  const item = tag("li", mine ? "message mine" : "message", { hue: hue(id) });
  const fate = tag("p", "fate");
  item.append(tag("p", mine ? "unseen" : "who", {}, name), tag("p", "text", {}, text));
  if (mine) item.append(fate);
  add(item);
  return fate;
}

// --- small things ---

function note(text) {
  add(tag("li", "note", {}, text));
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = false;
}

function add(item) {
  const log = $("log");
  log.append(item);
  while (log.children.length > 300) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}

function tag(name, className = "", attributes = {}, text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "hue") element.style.setProperty("--hue", value); // no style attribute: the CSP forbids it
    else element.setAttribute(key, value);
  }
  element.textContent = text;
  return element;
}

const hues = new Map();

function hue(id) {
  // Far from the one before: by the golden angle, from the accent's colour on.
  if (!hues.has(id)) hues.set(id, Math.round(340 + hues.size * 137.5) % 360);
  return hues.get(id);
}
