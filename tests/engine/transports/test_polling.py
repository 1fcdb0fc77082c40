"""Long-polling: what a poll is answered, and what becomes of a POST."""

from __future__ import annotations

import asyncio
import gzip
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.engine.transports.polling import PollingTransport, read_body
from socketeer.options import Backpressure, Limits
from socketeer.protocol.frame import Message
from tests.engine.fakes import DEADLINE, Desk, Line, Poller, Upload, make_request, settle


@pytest.fixture
async def poller() -> Poller:
    return await Desk().polling()


# --- GET -------------------------------------------------------------------------------------------


async def test_the_handshake_is_answered_with_the_open_packet(poller: Poller) -> None:
    assert poller.opened.headers == {"content-type": "text/plain; charset=UTF-8", "cache-control": "no-store"}
    assert poller.opened.body[:1] == b"0"
    assert json.loads(poller.opened.body[1:]) == {
        "sid": poller.sid,
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 1000000,
    }


async def test_a_poll_waits_for_a_message(poller: Poller) -> None:
    poll = await poller.begin()
    assert not poll.done()
    poller.session.send(Message(b"4hello"))
    response = await poll
    assert (response.status, response.body) == (200, b"4hello")
    assert response.headers == {"content-type": "text/plain; charset=UTF-8", "cache-control": "no-store"}
    assert not response.streamed


async def test_all_of_a_turns_messages_leave_in_one_answer(poller: Poller) -> None:
    poll = await poller.begin()
    for text in (b"4one", b"4two", b"4three"):
        poller.session.send(Message(text))
    assert (await poll).body == b"4one\x1e4two\x1e4three"


async def test_what_is_queued_is_answered_at_once(poller: Poller) -> None:
    poller.session.send(Message(b"4one"))
    poller.session.send(Message(b"452-[]", [b"\x01\x02\x03\x04", b""]))
    assert (await poller.get()).body == b"4one\x1e452-[]\x1ebAQIDBA==\x1eb"
    assert not (await poller.begin()).done()


async def test_whether_a_message_would_leave_now(poller: Poller) -> None:
    transport = poller.session.transport
    assert not transport.writable()
    poll = await poller.begin()
    assert transport.writable()
    poller.session.send(Message(b"4one"))
    assert not transport.writable()
    await poll
    assert not transport.writable()


async def test_a_second_poll_beside_the_first_ends_the_session(poller: Poller) -> None:
    poll = await poller.begin()
    second = await poller.get()
    assert (second.status, second.body) == (400, b"")
    assert poller.listener.closed == [("transport error", "overlap from client")]
    assert (await poll).body == b"1"


async def test_a_client_that_goes_while_it_polls_ends_the_session(poller: Poller) -> None:
    line = Line()
    poll = await poller.begin(line=line)
    line.cut.set()
    await poll
    assert poller.listener.closed == [("transport error", "poll connection closed prematurely")]


async def test_a_line_that_holds_is_let_go_with_the_answer(poller: Poller) -> None:
    tasks = asyncio.all_tasks()
    poll = await poller.begin(line=Line())
    poller.session.send(Message(b"4hello"))
    assert (await poll).body == b"4hello"
    await settle()
    assert asyncio.all_tasks() == tasks
    assert poller.listener.closed == []


async def test_a_poll_that_the_server_cancels_makes_room_for_another(poller: Poller) -> None:
    for line in (None, Line()):
        poll = await poller.begin(line=line)
        poll.cancel()
        await settle()
        assert poll.cancelled()
    poller.session.send(Message(b"4hello"))
    assert (await poller.get()).body == b"4hello"


async def test_an_answer_is_compressed_where_that_helps() -> None:
    poller = await Desk(http_compression={"threshold": 100}).polling()
    accepts = [("accept-encoding", "gzip")]
    poller.session.send(Message(b"4" * 100))
    response = await poller.get(headers=accepts)
    assert gzip.decompress(response.body) == b"4" * 100
    assert (response.headers["content-encoding"], response.streamed) == ("gzip", True)
    poller.session.send(Message(b"4" * 99))
    assert (await poller.get(headers=accepts)).body == b"4" * 99
    poller.session.send(Message(b"4" * 100))
    assert (await poller.get()).body == b"4" * 100


async def test_messages_may_ask_for_no_compression() -> None:
    poller = await Desk(http_compression={"threshold": 1}).polling()
    accepts = [("accept-encoding", "gzip")]
    poller.session.send(Message(b"4" * 100, compress=False))
    assert (await poller.get(headers=accepts)).body == b"4" * 100
    # One that is worth it is compressed with whatever it shares its answer with.
    poller.session.send(Message(b"4" * 100, compress=False))
    poller.session.send(Message(b"4hello"))
    assert (await poller.get(headers=accepts)).headers["content-encoding"] == "gzip"


async def test_without_compression_nothing_is_compressed() -> None:
    poller = await Desk(http_compression=None).polling()
    poller.session.send(Message(b"4" * 10_000))
    assert (await poller.get(headers=[("accept-encoding", "gzip")])).body == b"4" * 10_000


# --- what waits ------------------------------------------------------------------------------------


async def test_a_client_that_does_not_poll_is_given_up() -> None:
    poller = await Desk(backpressure=Backpressure(high_water=10, low_water=5, max_bytes=200)).polling()
    poller.session.send(Message(b"4" * 200))
    assert poller.session.transport.held() == 200
    poller.session.send(Message(b"4"))
    assert poller.listener.closed == [
        ("transport error", "more than max_bytes queued: the client does not poll")
    ]
    assert poller.session.transport.held() == 0


async def test_waiting_ends_with_the_next_poll_or_the_session() -> None:
    for end in (False, True):
        poller = await Desk(backpressure={"high_water": 150, "low_water": 5, "max_bytes": 200}).polling()
        transport = poller.session.transport
        await asyncio.wait_for(transport.drained(), DEADLINE)
        poller.session.send(Message(b"4" * 151))
        waiting = asyncio.create_task(transport.drained())
        await settle()
        assert not waiting.done()
        if end:
            poller.session.fail("transport error")
        else:
            await poller.get()
        await asyncio.wait_for(waiting, DEADLINE)


# --- POST ------------------------------------------------------------------------------------------


async def test_packets_are_delivered_in_order_before_the_answer(poller: Poller) -> None:
    response = await poller.post("4one\x1ebAQI=\x1e4\u00e9\x1e3".encode())
    assert (response.status, response.body, response.headers) == (200, b"ok", {"content-type": "text/html"})
    assert poller.listener.heard == [b"4one", b"\x01\x02", "4\u00e9".encode()]


async def test_a_body_may_come_byte_by_byte(poller: Poller) -> None:
    body = "4one\x1ebAQI=\x1e4\u00e9".encode()
    upload = Upload()
    posting = asyncio.create_task(poller.post(upload))
    for before, after in pairwise([*range(len(body)), len(body)]):
        upload.put(body[before:after], b"")
        await settle()
        assert poller.listener.heard == []
    upload.end()
    assert (await posting).body == b"ok"
    assert poller.listener.heard == [b"4one", b"\x01\x02", "4\u00e9".encode()]


async def test_a_second_post_beside_the_first_ends_the_session(poller: Poller) -> None:
    upload = Upload()
    posting = asyncio.create_task(poller.post(upload))
    upload.put(b"4one")
    await settle()
    second = await poller.post(b"4two")
    assert (second.status, second.body) == (400, b"")
    assert poller.listener.closed == [("transport error", "data request overlap from client")]
    upload.end()
    assert (await posting).status == 400
    assert poller.listener.heard == []


async def test_a_post_may_follow_one_that_failed(poller: Poller) -> None:
    assert (await poller.post(b"4" * 1_000_001)).status == 413
    assert (await poller.post(b"4hello")).body == b"ok"
    assert poller.listener.heard == [b"4hello"]


@pytest.mark.parametrize(
    ("body", "status", "reason", "heard"),
    [
        (b"", 200, "parse error", []),
        (b"4one\x1e", 200, "parse error", [b"4one"]),
        (b"\x1e4one", 200, "parse error", []),
        (b"4one\x1e\x1e4two", 200, "parse error", [b"4one"]),
        (b"4one\x1ex\x1e4two", 200, "parse error", [b"4one"]),
        (b"4one\x1eb*\x1e4two", 200, "parse error", [b"4one"]),
        (b"4one\x1e2\x1e4two", 200, "transport error", [b"4one"]),
        (b"4one\x1e1\x1e4two\x1e1", 200, "transport close", [b"4one"]),
        (b"4one\x1e\xff", 400, "parse error", []),
        (b"4one\x1e4\xed\xa0\x80", 400, "parse error", []),
        (b"4one\x1e4\xc0\x80", 400, "parse error", []),
    ],
)
async def test_bodies_that_end_the_session(
    poller: Poller, body: bytes, status: int, reason: str, heard: list[bytes]
) -> None:
    poll = await poller.begin()
    response = await poller.post(body)
    assert response.status == status
    assert response.body == (b"ok" if status == 200 else b"")
    assert poller.listener.reasons == [reason]
    assert poller.listener.heard == heard
    assert (await poll).body == (b"6" if reason == "transport close" else b"1")
    assert (await poller.post(b"4late")).status == 400


async def test_the_packets_of_one_body_are_limited() -> None:
    desk = Desk(limits=Limits(max_payload_packets=3))
    poller = await desk.polling()
    assert (await poller.post(b"4a\x1e4b\x1e4c")).status == 200
    assert (await poller.post(b"4d\x1e4e\x1e4f\x1e4g")).status == 400
    assert poller.listener.heard == [b"4a", b"4b", b"4c"]
    assert poller.listener.reasons == ["parse error"]


async def test_a_body_above_the_limit_is_refused_and_the_session_lives() -> None:
    poller = await Desk(max_http_buffer_size=10).polling()
    assert (await poller.post(b"4" * 10)).body == b"ok"
    too_large = await poller.post(b"4" * 11)
    assert (too_large.status, too_large.body) == (413, b"")
    assert (await poller.post(b"4hello")).body == b"ok"
    assert poller.listener.heard == [b"4" * 10, b"4hello"]


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/octet-stream; charset=x"])
async def test_binary_bodies_were_engine_io_3(poller: Poller, content_type: str) -> None:
    response = await poller.post(b"4one", headers=[("content-type", content_type)])
    assert response.status == 400
    assert poller.listener.reasons == ["transport error"]
    assert poller.listener.heard == []


async def test_a_compressed_body_is_not_read(poller: Poller) -> None:
    response = await poller.post(Upload(), headers=[("content-encoding", "gzip")])
    assert response.status == 415
    assert poller.listener.closed == []
    assert (await poller.post(b"4hello")).body == b"ok"


async def test_a_body_that_does_not_come_ends_the_session() -> None:
    poller = await Desk(limits=Limits(body_timeout=0.01)).polling()
    upload = Upload()
    upload.put(b"4o")
    assert (await poller.post(upload)).status == 408
    assert poller.listener.closed == [("transport error", "body not received within body_timeout")]


async def test_a_client_that_goes_while_it_posts_ends_the_session(poller: Poller) -> None:
    upload = Upload()
    upload.put(b"4o")
    upload.fail(ConnectionResetError("gone"))
    assert (await poller.post(upload)).status == 400
    assert poller.listener.closed == [("transport error", "data request connection closed prematurely")]
    assert poller.listener.heard == []


@pytest.mark.parametrize("whole", [False, True])
async def test_a_session_that_ends_during_a_post_hears_nothing_of_it(poller: Poller, whole: bool) -> None:
    """It does not wait for the rest of the body either."""
    upload = Upload()
    posting = asyncio.create_task(poller.post(upload))
    upload.put(b"4one")
    await settle()
    poller.session.fail("ping timeout")
    if whole:
        upload.end()
    response = await posting
    assert (response.status, response.body) == (400, b"")
    assert poller.listener.heard == []
    assert poller.listener.reasons == ["ping timeout"]


async def test_a_session_that_ends_in_the_moment_in_which_patience_does(poller: Poller) -> None:
    posting = asyncio.create_task(poller.post(Upload()))
    await settle()
    transport = poller.session.transport
    assert isinstance(transport, PollingTransport)
    assert transport._reading is not None
    transport._reading.reschedule(0)
    await asyncio.sleep(0)
    assert transport._reading.expired()
    poller.session.fail("ping timeout")
    assert (await posting).status == 400
    assert poller.listener.reasons == ["ping timeout"]


async def test_a_handler_may_end_the_session_in_the_middle_of_a_body(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    def on_text(data: bytes) -> None:
        heard.append(data)
        poller.session.close()

    monkeypatch.setattr(poller.listener, "on_text", on_text)
    assert (await poller.post(b"4one\x1e4two")).body == b"ok"
    assert heard == [b"4one"]
    assert (await poller.get()).body == b"6\x1e1"


async def test_a_handler_may_answer_within_the_same_poll(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller.listener, "on_text", lambda data: poller.session.send(Message(data)))
    poll = await poller.begin()
    assert (await poller.post(b"4one\x1e4two")).body == b"ok"
    assert (await poll).body == b"4one\x1e4two"


# --- reading a body --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "declared", ["-1", "", "abc", "1.5", "0x10", "1e3", "\u00b2", "9" * 16, "11", "1, 2"]
)
async def test_a_length_that_is_none_or_too_large_is_not_waited_for(declared: str) -> None:
    request = make_request(method="POST", headers=[("content-length", declared)], body=Upload())
    async with asyncio.timeout(DEADLINE):
        assert await read_body(request, 10) is None


async def test_a_body_is_counted_while_it_comes() -> None:
    """Not a byte more is read than it takes to know that there are too many."""
    upload = Upload()
    upload.put(b"x" * 10, b"x")
    async with asyncio.timeout(DEADLINE):
        assert await read_body(make_request(method="POST", body=upload), 10) is None


async def test_no_body_is_an_empty_one() -> None:
    assert await read_body(make_request(method="POST"), 10) == b""


@given(st.lists(st.binary(max_size=8), max_size=8), st.integers(1, 40))
def test_any_pieces_make_the_body_or_too_much(pieces: list[bytes], limit: int) -> None:
    body = b"".join(pieces)

    async def read() -> bytes | None:
        return await read_body(make_request(method="POST", body=Upload.of(*pieces)), limit)

    assert asyncio.run(read()) == (body if len(body) <= limit else None)
