"""Engine.IO 3 by script elements and forms: what a script may hold, and how a form is read."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.errors import PacketError
from socketeer.protocol.engineio_v3 import decode_jsonp, encode_jsonp, encode_payload
from socketeer.protocol.frame import Message
from tests.protocol.test_engineio_v3 import MOST, PAYLOADS, text, texts


def run(script: bytes) -> str:
    """What the script hands to the client's function. (Node.js runs such scripts in the interop tests.)"""
    found = re.fullmatch(r'___eio\[\d*\]\((".*")\);', script.decode())
    assert found is not None, script
    payload: str = json.loads(found[1])
    return payload


def test_script_byte_by_byte() -> None:
    assert encode_jsonp(b"1:6", "0") == b'___eio[0]("1:6");'
    assert encode_jsonp(b'5:4"\\\n', "12") == b'___eio[12]("5:4\\"\\\\\\n");'
    assert encode_jsonp("\u2028\u2029\u2027".encode(), "0") == '___eio[0]("\\u2028\\u2029\u2027");'.encode()
    assert encode_jsonp(b"</script><!--", "0") == b'___eio[0]("\\u003c/script>\\u003c!--");'


@pytest.mark.parametrize(
    ("index", "shown"),
    [("", b""), ("7];alert(1);//", b"71"), ("-1", b"1"), ("٣²", b""), ("__proto__", b""), ("1e3", b"13")],
)
def test_a_request_cannot_choose_what_is_called(index: str, shown: bytes) -> None:
    assert encode_jsonp(b"1:6", index) == b'___eio[%b]("1:6");' % shown


@given(texts)
def test_a_script_brings_the_payload(payload: str) -> None:
    script = encode_jsonp(payload.encode(), "3")
    assert run(script) == payload
    assert not re.search("[\u2028\u2029\n\r<]", script.decode())


def form(payload: str) -> bytes:
    """As the official client fills its form in (engine.io-client 3.5, polling-jsonp.js)."""
    escaped = payload.replace("\\n", "\\\n").replace("\n", "\\n")
    return urlencode({"d": escaped}).encode()


@pytest.mark.parametrize(("body", "packets"), PAYLOADS)
def test_form(body: str, packets: list[str]) -> None:
    assert decode_jsonp(form(body), MOST) == text(*packets)


#: The client's escaping takes a backslash before the end of a line for what it wrote itself. No JSON has one there.
unambiguous = texts.filter(lambda data: "\\\n" not in data)


@given(st.lists(unambiguous.map("4{}".format), min_size=1, max_size=4))
def test_a_form_brings_the_payload(packets: list[str]) -> None:
    body = encode_payload([Message(packet.encode()) for packet in packets])
    assert decode_jsonp(form(body.decode()), len(packets)) == text(*packets)


@given(st.text("\\\nn", max_size=12).filter(lambda data: "\\\n" not in data))
def test_ends_of_lines_and_backslashes(data: str) -> None:
    assert decode_jsonp(form(f"{len(data) + 1}:4{data}"), 1) == text("4" + data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1:2",
        b"D=1%3A2",
        b"d",
        b"d=",
        b"d=1%3A2&d=1%3A2",
        b"d[]=1%3A2",
        b"d=2%3A2",
        b"d=%FF",
        b"d=4%3A4%ED%A0%80",
        b"d=1:\xff",
        b"&" * 100_000 + b"d=1:2",
        b"&".join(b"%d=" % each for each in range(100)) + b"&d=1:2",
    ],
)
def test_malformed_form(body: bytes) -> None:
    with pytest.raises(PacketError):
        decode_jsonp(body, MOST)


def test_other_fields_are_passed_over() -> None:
    assert decode_jsonp(b"x=1&d=1:2&y", MOST) == text("2")
