// node run.mjs --list                       what there is, one JSON document
// node run.mjs <scenario> <url> <mode> [several]  run one; prints one JSON line, exit code 0 when it holds
// node run.mjs --serve                      the same for every line "<scenario> <url> <mode> [several]" on stdin
//
// A scenario is an exported function of client/<subject>.mjs; its name here is "<subject>.<function>".

import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";

const CLIENT = new URL("./client/", import.meta.url);
const DEADLINE = 20_000;

const subjects = () => readdirSync(CLIENT).filter((name) => name.endsWith(".mjs")).sort();

async function list() {
  const rows = [];
  for (const file of subjects()) {
    for (const [name, run] of Object.entries(await import(new URL(file, CLIENT)))) {
      rows.push({
        name: `${file.slice(0, -".mjs".length)}.${name}`,
        profile: run.profile ?? "default",
        modes: run.modes ?? ["polling", "websocket", "upgrade"],
        fresh: run.fresh ?? false,
      });
    }
  }
  console.log(JSON.stringify(rows));
}

async function find(name) {
  const [subject, run] = name.split(".");
  const found = (await import(new URL(`${subject}.mjs`, CLIENT)))[run];
  if (!found) throw new Error(`no scenario "${name}"`);
  return found;
}

// An error that nobody awaits (in a listener, say) fails the scenario that is running.
let blame = () => {};
process.on("uncaughtException", (error) => blame(error));
process.on("unhandledRejection", (error) => blame(error));

async function run(name, url, mode, several) {
  const { Scenario } = await import("./client/lib/scenario.mjs");
  const scenario = new Scenario(url, mode, several === "several");
  const begun = performance.now();
  let report;
  let timer;
  try {
    const broken = new Promise((_, reject) => {
      blame = reject;
      timer = setTimeout(() => reject(new Error(`not finished after ${DEADLINE} ms`)), DEADLINE);
    });
    const observed = await Promise.race([(await find(name))(scenario), broken]);
    report = { ok: true, observed: observed ?? null };
  } catch (error) {
    report = { ok: false, error: String(error?.stack ?? error) };
  }
  clearTimeout(timer);
  const ended = Date.now();
  scenario.close();
  const ms = Math.round(performance.now() - begun);
  await new Promise((resolve) => {
    process.stdout.write(`${JSON.stringify({ scenario: name, mode, tag: scenario.tag, ended, ms, ...report })}\n`, resolve);
  });
  return report.ok;
}

const args = process.argv.slice(2);
if (args[0] === "--list") {
  await list();
} else if (args[0] === "--serve") {
  for await (const line of createInterface({ input: process.stdin })) await run(...line.split(" "));
  process.exit(0);
} else {
  process.exit((await run(...args)) ? 0 : 1);
}
