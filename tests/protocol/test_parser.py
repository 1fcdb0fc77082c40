"""Decoding, packet by packet. Encoding, and what holds for any input, is in `test_parser_encoding`."""

from __future__ import annotations

from typing import Any

import pytest

from socketeer.errors import PacketError
from socketeer.protocol.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED_EVENTS, Packet
from socketeer.protocol.parser import Parser, Partial

PACKETS: dict[bytes, Packet] = {
    b"0": Packet(CONNECT, "/", None),
    b'0{"token":"123"}': Packet(CONNECT, "/", {"token": "123"}),
    b"0/admin,": Packet(CONNECT, "/admin", None),
    b"0/admin": Packet(CONNECT, "/admin", None),
    b'0/admin,{"sid":"x"}': Packet(CONNECT, "/admin", {"sid": "x"}),
    b"0/admin?token=1234&uid=abcd,": Packet(CONNECT, "/admin?token=1234&uid=abcd", None),
    "0/d\u00e9j\u00e0 vu,{}".encode(): Packet(CONNECT, "/d\u00e9j\u00e0 vu", {}),
    b"0/a/b/../c,": Packet(CONNECT, "/a/b/../c", None),
    b"0/12,": Packet(CONNECT, "/12", None),
    b"1": Packet(DISCONNECT, "/", None),
    b"1/admin,": Packet(DISCONNECT, "/admin", None),
    b'2["foo"]': Packet(EVENT, "/", ["foo"]),
    b'2["foo",1,2.5,null,true,"\\u00e9",{"a":[]}]': Packet(
        EVENT, "/", ["foo", 1, 2.5, None, True, "\u00e9", {"a": []}]
    ),
    '2["caf\u00e9 \u20ac \U0001f600"]'.encode(): Packet(EVENT, "/", ["caf\u00e9 \u20ac \U0001f600"]),
    b'2/admin,["bar"]': Packet(EVENT, "/admin", ["bar"]),
    b'212["foo"]': Packet(EVENT, "/", ["foo"], 12),
    b'20["foo"]': Packet(EVENT, "/", ["foo"], 0),
    b'2/admin,13["bar"]': Packet(EVENT, "/admin", ["bar"], 13),
    b'29007199254740991["foo"]': Packet(EVENT, "/", ["foo"], 9007199254740991),
    b"2[1]": Packet(EVENT, "/", [1]),
    b"2[-1.5,2]": Packet(EVENT, "/", [-1.5, 2]),
    b'2[""]': Packet(EVENT, "/", [""]),
    b'2["connection"]': Packet(EVENT, "/", ["connection"]),
    b'2["error"]': Packet(EVENT, "/", ["error"]),
    b'2["__proto__"]': Packet(EVENT, "/", ["__proto__"]),
    b'2 ["foo"]': Packet(EVENT, "/", ["foo"]),
    b'2["foo" ]\n': Packet(EVENT, "/", ["foo"]),
    b"2": Packet(EVENT, "/", []),
    b"27": Packet(EVENT, "/", [], 7),
    b"212": Packet(EVENT, "/", [], 12),
    b"2/admin": Packet(EVENT, "/admin", []),
    # Placeholders in a text event are what they look like: data.
    b'2["foo",{"_placeholder":true,"num":0}]': Packet(EVENT, "/", ["foo", {"_placeholder": True, "num": 0}]),
    b"3[]": Packet(ACK, "/", []),
    b'315["bar",{}]': Packet(ACK, "/", ["bar", {}], 15),
    b"3/admin,456[]": Packet(ACK, "/admin", [], 456),
    b'3["connect"]': Packet(ACK, "/", ["connect"]),
    b"3": Packet(ACK, "/", []),
    b"31": Packet(ACK, "/", [], 1),
    b'4{"message":"Not authorized"}': Packet(CONNECT_ERROR, "/", {"message": "Not authorized"}),
    b'4/admin,"Not authorized"': Packet(CONNECT_ERROR, "/admin", "Not authorized"),
    b"4": Packet(CONNECT_ERROR, "/", None),
}


@pytest.mark.parametrize(("data", "packet"), PACKETS.items(), ids=map(repr, PACKETS))
def test_packet(data: bytes, packet: Packet) -> None:
    assert Parser().decode(b"4" + data) == packet
    assert Parser().decode(data, 0) == packet
    assert Parser().decode(b"\xff\xfe4" + data, 3) == packet


NO_PACKETS: dict[bytes, str] = {
    b"": r"unknown packet type b''",
    b"7": r"unknown packet type b'7'",
    b'9["foo"]': "unknown packet type b'9'$",
    b"/": "unknown packet type",
    b":": "unknown packet type",
    b"a": "unknown packet type",
    b" ": "unknown packet type",
    b"\x00": "unknown packet type",
    b"\xff": "unknown packet type",
    "\u0662".encode(): "unknown packet type",
    b"0[]": "invalid payload",
    b'0"x"': "invalid payload",
    b"0null": "invalid payload",
    b"0{": "invalid payload",
    b"1{}": "invalid payload",
    b"1[]": "invalid payload",
    b"1null": "invalid payload",
    b"2[]": "invalid payload",
    b"2{}": "invalid payload",
    b'2"foo"': "invalid payload",
    b"2null": "invalid payload",
    b"2[{}]": "invalid payload",
    b"2[[]]": "invalid payload",
    b"2[null]": "invalid payload",
    b"2[true]": "invalid payload",
    b'2["foo"': "invalid payload",
    b'2["foo",]': "invalid payload",
    b'2["foo"]]': "invalid payload",
    b'2["foo"]["bar"]': "invalid payload",
    b'2["foo"]\x00': "invalid payload",
    b'2["foo",NaN]': "invalid payload",
    b'2["foo",Infinity]': "invalid payload",
    b"2['foo']": "invalid payload",
    b'2["fo\xff"]': "invalid payload",
    b'2["\xed\xa0\x80"]': "invalid payload",
    b'2\xef\xbb\xbf["foo"]': "invalid payload",
    b'2-1["foo"]': "invalid payload",
    b'2:["foo"]': "invalid payload",
    b'21:["foo"]': "invalid payload",
    b'21.5["foo"]': "invalid payload",
    '2\u0661["foo"]'.encode(): "invalid payload",
    b"3{}": "invalid payload",
    b"3null": "invalid payload",
    b"31{}": "invalid payload",
    b"4[]": "invalid payload",
    b"4null": "invalid payload",
    b"0/\xff,": "namespace: expected UTF-8",
    b'29007199254740992["foo"]': "acknowledgement id: expected at most 9007199254740991",
    b"39007199254740992[]": "acknowledgement id: expected at most 9007199254740991",
    b'212345678901234567["foo"]': "acknowledgement id: expected at most 16 digits",
    b"5[]": "Illegal attachments",
    b"5": "Illegal attachments",
    b'5["foo"]': "Illegal attachments",
    b'50-["foo"]': "Illegal attachments",
    b'5000-["foo"]': "Illegal attachments",
    b'5-["foo"]': "Illegal attachments",
    b'5-1-["foo"]': "Illegal attachments",
    b'51.5-["foo"]': "Illegal attachments",
    b'51e1-["foo"]': "Illegal attachments",
    b'5 1-["foo"]': "Illegal attachments",
    '5\u0663-["foo"]'.encode(): "Illegal attachments",
    b'51["foo-bar"]': "Illegal attachments",
    b'51/admin,["foo-bar"]': "Illegal attachments",
    b"60-[]": "Illegal attachments",
    b'511-["foo"]': "too many attachments: expected at most 10, got 11",
    b'5999999999-["foo"]': "too many attachments",
    b'51000000000-["foo"]': "Illegal attachments",
    b"611-[]": "too many attachments",
    b"51-[]": "invalid payload",
    b"51-{}": "invalid payload",
    b'51-["connect"]': "invalid payload",
    b"51-[{}]": "invalid payload",
    b"61-{}": "invalid payload",
    b"61-null": "invalid payload",
    **{b'2["%b"]' % name.encode(): "invalid payload" for name in RESERVED_EVENTS},
    **{b'2/admin,1["%b",1]' % name.encode(): "invalid payload" for name in RESERVED_EVENTS},
}


@pytest.mark.parametrize(("data", "words"), NO_PACKETS.items(), ids=map(repr, NO_PACKETS))
def test_no_packet(data: bytes, words: str) -> None:
    with pytest.raises(PacketError, match=words):
        Parser().decode(b"4" + data)
    with pytest.raises(PacketError, match=words):
        Parser().decode(data, 0)


# --- attachments -----------------------------------------------------------------------------------

HOLE = b'{"_placeholder":true,"num":%d}'


def expecting(data: bytes, parser: Parser | None = None) -> Partial:
    partial = (parser or Parser()).decode(b"4" + data)
    assert isinstance(partial, Partial)
    return partial


def test_one_attachment() -> None:
    partial = expecting(b'51-["foo",' + HOLE % 0 + b"]")
    assert partial.add(b"\x01") == Packet(EVENT, "/", ["foo", b"\x01"])


def test_an_acknowledgement_with_an_attachment() -> None:
    partial = expecting(b"61-/admin,7[" + HOLE % 0 + b"]")
    assert partial.add(b"") == Packet(ACK, "/admin", [b""], 7)


def test_attachments_are_complete_with_the_last() -> None:
    payload = b'["foo",{"a":[' + HOLE % 2 + b',{"b":' + HOLE % 0 + b"}]}," + HOLE % 1 + b"," + HOLE % 2 + b"]"
    partial = expecting(b"53-/admin,4" + payload)
    assert partial.add(b"zero") is None
    assert partial.add(b"one") is None
    assert partial.add(b"two") == Packet(
        EVENT, "/admin", ["foo", {"a": [b"two", {"b": b"zero"}]}, b"one", b"two"], 4
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_placeholders_in_any_order(order: tuple[int, ...]) -> None:
    partial = expecting(b'53-["foo",' + b",".join(HOLE % n for n in order) + b"]")
    sent = [b"zero", b"one", b"two"]
    *rest, packet = [partial.add(each) for each in sent]
    assert rest == [None, None]
    assert packet is not None
    assert packet.data == ["foo", *(sent[n] for n in order)]


def test_attachments_that_nothing_points_at_are_dropped() -> None:
    partial = expecting(b'52-["foo"]')
    assert partial.add(b"1") is None
    assert partial.add(b"2") == Packet(EVENT, "/", ["foo"])
    assert expecting(b"51-").add(b"1") == Packet(EVENT, "/", [])


@pytest.mark.parametrize(
    "num", [b"1", b"-1", b"0.0", b"0.5", b'"0"', b"true", b"false", b"null", b"[]", b"{}", b"1e9"]
)
@pytest.mark.parametrize("around", [b"%b", b"[%b]", b'{"a":[1,%b]}'])
def test_a_placeholder_that_points_nowhere(num: bytes, around: bytes) -> None:
    partial = expecting(b'51-["foo",' + around % (b'{"_placeholder":true,"num":' + num + b"}") + b"]")
    with pytest.raises(PacketError, match="illegal attachments"):
        partial.add(b"1")


def test_a_placeholder_without_a_number() -> None:
    with pytest.raises(PacketError, match="illegal attachments"):
        expecting(b'51-["foo",{"_placeholder":true}]').add(b"1")


@pytest.mark.parametrize("mark", [b"false", b"1", b'"true"', b"null", b"[true]"])
def test_what_is_no_placeholder_is_data(mark: bytes) -> None:
    partial = expecting(b'51-["foo",{"_placeholder":' + mark + b',"num":0},' + HOLE % 0 + b"]")
    packet = partial.add(b"1")
    assert packet is not None
    assert packet.data[1].keys() == {"_placeholder", "num"}
    assert packet.data[2] == b"1"


def test_other_keys_of_a_placeholder_are_passed_over() -> None:
    packet = expecting(b'51-["foo",{"num":0,"x":[],"_placeholder":true}]').add(b"1")
    assert packet == Packet(EVENT, "/", ["foo", b"1"])


@pytest.mark.parametrize("depth", [10, 1000])
@pytest.mark.parametrize(("before", "after"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_json_may_be_deeper_than_pythons_stack(depth: int, before: bytes, after: bytes) -> None:
    depth = depth // 2 if len(after) == 2 else depth
    packet = expecting(b'51-["foo",' + before * depth + HOLE % 0 + after * depth + b"]").add(b"1")
    assert packet is not None
    value = packet.data[1]
    for _ in range(depth * len(after)):
        value = value[0] if isinstance(value, list) else value["a"]
    assert value == b"1"


@pytest.mark.parametrize("most", [0, 1, 11])
def test_the_most_attachments_are_an_option(most: int) -> None:
    parser = Parser(most)
    with pytest.raises(PacketError, match=f"expected at most {most}, got {most + 1}"):
        parser.decode(b'45%d-["foo"]' % (most + 1))
    if most:
        assert expecting(b'5%d-["foo"]' % most, parser).expected == most


def test_several_packets_may_be_under_way() -> None:
    parser = Parser()
    payload = b'51-["foo",' + HOLE % 0 + b"]"
    first, second = expecting(payload, parser), expecting(payload, parser)
    results: list[Any] = [second.add(b"2"), first.add(b"1")]
    assert [packet.data for packet in results] == [["foo", b"2"], ["foo", b"1"]]
