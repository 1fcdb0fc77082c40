// A parser of one's own on both sides: socket.io-json-parser, and examples/json_parser.py.

import * as acks from "./acks.mjs";
import * as events from "./events.mjs";
import { speaking } from "./lib/parser.mjs";
import * as middlewares from "./middlewares.mjs";
import * as namespaces from "./namespaces.mjs";
import * as rooms from "./rooms.mjs";

const json = speaking("json", "socket.io-json-parser");

export const client_asks_server = json(acks.client_asks_server);
export const server_asks_client = json(acks.server_asks_client);
export const broadcast_with_answers = json(acks.broadcast_with_answers);
export const every_kind_of_value = json(events.every_kind_of_value);
export const order_of_many = json(events.order_of_many);
export const large_message = json(events.large_message);
export const refuses_with_data = json(middlewares.refuses_with_data);
export const several_namespaces = json(namespaces.several_on_one_connection);
export const unknown_namespace = json(namespaces.unknown);
export const to_several_rooms = json(rooms.to_several_rooms);
