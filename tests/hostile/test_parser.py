"""Entries 49 to 58 and 66: Socket.IO packets. What the decoder refuses closes the connection with `forced close`."""

from __future__ import annotations

import json

import pytest

from socketeer import Limits
from tests.hostile.arena import Arena, until
from tests.hostile.conftest import Arenas
from tests.support.peers import Peer

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def refuses(arena: Arena, *packets: str | bytes, events: int = 0) -> None:
    """The last of these packets closes the connection; only `events` events came through before."""
    peer = await arena.websocket()
    await peer.send(*packets)
    await arena.closes(peer, "forced close")
    assert len(arena.record.events) == events, arena.record.events


async def survives(arena: Arena, *packets: str | bytes) -> Peer:
    """None of these packets disturbs the connection."""
    peer = await arena.websocket()
    await peer.send(*packets)
    assert await peer.echo("alive") == ["alive"]
    return peer


TYPES = {
    "7": "47",
    "9": "49",
    "letter": "4x",
    "nothing": "4",
    "Arabic 2": '4٢["echo"]',
    "superscript 2": '4²["echo"]',
    "minus": '4-2["echo"]',
    "CONNECT_ERROR": '44{"message":"x"}',
    "CONNECT_ERROR of a string": '44"x"',
    "CONNECT_ERROR of nothing": "44",
    "DISCONNECT with data": "41[]",
}


@pytest.mark.parametrize("packet", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_type(arena: Arena, transport: str, packet: str) -> None:
    """Entry 49: types that do not exist, or that only a server sends."""
    peer: Peer = await (arena.polling() if transport == "polling" else arena.websocket())
    await peer.send(packet)
    await arena.closes(peer, "forced close", "forced server close")
    assert arena.record.events == []


ATTACHMENTS = [
    "2147483648",
    "1000000000",
    "11",
    "-1",
    "1.5",
    "1e3",
    "1e999",
    "٣",
    "²",
    "",
    "+1",
    " 1",
    "0x1",
    "1_0",
]


@pytest.mark.parametrize("count", ATTACHMENTS, ids=ascii)
@pytest.mark.parametrize("kind", ["5", "6"], ids=["event", "ack"])
async def test_attachments(arena: Arena, kind: str, count: str) -> None:
    """Entry 50: a count that is no integer from 1 to the limit of 10."""
    await refuses(arena, f'4{kind}{count}-["echo",{{"_placeholder":true,"num":0}}]')


@pytest.mark.parametrize("packet", ['451["echo"]', "451", "45", '45["echo"]', "45-", '451/-["echo"]'])
async def test_attachments_without_dash(arena: Arena, packet: str) -> None:
    """Entry 50: no dash where it belongs."""
    await refuses(arena, packet)


def placeholders(*numbers: object) -> str:
    return ",".join(json.dumps({"_placeholder": True, "num": number}) for number in numbers)


async def test_attachments_at_the_limit(arena: Arena) -> None:
    """Entry 50: ten are served."""
    peer = await survives(arena, f'4510-["count",{placeholders(*range(10))}]', *[b"x"] * 10)
    assert arena.record.named("count") == [("count", *[b"x"] * 10)]
    assert await peer.echo() == []


async def test_attachments_over_a_limit_of_our_own(arenas: Arenas) -> None:
    """Entry 50: the limit is an option."""
    async with arenas(limits=Limits(max_attachments=2)) as arena:
        await survives(arena, f'452-["count",{placeholders(0, 1)}]', b"x", b"y")
        await refuses(arena, f'453-["count",{placeholders(0, 1, 2)}]', events=2)


@pytest.mark.parametrize("packet", ['450-["count",1]', '450-["count",{"_placeholder":true,"num":0}]'])
async def test_no_attachments(arena: Arena, packet: str) -> None:
    """Entry 51: a packet of zero attachments is delivered at once or refused; it never waits for any."""
    peer = await arena.websocket()
    await peer.send(packet, *[b"x" * 1000] * 3)
    await arena.closes(peer, "forced close")
    assert len(arena.record.events) <= 1


@pytest.mark.parametrize("sent", [0, 1])
async def test_attachments_never_sent(arenas: Arenas, sent: int) -> None:
    """Entry 52: a packet whose attachments do not come within attachment_timeout closes the connection."""
    async with arenas(limits=Limits(attachment_timeout=0.3)) as arena:
        peer = await arena.websocket()
        await peer.send(f'452-["count",{placeholders(0, 1)}]', *[b"x"] * sent)
        await arena.closes(peer, "forced close", "parse error", "transport error")
        assert arena.record.events == []


async def test_attachments_pending_at_the_end(arena: Arena) -> None:
    """Entry 52: what was pending is let go when the client leaves."""
    peer = await arena.websocket()
    await peer.send(f'4510-["count",{placeholders(0)}]', *[b"x" * 900_000] * 9)
    await peer.bye()
    assert await arena.reasons(peer) <= {"transport close", "transport error", "forced close"}
    assert arena.record.events == []


async def test_binary_unannounced(arena: Arena) -> None:
    """Entry 53: a binary frame that no packet announced."""
    await refuses(arena, b"\x01\x02")


async def test_binary_too_many(arena: Arena) -> None:
    """Entry 53: one more than announced."""
    await refuses(arena, f'451-["count",{placeholders(0)}]', b"x", b"y", events=1)


@pytest.mark.parametrize("packet", ['42["echo"]', "41", "40/chat,", '451-["echo"]', "431[]"])
async def test_text_while_attachments_are_pending(arena: Arena, packet: str) -> None:
    """Entry 53: a text packet where an attachment is due."""
    await refuses(arena, f'451-["count",{placeholders(0)}]', packet)


async def test_heartbeat_while_attachments_are_pending(arena: Arena) -> None:
    """Entry 53: Engine.IO's own packets may come between."""
    await survives(arena, f'451-["count",{placeholders(0)}]', "3", "6", b"x")
    assert arena.record.named("count") == [("count", b"x")]


NUMBERS = {
    "too high": "1",
    "negative": "-1",
    "string": '"0"',
    "float": "0.5",
    "true": "true",
    "false": "false",
    "null": "null",
    "list": "[0]",
    "huge": "1" + "0" * 30,
    "missing": None,
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("nested", [False, True], ids=["top", "nested"])
async def test_placeholder_number(arena: Arena, number: str | None, nested: bool) -> None:
    """Entry 54: a placeholder that points to no attachment."""
    placeholder = '{"_placeholder":true' + ("" if number is None else f',"num":{number}') + "}"
    payload = '{"a":[{"b":' + placeholder + "}]}" if nested else placeholder
    await refuses(arena, f'451-["count",{payload}]', b"x")


async def test_placeholder_repeated(arena: Arena) -> None:
    """Entry 54: one attachment in several places, as the official server allows."""
    await survives(arena, f'451-["count",{placeholders(0, 0)}]', b"x")
    assert arena.record.named("count") == [("count", b"x", b"x")]


async def test_placeholder_repeated_thirty_thousand_times(arena: Arena) -> None:
    """Entry 54: as often as a message can hold it, in linear time."""
    text = '451-["echo",[' + ",".join(['{"_placeholder":true,"num":0}'] * 30_000) + "]]"
    await survives(arena, text, b"x")
    assert arena.record.events[0] == ("echo", [b"x"] * 30_000)


async def test_placeholder_in_a_text_event(arena: Arena) -> None:
    """Entry 54: in a packet without attachments it is data like any other."""
    await survives(arena, f'42["count",{placeholders(0, -1, "x")}]')
    assert arena.record.events[0] == ("count", *({"_placeholder": True, "num": n} for n in (0, -1, "x")))


async def test_placeholder_with_extra_keys(arena: Arena) -> None:
    """Entry 54: more keys change nothing, as in the official server."""
    await survives(arena, '451-["count",{"_placeholder":true,"num":0,"x":{}}]', b"x")
    assert arena.record.named("count") == [("count", b"x")]


async def test_attachment_unused(arena: Arena) -> None:
    """Entry 54: an attachment that no placeholder names is dropped, as in the official server."""
    await survives(arena, f'452-["count",{placeholders(1)}]', b"x", b"y")
    assert arena.record.named("count") == [("count", b"y")]


async def test_placeholder_as_a_key_of_the_user(arena: Arena) -> None:
    """Entry 55: only `true` makes a placeholder."""
    values: list[object] = [False, 1, "true", None, [True], {}]
    users = [{"_placeholder": each, "num": 0} for each in values]
    await survives(arena, f'451-["count",{placeholders(0)},{json.dumps(users)}]', b"x")
    assert arena.record.named("count") == [("count", b"x", users)]


EVENTS = [
    "{}",
    '"echo"',
    "null",
    "true",
    "[]",
    "[{}]",
    '[["echo"]]',
    "[null]",
    "[true]",
    '[{"name":"echo"}]',
]


@pytest.mark.parametrize("payload", EVENTS)
@pytest.mark.parametrize("kind", ["2", "51-"], ids=["event", "binary event"])
async def test_event_payload(arena: Arena, kind: str, payload: str) -> None:
    """Entry 56: an event is an array that begins with its name."""
    if (kind, payload) == ("2", "1"):
        await survives(
            arena, "421"
        )  # which is an acknowledgement id without a payload: official servers let it pass
        return
    await refuses(arena, f"4{kind}{payload}")


@pytest.mark.parametrize("packet", ["42", "421", "42[1]", "42[-1.5,2]", '42["connection"]'])
async def test_event_that_the_official_server_lets_pass(arena: Arena, packet: str) -> None:
    """Entry 56: no payload, a number for a name: nobody listens, nothing happens."""
    await survives(arena, packet)


RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("kind", ["2", "51-"], ids=["event", "binary event"])
async def test_reserved_event_name(arena: Arena, kind: str, name: str) -> None:
    """Entry 57: names that belong to Socket.IO."""
    await refuses(arena, f'4{kind}["{name}","client namespace disconnect"]')


STRANGE = [
    "error",
    "",
    "__proto__",
    "__class__",
    "__init__",
    "_peers",
    "emit",
    "on_connection",
    "on_any",
    "a\x00b",
    "a\x1bb\r\n",
    "*",
]


@pytest.mark.parametrize("name", STRANGE, ids=ascii)
async def test_strange_event_name(arena: Arena, name: str) -> None:
    """Entry 57: any other name is looked up among the listeners, and nowhere else."""
    peer = await arena.websocket()
    heard: list[list[object]] = []
    arena.socket(peer).use(lambda event: heard.append(list(event)))
    await peer.send("421" + json.dumps([name, {"message": "x"}]))
    assert await peer.echo("alive") == ["alive"]
    assert heard == [[name, {"message": "x"}], ["echo", "alive"]]


async def test_event_name_of_a_megabyte(arena: Arena) -> None:
    """Entry 57: as long as a message can hold."""
    await survives(arena, f'42["{"n" * 990_000}"]')


IDS = {
    "a million digits": "1" * 900_000,
    "400 digits": "1" * 400,
    "above 2^53": "9007199254740993",
    "above 2^64": "18446744073709551616",
    "negative": "-1",
    "float": "1.5",
    "Arabic": "٣",
    "exponent": "1e1",
}


@pytest.mark.parametrize("number", IDS.values(), ids=IDS)
@pytest.mark.parametrize("packet", ['2{}["echo",58]', "3{}[]"], ids=["event", "ack"])
async def test_ack_id(arena: Arena, packet: str, number: str) -> None:
    """Entry 58: an acknowledgement id is an integer that JavaScript can count to."""
    await refuses(arena, "4" + packet.format(number))


async def test_ack_id_at_the_limit(arena: Arena) -> None:
    """Entry 58: the largest integer that JavaScript is sure of, and zeroes in front."""
    peer = await arena.websocket()
    await peer.send('429007199254740991["echo",1]', '42007["echo",2]')
    assert await peer.message() == "39007199254740991[1]"
    assert await peer.message() == "37[2]"


NOT_JSON = {
    "nested 20,000 deep": '["echo",' + "[" * 20_000 + "]" * 20_000 + "]",
    "nested and open": '["echo",' + "[" * 100_000,
    "objects 20,000 deep": '["echo",' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "]",
    "number of a megabyte": '["echo",' + "9" * 900_000 + "]",
    "NaN": '["echo",NaN]',
    "Infinity": '["echo",Infinity]',
    "-Infinity": '["echo",-Infinity]',
    "1e999": '["echo",1e999]',
    "lone surrogate": '["echo","\\ud800"]',
    "surrogates reversed": '["echo","\\udc00\\ud800"]',
    "BOM": '\ufeff["echo"]',
    "trailing garbage": '["echo"]x',
    "two values": '["echo"]["echo"]',
    "trailing comma": '["echo",]',
    "single quotes": "['echo']",
    "comment": '["echo"/**/]',
    "control character": '["echo","\n"]',
    "cut": '["echo"',
    "unquoted": "[echo]",
    "leading zero": '["echo",01]',
}


@pytest.mark.parametrize("payload", NOT_JSON.values(), ids=NOT_JSON)
async def test_json(arena: Arena, payload: str) -> None:
    """Entry 66: what is no strict JSON, or too deep, or not finite."""
    await refuses(arena, "421" + payload)


async def test_json_of_a_hundred_thousand_keys(arena: Arena) -> None:
    """Entry 66: as many keys as a message can hold are served in time."""
    text = json.dumps(["count", {f"k{n}": 1 for n in range(80_000)}], separators=(",", ":"))
    await survives(arena, "42" + text)


async def test_json_of_duplicate_keys(arena: Arena) -> None:
    """Entry 66: the last one counts, as in JavaScript."""
    await survives(arena, '42["count",{"a":1,"a":2}]')
    assert arena.record.named("count") == [("count", {"a": 2})]


async def test_json_nested_moderately(arena: Arena) -> None:
    """Entry 66: depth that people use is served."""
    peer = await survives(arena, '42["count",' + "[" * 100 + "]" * 100 + "]")
    await until(lambda: len(arena.record.named("count")) == 1, "the event")
    assert await peer.echo(json.loads("[" * 100 + "]" * 100)) == [json.loads("[" * 100 + "]" * 100)]
