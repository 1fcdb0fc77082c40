// socket.io-msgpack-parser on both sides: what holds of the default parser, and what is its own.

import assert from "node:assert/strict";

import * as acks from "./acks.mjs";
import * as binary from "./binary.mjs";
import * as disconnects from "./disconnects.mjs";
import * as events from "./events.mjs";
import * as flags from "./flags.mjs";
import * as identity from "./identity.mjs";
import { speaking } from "./lib/parser.mjs";
import * as middlewares from "./middlewares.mjs";
import * as namespaces from "./namespaces.mjs";
import * as rooms from "./rooms.mjs";
import * as upgrade from "./upgrade.mjs";

const msgpack = speaking("msgpack", "socket.io-msgpack-parser");

async function echo(t, socket, ...args) {
  const back = t.event(socket, "echo");
  socket.emit("echo", ...args);
  return back;
}

export const client_asks_server = msgpack(acks.client_asks_server);
export const number_of_values = msgpack(acks.number_of_values);
export const a_list_is_one_value = msgpack(acks.a_list_is_one_value);
export const many_at_once = msgpack(acks.many_at_once);
export const server_asks_client = msgpack(acks.server_asks_client);
export const server_asks_many_times_at_once = msgpack(acks.server_asks_many_times_at_once);
export const server_runs_out_of_time = msgpack(acks.server_runs_out_of_time);
export const retries_until_acknowledged = msgpack(acks.retries_until_acknowledged);
export const broadcast_with_answers = msgpack(acks.broadcast_with_answers);

export const binary_in_every_nesting = msgpack(binary.every_nesting);
export const binary_acknowledgements = msgpack(binary.acknowledgements);
export const server_asks_with_binary = msgpack(binary.server_asks_with_binary);
export const answers_of_many_with_binary = msgpack(binary.answers_of_many_with_binary);
export const binary_broadcast = msgpack(binary.broadcast);
export const large_binary = msgpack(binary.large);
export const binary_mixed_with_text_in_order = msgpack(binary.mixed_with_text_in_order);
export const binary_burst_from_the_server = msgpack(binary.burst_from_the_server);
export const forced_to_base64 = msgpack(binary.forced_to_base64);

export const number_of_arguments = msgpack(events.number_of_arguments);
export const unusual_event_names = msgpack(events.unusual_event_names);
export const order_of_many = msgpack(events.order_of_many);
export const large_message = msgpack(events.large_message);
export const emitted_before_connected = msgpack(events.emitted_before_connected);
export const reserved_names_cannot_be_emitted = msgpack(events.reserved_names_cannot_be_emitted);

export const volatile_arrives_at_who_listens = msgpack(flags.volatile_arrives_at_who_listens);
export const volatile_from_a_disconnected_client = msgpack(flags.volatile_from_a_disconnected_client);
export const flags_last_for_one_emit = msgpack(flags.flags_last_for_one_emit);
export const compress_changes_nothing_for_the_client = msgpack(flags.compress_changes_nothing_for_the_client);

export const same_id_on_both_sides = msgpack(identity.same_id_on_both_sides);
export const handshake = msgpack(identity.handshake);
export const no_auth = msgpack(identity.no_auth);
export const reconnects_by_itself_after_a_drop = msgpack(identity.reconnects_by_itself_after_a_drop);

export const refuses_with_a_message = msgpack(middlewares.refuses_with_a_message);
export const refuses_with_data = msgpack(middlewares.refuses_with_data);
export const a_second_attempt_with_better_auth = msgpack(middlewares.a_second_attempt_with_better_auth);
export const events_refused_by_the_socket = msgpack(middlewares.events_refused_by_the_socket);

export const several_namespaces_on_one_connection = msgpack(namespaces.several_on_one_connection);
export const unknown_namespace = msgpack(namespaces.unknown);
export const leaving_one_keeps_the_other = msgpack(namespaces.leaving_one_keeps_the_other);
export const events_before_the_confirmation = msgpack(namespaces.events_before_the_confirmation);

export const to_several_rooms = msgpack(rooms.to_several_rooms);
export const except_rooms = msgpack(rooms.except_rooms);
export const to_everyone = msgpack(rooms.to_everyone);
export const to_everyone_of_this_server = msgpack(rooms.to_everyone_of_this_server);
export const rooms_are_per_namespace = msgpack(rooms.rooms_are_per_namespace);
export const broadcast_keeps_its_place = msgpack(rooms.broadcast_keeps_its_place);
export const mixed_transports = msgpack(rooms.mixed_transports);

export const client_leaves = msgpack(disconnects.client_leaves);
export const client_leaves_all = msgpack(disconnects.client_leaves_all);
export const server_disconnects_the_socket = msgpack(disconnects.server_disconnects_the_socket);
export const server_disconnects_the_connection = msgpack(disconnects.server_disconnects_the_connection);
export const connection_without_polite_end = msgpack(disconnects.the_network_drops_the_connection);

export const sent_at_every_moment_of_the_upgrade = msgpack(upgrade.sent_at_every_moment);
export const streams_both_ways_during_the_upgrade = msgpack(upgrade.streams_both_ways);
export const broadcasts_during_the_upgrade = msgpack(upgrade.broadcasts_meanwhile);

const VALUES = {
  constants: [null, true, false],
  integers: [0, 1, -1, 127, 128, 255, 256, -32, -33, -128, -129, 65_535, 65_536, -32_769, 2 ** 32, -(2 ** 31) - 1],
  "largest and least safe integer": [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  fractions: [0.1, -2.5, 5e-324, 1e-7],
  "no numbers": [NaN, Infinity, -Infinity],
  texts: ["", "x".repeat(31), "x".repeat(32), "x".repeat(256), "é".repeat(40_000), "\u0000\u001e\u2028😀👩‍👩‍👧‍👦"],
  lists: [[], Array.from({ length: 16 }, (_, i) => i), Array.from({ length: 70_000 }, () => 1)],
  objects: [{}, { "": 1, constructor: 2, type: 5, nsp: "/x" }, Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`k${i}`, i]))],
  "looks like an attachment": [{ _placeholder: true, num: 0 }],
};

export const every_kind_of_value = msgpack(async (t) => {
  const socket = await t.connect();
  for (const [name, args] of Object.entries(VALUES)) {
    assert.deepEqual(await echo(t, socket, ...args), args, name);
    assert.deepEqual(await echo(t, socket, { deep: [args] }), [{ deep: [args] }], `${name}, deep down`);
  }
});

export const dates_are_dates = msgpack(async (t) => {
  const socket = await t.connect();
  const dates = [new Date(0), new Date(-1), new Date("2024-02-29T12:00:00.678Z"), new Date("0001-01-01T00:00:00Z"), new Date("9999-12-31T23:59:59.999Z")];
  assert.deepEqual(await echo(t, socket, ...dates, { deep: [dates] }), [...dates, { deep: [dates] }]);
  assert.deepEqual(await t.ask(socket, "ack", dates[2]), dates[2]);
});

export const every_kind_of_buffer = msgpack(async (t) => {
  const socket = await t.connect();
  // Of one byte and of eight, too: there only its form tells a buffer from undefined and from a date.
  for (const size of [0, 1, 2, 4, 8, 12, 16, 255, 256, 70_000]) {
    const content = Buffer.alloc(size, "\u0000\u0001\u0080\u00ff", "latin1");
    const array = new Uint8Array(content);
    for (const value of [content, array, array.buffer]) {
      const got = (await echo(t, socket, new Date(8), undefined, value, [value]))[2];
      assert.ok(content.equals(Buffer.from(got)), `${value.constructor.name} of ${size} bytes`);
    }
  }
});

export const undefined_is_no_value = msgpack(async (t) => {
  const socket = await t.connect();
  const [alone, inside] = await echo(t, socket, undefined, { key: undefined, list: [undefined] });
  assert.equal(alone ?? null, null);
  assert.equal(inside.key ?? null, null);
  assert.deepEqual(inside.list.map((item) => item ?? null), [null]);
});

/** The official client made to send one message that it never would: the connection is closed. */
const broken = (message) =>
  msgpack(async (t) => {
    const watch = await t.watch();
    const socket = await t.settled(await t.connect());
    const ended = t.event(socket, "disconnect");
    socket.io.engine.write(message);
    assert.equal((await ended)[0], "transport close");
    assert.equal((await watch.find("disconnect")).reason, "forced close");
    await watch.fence();
    assert.equal(watch.of("error").length, 1, "the socket is told");
  });

export const no_msgpack = broken(Buffer.from([0xc1]));
export const cut_short = broken(Buffer.from("83a47479706502a464617461", "hex"));
export const bytes_behind = broken(Buffer.from("83a47479706502a46461746191a178a36e7370a12f00", "hex"));
export const unknown_type = broken(Buffer.from("83a47479706507a46461746191a178a36e7370a12f", "hex"));
export const namespace_that_is_a_number = broken(Buffer.from("83a47479706502a46461746191a178a36e737001", "hex"));
export const text = broken('2["echo"]');
