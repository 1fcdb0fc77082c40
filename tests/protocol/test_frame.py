from __future__ import annotations

import gc
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.protocol.frame import (
    CLOSE_FRAME,
    RECORD_SEPARATOR,
    Message,
    binary_frame,
    close_frame,
    deflated_frame,
    pong_frame,
    text_frame,
)

TEXT, BINARY = 0x1, 0x2


def read_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of each frame, read as RFC 6455 section 5.2 says."""
    frames = []
    while data:
        first, length, data = data[0], data[1], data[2:]
        assert first & 0xF0 == 0x80, "the last fragment, without reserved bits"
        assert length < 128, "no mask"
        if length >= 126:
            width = 2 if length == 126 else 8
            length, data = int.from_bytes(data[:width]), data[width:]
            assert length > (125 if width == 2 else 65_535), "the shortest form of the length"
        assert len(data) >= length
        frames.append((first & 0x0F, data[:length]))
        data = data[length:]
    return frames


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (1, b"\x81\x01"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (127, b"\x81\x7e\x00\x7f"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (1_000_000, b"\x81\x7f\x00\x00\x00\x00\x00\x0f\x42\x40"),
    ],
)
def test_the_length_takes_the_fewest_bytes(size: int, header: bytes) -> None:
    data = bytes([0x34]) * size
    assert text_frame(data) == header + data
    assert binary_frame(data) == b"\x82" + header[1:] + data
    assert deflated_frame(data, False) == b"\xc1" + header[1:] + data
    assert deflated_frame(data, True) == b"\xc2" + header[1:] + data
    assert Message(data).frames() == header + data
    assert Message(b"4", [data]).frames() == b"\x81\x014\x82" + header[1:] + data


@given(st.binary(max_size=300))
def test_frames_come_apart_again(data: bytes) -> None:
    assert read_frames(text_frame(data)) == [(TEXT, data)]
    assert read_frames(binary_frame(data)) == [(BINARY, data)]


def test_control_frames() -> None:
    assert CLOSE_FRAME == b"\x88\x00"
    assert close_frame(1002) == b"\x88\x02\x03\xea"
    assert close_frame(4999) == b"\x88\x02\x13\x87"
    assert pong_frame(b"") == b"\x8a\x00"
    assert pong_frame(b"\xff" * 125) == b"\x8a\x7d" + b"\xff" * 125


# --- messages --------------------------------------------------------------------------------------

messages = st.builds(Message, st.binary(max_size=300), st.lists(st.binary(max_size=300), max_size=4))


@given(messages)
def test_a_message_is_a_text_frame_and_its_attachments(message: Message) -> None:
    text = [] if message.attachments and not message.text else [(TEXT, message.text)]
    expected = [*text, *((BINARY, each) for each in message.attachments)]
    assert read_frames(message.frames()) == expected


@given(messages.filter(lambda message: message.text and RECORD_SEPARATOR not in message.text))
def test_a_message_in_a_payload_has_its_attachments_in_base64(message: Message) -> None:
    text, *encoded = message.payload().split(RECORD_SEPARATOR)
    assert text == message.text
    assert [each[:1] for each in encoded] == [b"b"] * len(message.attachments)
    assert [b64decode(each[1:], validate=True) for each in encoded] == message.attachments


def test_a_payload_byte_by_byte() -> None:
    message = Message(b"452-[]", [b"\x01\x02\x03\x04", b""])
    assert message.payload() == b"452-[]\x1ebAQIDBA==\x1eb"
    assert Message(b"4hello").payload() == b"4hello"


def test_a_message_of_binary_only_has_no_text_frame_and_no_text_in_a_payload() -> None:
    message = Message(b"", [b"\x01\x02\x03\x04"])
    assert message.frames() == b"\x82\x04\x01\x02\x03\x04"
    assert message.payload() == b"bAQIDBA=="
    assert message.size() == 4
    assert Message(b"", [b"\x01", b""]).payload() == b"bAQ==\x1eb"


def test_base64_is_not_broken_into_lines() -> None:
    assert b"\n" not in Message(b"451-[]", [b"x" * 10_000]).payload()


@pytest.mark.parametrize("attachments", [(), [b"\x01"], [b"\x01", b"\x02"]])
def test_it_is_encoded_once_for_any_number_of_receivers(attachments: list[bytes]) -> None:
    message = Message(b"4hello", attachments)
    assert (message.framed, message.in_payload) == (None, None)
    assert message.frames() is message.frames() is message.framed
    assert message.payload() is message.payload() is message.in_payload


def test_the_size_counts_attachments() -> None:
    assert Message(b"").size() == 0
    assert Message(b"4hello").size() == 6
    assert Message(b"4hello", [b"12", b"345"]).size() == 11


def test_it_is_compressed_unless_it_says_otherwise() -> None:
    assert Message(b"4").compress
    assert not Message(b"4", (), False).compress


def test_messages_do_not_burden_the_garbage_collector() -> None:
    assert not gc.is_tracked(Message(b"4", [b"1"]))
