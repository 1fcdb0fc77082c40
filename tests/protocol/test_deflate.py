from __future__ import annotations

import contextlib
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.options import PerMessageDeflate
from socketeer.protocol.deflate import (
    Codecs,
    ContextDeflater,
    Deflater,
    InflatedTooLong,
    InflateError,
    Inflater,
)
from socketeer.protocol.extensions import Agreement
from socketeer.protocol.frame import Message, binary_frame, text_frame

TAIL = b"\x00\x00\xff\xff"
ALL = PerMessageDeflate(threshold=0)
LIMIT = 100_000

#: Bits of the window that either side may have agreed on.
BITS = st.integers(8, 15)
#: With repetitions, near and far, so that there is something to refer back to.
DATA = st.one_of(
    st.binary(max_size=2000),
    st.builds(lambda piece, gap, times: (piece + gap) * times, st.binary(), st.binary(), st.integers(0, 200)),
    st.builds(
        lambda seed, size: zlib.compress(b"%d" % seed, 0) * size, st.integers(), st.integers(0, 1500)
    ).map(lambda data: data[:LIMIT]),
)


def deflate(data: bytes, bits: int = 15, level: int = 6) -> bytes:
    """As any zlib does it, for a peer with a window of that size."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -max(bits, 9))
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def read_frames(data: bytes) -> list[tuple[int, bytes]]:
    """The first byte and the payload of each frame."""
    frames = []
    while data:
        first, length, data = data[0], data[1], data[2:]
        if length >= 126:
            width = 2 if length == 126 else 8
            length, data = int.from_bytes(data[:width]), data[width:]
        frames.append((first, data[:length]))
        data = data[length:]
    return frames


def narrowly(payload: bytes, stream: zlib._Decompress) -> bytes:
    """Inflate in pieces smaller than any window: what zlib has just written would serve it as one, too."""
    found, rest = b"", payload + TAIL
    while piece := stream.decompress(rest, 16):
        found, rest = found + piece, stream.unconsumed_tail
    return found


def opened(frames: list[tuple[int, bytes]], stream: zlib._Decompress) -> list[tuple[int, bytes]]:
    """The opcode of each frame and what it holds, as zlib inflates it."""
    return [
        (first & 0x0F, narrowly(payload, stream) if first & 0x40 else payload) for first, payload in frames
    ]


# --- compressing -----------------------------------------------------------------------------------


@given(DATA, st.lists(DATA, max_size=3), BITS, st.sampled_from([-1, 0, 1, 6, 9]), st.integers(1, 9))
def test_zlib_inflates_what_was_deflated(
    text: bytes, attachments: list[bytes], bits: int, level: int, mem_level: int
) -> None:
    options = PerMessageDeflate(threshold=0, level=level, mem_level=mem_level)
    expected = [(2, each) for each in attachments]
    if text or not attachments:  # a packet of msgpack is one binary message, without a text
        expected.insert(0, (1, text))
    for deflater in (Deflater(bits, options), ContextDeflater(bits, options)):
        message = Message(text, attachments)
        frames = read_frames(deflater.framed(message).frames())
        assert opened(frames, zlib.decompressobj(-bits)) == expected
        assert all(first & 0xB0 == 0x80 for first, _ in frames), "whole, and no other reserved bit"


@given(st.lists(DATA, min_size=2, max_size=5), BITS)
def test_each_message_is_inflated_by_itself(messages: list[bytes], bits: int) -> None:
    deflater = Deflater(bits, ALL)
    for each in messages:
        frames = read_frames(deflater.framed(Message(each)).frames())
        assert opened(frames, zlib.decompressobj(-bits)) == [(1, each)]


@given(st.lists(DATA, min_size=2, max_size=5), BITS)
def test_messages_of_one_context_are_inflated_in_their_order(messages: list[bytes], bits: int) -> None:
    deflater, stream = ContextDeflater(bits, ALL), zlib.decompressobj(-bits)
    for each in messages:
        assert opened(read_frames(deflater.framed(Message(each)).frames()), stream) == [(1, each)]


def test_a_context_makes_a_repetition_small() -> None:
    text = bytes(range(32, 127)) * 3
    alone, along = Deflater(15, ALL), ContextDeflater(15, ALL)
    first, again = (len(along.framed(Message(text)).frames()) for _ in range(2))
    assert again < first / 5
    assert {len(alone.framed(Message(text)).frames()) for _ in range(2)} == {first}


def test_a_message_of_binary_only_has_no_text_frame() -> None:
    """A packet of msgpack is one binary message."""
    options = PerMessageDeflate(threshold=10)
    framed = Deflater(15, options).framed(Message(b"", [b"x" * 100])).frames()
    assert framed[0] == 0xC2
    assert len(framed) < 50


def test_the_threshold_is_for_each_part() -> None:
    deflater = Deflater(15, PerMessageDeflate(threshold=100))
    small, large = b"x" * 99, b"x" * 100
    assert deflater.framed(message := Message(small, [small])) is message
    for text, attachments in ((large, [small]), (small, [small, large])):
        frames = read_frames(deflater.framed(Message(text, attachments)).frames())
        assert [bool(first & 0x40) for first, _ in frames] == [
            len(each) >= 100 for each in (text, *attachments)
        ]


@pytest.mark.parametrize("kind", [Deflater, ContextDeflater])
def test_nothing_is_never_compressed(kind: type[Deflater]) -> None:
    message = Message(b"", [b""])
    assert kind(15, ALL).framed(message) is message


@pytest.mark.parametrize("kind", [Deflater, ContextDeflater])
def test_a_message_may_refuse_compression(kind: type[Deflater]) -> None:
    message = Message(b"4" * 5000, (), False)
    assert kind(15, ALL).framed(message) is message


def test_what_does_not_shrink_goes_as_it_is() -> None:
    noise = random.Random(1).randbytes(5000)
    frames = Deflater(15, ALL).framed(Message(noise, [noise])).frames()
    assert frames == text_frame(noise) + binary_frame(noise)
    # Within a context the peer must see it too.
    assert read_frames(ContextDeflater(15, ALL).framed(Message(noise)).frames())[0][0] == 0xC1


def test_a_message_is_compressed_once_for_each_window() -> None:
    one, other = Codecs(ALL, LIMIT), Codecs(ALL, LIMIT)
    message = Message(b"4" * 5000)
    agreed = Agreement(server_no_context_takeover=True)
    framed = one.codec(agreed).deflater.framed(message)
    assert framed.frames() is one.codec(agreed).deflater.framed(message).frames()
    assert framed.frames() is other.codec(agreed).deflater.framed(message).frames()
    small = Agreement(server_no_context_takeover=True, server_max_window_bits=9)
    assert one.codec(small).deflater.framed(message) is not framed
    context = one.codec(Agreement()).deflater
    assert context.framed(message).frames() is not context.framed(message).frames()
    assert message.frames() == text_frame(message.text), "the plain form is untouched"


# --- inflating -------------------------------------------------------------------------------------


@given(DATA, BITS, st.sampled_from([0, 1, 6, 9]))
def test_what_zlib_deflates_is_inflated(data: bytes, bits: int, level: int) -> None:
    for keep in (False, True):
        assert Inflater(bits, LIMIT, keep).inflate(deflate(data, bits, level)) == data


@given(st.lists(DATA, min_size=2, max_size=5), BITS)
def test_a_context_is_kept_or_not(messages: list[bytes], bits: int) -> None:
    keeping, stream = (
        Inflater(bits, LIMIT, keep_context=True),
        zlib.compressobj(6, zlib.DEFLATED, -max(bits, 9)),
    )
    alone = Inflater(bits, LIMIT)
    for each in messages:
        deflated = (stream.compress(each) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
        assert keeping.inflate(deflated) == each
        assert alone.inflate(deflate(each, bits)) == each


# The examples of RFC 7692 section 7.2.3, all of them "Hello".
HELLO = b"\xf2\x48\xcd\xc9\xc9\x07\x00"
EXAMPLES = {
    "one block": HELLO,
    "stored": b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
    "last block": b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
    "last block, and nothing behind": b"\xf3\x48\xcd\xc9\xc9\x07\x00",
    "two blocks": b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
}


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("data", EXAMPLES.values(), ids=EXAMPLES)
def test_the_examples_of_the_rfc(data: bytes, keep: bool) -> None:
    inflater = Inflater(15, 5, keep)
    for _ in range(2):
        assert inflater.inflate(data) == b"Hello"


def test_a_reference_to_the_message_before() -> None:
    """RFC 7692 section 7.2.3.2."""
    again = b"\xf2\x00\x11\x00\x00"
    keeping = Inflater(15, 5, keep_context=True)
    assert (keeping.inflate(HELLO), keeping.inflate(again)) == (b"Hello", b"Hello")
    alone = Inflater(15, 5)
    assert alone.inflate(HELLO) == b"Hello"
    with pytest.raises(InflateError):
        alone.inflate(again)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("data", [b"", b"\x00", b"\x02\x00", b"\x03\x00"])
def test_an_empty_message(data: bytes, keep: bool) -> None:
    """RFC 7692 section 7.2.3.6; without any byte as some peers send it."""
    inflater = Inflater(15, 5, keep)
    assert inflater.inflate(data) == b""
    assert inflater.inflate(HELLO) == b"Hello"


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("data", [HELLO, EXAMPLES["last block"], deflate(bytes(range(256)) * 9, level=9)])
def test_a_message_cut_anywhere_is_broken(data: bytes, keep: bool) -> None:
    whole = Inflater(15, LIMIT).inflate(data)
    for cut in range(1, len(data)):
        try:
            found = Inflater(15, LIMIT, keep).inflate(data[:cut])
        except InflateError:
            continue
        # Some cuts fall behind a whole block; none may bring what was not there.
        assert whole.startswith(found)
        assert data[:cut] + TAIL != data


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("behind", [b"\x01", b"\x00\x00", HELLO, b"x", TAIL])
def test_bytes_behind_the_last_block(behind: bytes, keep: bool) -> None:
    """ws drops them without a word; here such a message is broken."""
    with pytest.raises(InflateError):
        Inflater(15, LIMIT, keep).inflate(b"\xf3\x48\xcd\xc9\xc9\x07\x00" + behind)


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_garbage_is_inflated_or_refused(data: bytes, keep: bool) -> None:
    inflater = Inflater(15, 1000, keep)
    with contextlib.suppress(InflateError, InflatedTooLong):
        assert len(inflater.inflate(data)) <= 1000


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("size", [1, 999, 1000, 32_768, LIMIT])
def test_the_limit_itself_is_allowed(size: int, keep: bool) -> None:
    assert Inflater(15, size, keep).inflate(deflate(b"4" * size)) == b"4" * size
    with pytest.raises(InflatedTooLong, match=f"above {size} bytes"):
        Inflater(15, size, keep).inflate(deflate(b"4" * (size + 1)))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("size", [2_000_000, 500_000_000])
def test_a_bomb_takes_no_more_memory_than_the_limit_allows(size: int, keep: bool) -> None:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    million = b"4" * 1_000_000
    bomb = b"".join(stream.compress(million) for _ in range(size // 1_000_000))
    bomb = (bomb + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
    assert size / len(bomb) > 900
    inflater = Inflater(15, 1_000_000, keep)
    tracemalloc.start()
    try:
        with pytest.raises(InflatedTooLong):
            inflater.inflate(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * (len(bomb) + 1_000_000) + 100_000


# --- what connections share ------------------------------------------------------------------------


def test_without_contexts_connections_share_everything() -> None:
    codecs = Codecs(PerMessageDeflate(), LIMIT)
    agreed = Agreement(server_no_context_takeover=True, client_no_context_takeover=True)
    one, other = codecs.codec(agreed), codecs.codec(agreed)
    assert (one.deflater, one.inflater) == (other.deflater, other.inflater)


def test_contexts_are_each_connections_own() -> None:
    codecs = Codecs(PerMessageDeflate(), LIMIT)
    one, other = codecs.codec(Agreement()), codecs.codec(Agreement())
    assert one.deflater is not other.deflater
    assert one.inflater is not other.inflater
    text = b"4" + bytes(range(32, 127)) * 20
    for codec in (one, other):
        for _ in range(3):
            ((_, payload),) = read_frames(codec.deflater.framed(Message(text)).frames())
            assert codec.inflater.inflate(payload) == text


@pytest.mark.parametrize("bits", range(8, 16))
def test_the_windows_agreed_on_are_kept_to(bits: int) -> None:
    """A repetition as far back as zlib looks; a window half as large would not do."""
    codec = Codecs(ALL, LIMIT).codec(Agreement(True, True, bits, bits))
    far = random.Random(bits).randbytes(max((1 << bits) - 300, 200)) * 2
    ((first, payload),) = read_frames(codec.deflater.framed(Message(far)).frames())
    assert first == 0xC1
    assert narrowly(payload, zlib.decompressobj(-bits)) == far
    assert codec.inflater.inflate(payload) == codec.inflater.inflate(deflate(far, bits)) == far
    if bits > 9:  # zlib makes 9 of 8
        with pytest.raises(zlib.error):
            narrowly(payload, zlib.decompressobj(1 - bits))
