"""Our client: events, acknowledgements and namespaces, against the official server and ours, over each transport."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interop.clients import DEADLINE, Heard, Visit, until
from socketeer import (
    Ack,
    AckTimeout,
    ConnectionRefused,
    ReservedEventError,
    SocketDisconnected,
    TransportError,
)
from socketeer.client.client import Client

PARSERS = pytest.mark.parametrize("profile", ["default", "msgpack"])


@PARSERS
async def test_events_and_acknowledgements(visit: Visit, profile: str) -> None:
    client = await visit.connected(profile=profile)
    heard = Heard().listen(client, "echo")
    payload = {"text": "ünïcødé 😀", "binary": b"\x00\xff", "list": [1, 2.5, None, True]}
    client.emit("echo", payload, b"top level", "last")
    assert (await client.emit_with_ack("describe", timeout=5))["id"] == client.id
    await heard.has(1)
    assert heard == [("echo", payload, b"top level", "last")]
    assert await client.emit_with_ack("ack", timeout=5) is None
    assert await client.emit_with_ack("ack", "one", timeout=5) == "one"
    assert await client.emit_with_ack("ack", "one", {"b": b"two"}, timeout=5) == ("one", {"b": b"two"})
    assert await client.timeout(5).emit_with_ack("ack", payload) == payload
    client.send("a message")
    heard.listen(client, "message")
    await heard.has(2)
    assert heard[1] == ("message", "a message")


@PARSERS
async def test_the_server_asks(visit: Visit, profile: str) -> None:
    client = await visit.connected(profile=profile)

    @client.on("plain")
    def plain(value: Any) -> Any:
        return value, b"and bytes"

    @client.on("slow")
    async def slow() -> str:
        await asyncio.sleep(0.01)
        return "slowly"

    @client.on("by hand")
    def by_hand(ack: Ack) -> None:
        assert ack.wanted
        ack("once")
        ack("twice")

    @client.on("typed")
    def typed(number: int) -> int:
        return number + 1

    async def ask(event: str, *args: Any, ms: int = 5000) -> Any:
        return await client.emit_with_ack("ask", event, ms, list(args), timeout=8)

    assert await ask("plain", {"a": [1]}) == {"value": [{"a": [1]}, b"and bytes"]}
    assert await ask("slow") == {"value": "slowly"}
    assert await ask("by hand") == {"value": "once"}
    assert await ask("typed", 41) == {"value": 42}
    failures = Heard().listen(client, "error")
    assert await ask("typed", "no number", ms=50) == {"error": "operation has timed out"}
    assert failures.names() == ["error"]
    assert "number" in str(failures[0][1]) or "int" in str(failures[0][1])


async def test_what_handlers_raise_goes_to_error_listeners(visit: Visit) -> None:
    client = await visit.connected()
    failures = Heard().listen(client, "error")

    @client.on("echo")
    def fails(value: int) -> None:
        raise LookupError(value)

    @client.on("echo")
    async def fails_later(value: int) -> None:
        await asyncio.sleep(0)
        raise KeyError(value)

    heard = Heard().listen(client, "echo")
    client.emit("echo", 1)
    await failures.has(2)
    assert [type(error) for _, error in failures] == [LookupError, KeyError]
    assert heard == [("echo", 1)]
    assert client.connected


async def test_catch_alls(visit: Visit) -> None:
    client = visit.client()
    seen: list[tuple[Any, ...]] = []
    client.on_any(lambda event, *args: seen.append(("in", event, *args)))
    client.on_any_outgoing(lambda event, *args: seen.append(("out", event, *args)))
    heard = Heard().listen(client, "echo")
    client.emit("echo", "early")
    assert seen == []  # it is told when it leaves
    await client.connect()
    client.emit("echo", b"late")
    await heard.has(2)
    assert seen[:2] == [("out", "echo", "early"), ("out", "echo", b"late")]
    assert seen[2:] == [("in", "echo", "early"), ("in", "echo", b"late")]
    client.off_any()
    client.off_any_outgoing()
    await client.emit_with_ack("ack", timeout=5)
    assert len(seen) == 4


async def test_namespaces_share_one_connection(visit: Visit) -> None:
    client = await visit.connected()
    other, third = client.of("/other"), client.of("third")
    await asyncio.gather(other.connect(), third.connect())
    described = [await each.emit_with_ack("describe", timeout=5) for each in (client, other, third)]
    assert len({each["conn"] for each in described}) == 1
    assert [each["nsp"] for each in described] == ["/", "/other", "/third"]
    assert [each["id"] for each in described] == [client.id, other.id, third.id]
    assert client.of("/other") is other
    left = Heard().listen(other, "disconnect")
    other.disconnect()
    assert left == [("disconnect", "io client disconnect", None)]
    assert client.connected
    assert await third.emit_with_ack("ack", "still", timeout=5) == "still"
    first = described[1]["id"]
    await other.connect()
    assert (await other.emit_with_ack("describe", timeout=5))["conn"] == described[0]["conn"]
    assert other.id != first
    client.disconnect()
    assert third.connected
    assert await third.emit_with_ack("ack", "without the first", timeout=5) == "without the first"


async def test_refused_by_a_middleware(visit: Visit) -> None:
    client = visit.client("/secret", auth={"token": "wrong"})
    heard = Heard().listen(client, "connect_error", "connect", "disconnect")
    with pytest.raises(ConnectionRefused, match="wrong token") as caught:
        await client.connect()
    assert caught.value.data == {"code": 4001, "given": "wrong"}
    assert heard == [("connect_error", caught.value)]
    assert (client.active, client.connected, client.id) == (False, False, None)
    client.auth = {"token": "s3cret"}
    await client.connect()
    assert heard.names() == ["connect_error", "connect"]
    assert (await client.emit_with_ack("handshake", timeout=5))["auth"] == {"token": "s3cret"}


async def test_refused_beside_a_namespace_that_is_joined(visit: Visit) -> None:
    client = await visit.connected()
    secret = client.of("/secret", auth={})
    with pytest.raises(ConnectionRefused, match="wrong token"):
        await secret.connect()
    assert await client.emit_with_ack("ack", "still here", timeout=5) == "still here"


async def test_refused_on_entering(visit: Visit) -> None:
    client = visit.client("/secret")
    with pytest.raises(ConnectionRefused):
        async with client:
            pytest.fail("entered")
    assert client.io.engine is None


async def test_what_is_emitted_before_connecting_keeps_its_order(visit: Visit) -> None:
    client = visit.client()
    heard = Heard().listen(client, "echo")
    for number in range(3):
        client.emit("echo", number)
    client.volatile.emit("echo", "volatile")
    asked = asyncio.create_task(client.emit_with_ack("ack", "asked", timeout=5))
    await asyncio.sleep(0)
    assert len(client.send_buffer) == 4

    @client.once("connect")
    def connected() -> None:
        client.emit("echo", "connect")

    await client.connect()
    assert await asked == "asked"
    await heard.has(4)
    assert [each[1] for each in heard] == [0, 1, 2, "connect"]
    assert not client.send_buffer


async def test_what_waits_is_kept_as_it_was_emitted(visit: Visit) -> None:
    client = visit.client()
    heard = Heard().listen(client, "echo")
    value = [1]
    client.emit("echo", value)
    value.append(2)
    with pytest.raises(TypeError):
        client.emit("echo", object())
    with pytest.raises(TypeError):
        await client.emit_with_ack("ack", object())
    await client.connect()
    await heard.has(1)
    assert heard == [("echo", [1])]


async def test_events_that_come_before_connect_keep_their_order(visit: Visit) -> None:
    client = visit.client("/eager")
    order: list[Any] = []
    client.on("early", lambda number, data: order.append((number, data)))
    client.on("connect", lambda: order.append("connect"))
    await client.connect()
    await until(lambda: len(order) == 5)
    assert order == [(0, b"\0"), (1, b"\1"), (2, b"\2"), "connect", (3, b"\3")]


async def test_reserved_names(visit: Visit) -> None:
    client = await visit.connected()
    for name in ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"):
        with pytest.raises(ReservedEventError):
            client.emit(name)
        with pytest.raises(ReservedEventError):
            await client.emit_with_ack(name)
    heard = Heard().listen(client, "error")
    await client.emit_with_ack(
        "relay", {"via": "nsp", "in": [client.id]}, "error", "an event like any", timeout=5
    )
    await heard.has(1)
    assert heard == [("error", "an event like any")]


async def test_no_server(visit: Visit, unused_tcp_port: int) -> None:
    client = visit.client(url=f"http://127.0.0.1:{unused_tcp_port}", reconnection=False)
    heard = (
        Heard()
        .listen(client, "connect_error")
        .listen(client.io, "error", "reconnect_attempt", "reconnect_failed")
    )
    with pytest.raises(TransportError) as caught:
        await client.connect()
    assert heard == [("connect_error", caught.value), ("error", caught.value)]
    assert not client.active
    with pytest.raises(TransportError):
        async with client:
            pytest.fail("entered")


@pytest.mark.parametrize("close", [False, True])
async def test_the_server_disconnects(visit: Visit, close: bool) -> None:
    client = await visit.connected()
    heard = Heard().listen(client, "disconnect").listen(client.io, "reconnect_attempt", "reconnect")
    over = asyncio.create_task(client.wait())
    first = client.id
    client.emit("disconnect_me", close)
    await heard.has(1)
    assert heard == [("disconnect", "io server disconnect", None)]
    assert (client.active, client.id) == (False, None)
    async with asyncio.timeout(DEADLINE):
        assert await over == await client.wait() == "io server disconnect"
    await client.connect()
    assert client.id not in (None, first)
    assert heard.names() == ["disconnect"]


async def test_connecting_again_from_the_listener(visit: Visit) -> None:
    client = await visit.connected()
    over = asyncio.create_task(client.wait())
    back = asyncio.Event()
    client.on("disconnect", lambda reason: client.connect() if reason == "io server disconnect" else None)
    client.on("connect", back.set)
    client.emit("disconnect_me", False)
    async with asyncio.timeout(DEADLINE):
        await back.wait()
    assert not over.done()
    client.disconnect()
    async with asyncio.timeout(DEADLINE):
        assert await over == "io client disconnect"


async def test_several_connects_and_disconnects_in_a_row(visit: Visit) -> None:
    client = visit.client()
    heard = Heard().listen(client, "connect", "disconnect", "connect_error")
    ids = set()
    for _ in range(3):
        client.connect()
        client.disconnect()
        client.disconnect()
        client.connect()
        await client.connect()
        ids.add((await client.emit_with_ack("describe", timeout=5))["id"])
        client.disconnect()
    assert len(ids) == 3
    assert heard.names() == ["connect", "disconnect"] * 3
    assert client.io.engine is None


@pytest.mark.parametrize("end", ["with", "close", "disconnect"])
@pytest.mark.parametrize("settled", [False, True])
async def test_what_was_emitted_arrives_before_the_end(visit: Visit, end: str, settled: bool) -> None:
    """The official server passes over events that it reads together with the DISCONNECT."""
    client, key = visit.client(), f"last words {visit.mode} {end} {settled}"
    async with client:
        if settled:
            await visit.settled(client)
        for number in range(20):
            client.emit("note", key, number)
        if end == "close":
            await client.close()
        elif end == "disconnect":
            await client.disconnect()
            assert client.io.engine is None
    assert client.io.engine is None
    async with client:
        assert await client.emit_with_ack("noted", key, timeout=5) == list(range(20))


async def test_each_namespace_says_goodbye_behind_its_events(visit: Visit) -> None:
    client, key = await visit.connected(), f"goodbyes {visit.mode}"
    others = [client.of("/other"), client.of("/third")]
    for other in others:
        await other.connect()
    left = Heard().listen(client, "disconnect")
    client.emit("note", key, 0)
    for number, other in enumerate(others, 1):
        other.emit("note", key, number)
        other.disconnect()
        client.emit("note", key, number * 10)
    await others[1].disconnect()
    assert [each.connected for each in others] == [False, False]
    again = others[0].connect()  # behind its DISCONNECT, or the server would end the session
    assert await client.emit_with_ack("noted", key, timeout=5) == [0, 1, 10, 2, 20]
    await again
    others[0].emit("note", key, 3)
    client.emit("note", key, 30)
    await client.close()
    assert left == [("disconnect", "io client disconnect", None)]
    assert sorted(await _noted(visit, key)) == [0, 1, 2, 3, 10, 20, 30]


async def _noted(visit: Visit, key: str) -> list[Any]:
    async with visit.client() as observer:
        found: list[Any] = await observer.emit_with_ack("noted", key, timeout=5)
        return found


async def test_closing_waits_for_what_is_sent_until_it_is_acknowledged(visit: Visit) -> None:
    key = f"retries {visit.mode}"
    async with visit.client(retries=3, ack_timeout=5) as client:
        for number in range(10):
            client.emit("note", key, number)
    assert await _noted(visit, key) == list(range(10))


async def test_cancelling_the_wait_ends_nothing_else(visit: Visit) -> None:
    client = visit.client()
    waiting = asyncio.ensure_future(_await(client.connect()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert client.active
    await client.connect()
    assert client.connected


async def test_disconnecting_while_connecting(visit: Visit) -> None:
    client = visit.client()
    heard = Heard().listen(client, "connect", "disconnect", "connect_error")
    waiting = asyncio.ensure_future(_await(client.connect()))
    await asyncio.sleep(0)
    client.disconnect()
    with pytest.raises(SocketDisconnected):
        await waiting
    assert heard == []
    assert not client.active


async def test_entering_is_cancelled(visit: Visit) -> None:
    client = visit.client("/eager")

    async def enter() -> None:
        async with client:
            pytest.fail("entered")

    entering = asyncio.create_task(enter())
    await until(lambda: client.io.engine is not None)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not client.active
    assert client.io.engine is None


async def test_a_body_that_raises(visit: Visit) -> None:
    client = visit.client()
    with pytest.raises(LookupError):
        async with client:
            raise LookupError
    assert not client.active
    assert client.io.engine is None


async def test_two_clients_in_one_loop(visit: Visit) -> None:
    one, two = await visit.connected(), await visit.connected()
    heard = Heard().listen(two, "hello")
    await one.emit_with_ack("relay", {"via": "nsp", "in": [two.id]}, "hello", "two", timeout=5)
    await heard.has(1)
    one.disconnect()
    assert await two.emit_with_ack("ack", 2, timeout=5) == 2
    assert heard == [("hello", "two")]


@pytest.mark.parametrize("event", ["connect", "echo", "disconnect", "any", "outgoing", "open", "close"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_disconnecting_in_a_listener(visit: Visit, event: str, asynchronous: bool) -> None:
    client = visit.client()
    heard = Heard()

    def leave(*_: Any) -> None:
        client.disconnect()

    async def leave_later(*_: Any) -> None:
        await asyncio.sleep(0)
        client.disconnect()

    listener: Any = leave_later if asynchronous else leave
    if event == "any":
        client.on_any(listener)
    elif event == "outgoing":
        client.on_any_outgoing(listener)
    elif event in {"open", "close"}:
        client.io.on(event, listener)
    else:
        client.on(event, listener)
    heard.listen(client, "disconnect")
    client.emit("echo", 1)
    client.connect()
    client.emit("echo", 2)
    if event in {"disconnect", "close"}:
        await until(lambda: client.connected)
        await visit.settled(client)
        assert client.io.engine is not None
        client.io.engine.close()
    await until(lambda: not client.active)
    assert client.id is None
    if event != "open" or heard:
        expected = "forced close" if event in {"disconnect", "close"} else "io client disconnect"
        assert heard == [("disconnect", expected, None)]


async def test_listeners_of_connect_that_raise(visit: Visit) -> None:
    client = visit.client()

    @client.on("connect")
    def fails() -> None:
        raise LookupError

    @client.on("connect")
    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise KeyError

    failures = Heard().listen(client, "error")
    await client.connect()
    await failures.has(2)
    assert await client.emit_with_ack("ack", "fine", timeout=5) == "fine"


@pytest.mark.parametrize("form", ["mapping", "function", "async", "slow"])
async def test_auth(visit: Visit, form: str) -> None:
    asked: list[int] = []

    def function() -> dict[str, Any]:
        asked.append(1)
        return {"token": "s3cret", "times": len(asked)}

    async def later() -> dict[str, Any]:
        return function()

    async def slowly() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return function()

    forms: dict[str, Any] = {
        "mapping": {"token": "s3cret"},
        "function": function,
        "async": later,
        "slow": slowly,
    }
    client = await visit.connected("/secret", auth=forms[form])
    engine = client.io.engine
    assert engine is not None
    engine.close()
    await until(lambda: client.connected and client.io.engine is not engine)
    auth = (await client.emit_with_ack("handshake", timeout=5))["auth"]
    assert auth == ({"token": "s3cret"} if form == "mapping" else {"token": "s3cret", "times": 2})


async def _raise_later() -> Any:
    await asyncio.sleep(0)
    raise LookupError("no token")


@pytest.mark.parametrize(
    "auth",
    [lambda: 1 // 0, _raise_later, lambda: "a string", lambda: {"token": object()}],
    ids=["raises", "raises later", "no mapping", "cannot be sent"],
)
async def test_auth_that_fails(visit: Visit, auth: Any) -> None:
    client = visit.client("/secret", auth=auth)
    heard = Heard().listen(client, "connect_error")
    with pytest.raises(ConnectionRefused, match="auth failed") as caught:
        await client.connect()
    assert caught.value.__cause__ is not None
    assert heard == [("connect_error", caught.value)]
    client.auth = {"token": "s3cret"}
    await client.connect()


async def test_acknowledgements_that_do_not_come(visit: Visit) -> None:
    client = await visit.connected(ack_timeout=0.05)
    with pytest.raises(AckTimeout):
        await client.emit_with_ack("silent")
    with pytest.raises(TimeoutError):
        await client.timeout(0.05).emit_with_ack("silent")
    assert await client.emit_with_ack("ack later", 60, "in time", timeout=5) == "in time"
    with pytest.raises(AckTimeout):
        await client.emit_with_ack("once told")
    assert await client.emit_with_ack("ack", 1, timeout=5) == 1
    client.emit("tell", client.id)
    assert await client.emit_with_ack("ack", 2, timeout=5) == 2
    cancelled = asyncio.create_task(client.emit_with_ack("silent", timeout=5))
    await asyncio.sleep(0)
    assert len(client._outbound.acks) == 1
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert len(client._outbound.acks) == 0


def test_a_client_made_outside_of_a_loop(peers: Any) -> None:
    client = Client(peers.url("default"))
    heard = Heard().listen(client, "echo")
    client.emit("echo", "made outside")

    async def use(count: int) -> None:
        async with client:
            await heard.has(count)

    asyncio.run(use(1))
    client.emit("echo", "in another loop")
    asyncio.run(use(2))
    assert [each[1] for each in heard] == ["made outside", "in another loop"]


async def _await(awaitable: Any) -> None:
    await awaitable
