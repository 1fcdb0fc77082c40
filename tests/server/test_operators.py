"""Broadcasting: to whom, with which flags, and the acknowledgements of many."""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import Any

import pytest

from socketeer.errors import AckTimeout, ReservedEventError, UsageError
from socketeer.server.operators import BroadcastOperator, room_names
from socketeer.server.socket import Socket
from tests.support.inprocess import Client, Lobby, Poller


class Crowd:
    """Three clients, each in the rooms that its name says."""

    def __init__(self, *names: str, namespace: str = "/") -> None:
        self.lobby = Lobby()
        self.io = self.lobby.io
        self.clients: dict[str, Client] = {}
        self.sockets: dict[str, Socket] = {}
        for name in names or ("a", "b", "ab"):
            self.clients[name], self.sockets[name] = self.lobby.connected(namespace)
            self.sockets[name].join(list(name))

    def heard(self) -> dict[str, list[Any]]:
        return {name: heard for name, client in self.clients.items() if (heard := client.heard())}

    async def asked(self) -> None:
        """Wait until everybody has been asked something."""
        for client in self.clients.values():
            async with asyncio.timeout(5):
                await client.carrier.news.wait()


# --- to whom ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choose", "meant"),
    [
        (lambda io: io, "a b ab"),
        (lambda io: io.to("a"), "a ab"),
        (lambda io: io.in_("a"), "a ab"),
        (lambda io: io.to("a").to("b"), "a b ab"),
        (lambda io: io.to(["a", "b"]), "a b ab"),
        (lambda io: io.to({"a"}).in_("a"), "a ab"),
        (lambda io: io.except_("a"), "b"),
        (lambda io: io.except_(["a", "b"]), ""),
        (lambda io: io.to("a").except_("b"), "a"),
        (lambda io: io.except_("b").to("a"), "a"),
        (lambda io: io.to("nowhere"), ""),
        (lambda io: io.except_("nowhere"), "a b ab"),
        (lambda io: io.local, "a b ab"),
        (lambda io: io.local.to("b"), "b ab"),
        (lambda io: io.to("a").local.except_("b"), "a"),
        (lambda io: io.sockets.to("b"), "b ab"),
        (lambda io: io.of("/").to("b"), "b ab"),
    ],
)
async def test_to_whom(choose: Any, meant: str) -> None:
    """Everybody who is meant gets it once."""
    crowd = Crowd()
    choose(crowd.io).emit("x", 1)
    assert crowd.heard() == {name: ['42["x",1]'] for name in meant.split()}


async def test_one_socket_by_its_id() -> None:
    crowd = Crowd()
    crowd.io.to(crowd.sockets["b"].id).emit("x")
    assert crowd.heard() == {"b": ['42["x"]']}


async def test_a_namespace_of_its_own() -> None:
    crowd = Crowd(namespace="/chat")
    crowd.io.emit("x")
    assert crowd.heard() == {}
    crowd.io.of("chat").to("a").emit("x")
    crowd.io.of("/chat").send("hi")
    assert crowd.heard() == {
        "a": ['42/chat,["x"]', '42/chat,["message","hi"]'],
        "b": ['42/chat,["message","hi"]'],
        "ab": ['42/chat,["x"]', '42/chat,["message","hi"]'],
    }


async def test_an_operator_may_be_kept() -> None:
    """Every step gives a new one and changes nothing behind."""
    crowd = Crowd()
    base = crowd.io.to("a")
    base.to("b")
    base.except_("b")
    base.compress(False)
    base.emit("1")
    base.emit("2")
    assert crowd.heard() == {"a": ['42["1"]', '42["2"]'], "ab": ['42["1"]', '42["2"]']}


async def test_the_order_of_each_client_is_the_order_of_emitting() -> None:
    crowd = Crowd("a")
    crowd.io.emit("1")
    crowd.sockets["a"].emit("2")
    crowd.io.to("a").emit("3")
    assert crowd.heard() == {"a": ['42["1"]', '42["2"]', '42["3"]']}


async def test_binary() -> None:
    crowd = Crowd("a", "b")
    crowd.io.emit("x", {"y": b"\x01"})
    assert crowd.heard() == {
        name: ['451-["x",{"y":{"_placeholder":true,"num":0}}]', b"\x01"] for name in ("a", "b")
    }


async def test_encoded_once() -> None:
    """Whoever listens, the payload is looked at one time."""
    crowd = Crowd()
    looked = 0

    class Model:
        def model_dump(self) -> dict[str, int]:
            nonlocal looked
            looked += 1
            return {"n": looked}

    crowd.io.emit("x", Model())
    assert crowd.heard() == {name: ['42["x",{"n":1}]'] for name in ("a", "b", "ab")}


async def test_a_client_that_breaks_meanwhile_costs_the_others_nothing() -> None:
    crowd = Crowd()
    crowd.clients["a"].carrier.max_bytes = 10
    crowd.sockets["a"].on("disconnect", lambda reason: crowd.sockets["b"].leave("b"))
    crowd.io.to(["a", "b"]).emit("x", "a long text")
    heard = crowd.heard()
    assert sorted(heard) == ["a", "ab", "b"]
    assert crowd.clients["a"].ended()
    assert heard["ab"] == ['42["x","a long text"]']


@pytest.mark.parametrize("event", ["connect", "disconnect", "newListener"])
async def test_reserved_names(event: str) -> None:
    crowd = Crowd()
    with pytest.raises(ReservedEventError):
        crowd.io.emit(event)
    with pytest.raises(ReservedEventError):
        await crowd.io.emit_with_ack(event)
    assert crowd.heard() == {}


async def test_what_cannot_be_emitted() -> None:
    crowd = Crowd()
    name: Any = 7
    with pytest.raises(UsageError, match="expected a name, got 7"):
        crowd.io.emit(name)
    with pytest.raises(TypeError):
        crowd.io.emit("x", object())
    assert crowd.heard() == {}


def test_room_names() -> None:
    assert room_names("one") == ("one",)
    assert room_names(["one", "two"]) == ("one", "two")
    assert room_names(each for each in "ab") == ("a", "b")
    assert room_names([]) == ()


# --- flags --------------------------------------------------------------------------------------


async def test_volatile() -> None:
    crowd = Crowd()
    crowd.clients["b"].carrier.busy = True
    crowd.io.volatile.emit("1")
    crowd.io.to("b").volatile.emit("2")
    crowd.io.emit("3")
    assert crowd.heard() == {
        "a": ['42["1"]', '42["3"]'],
        "b": ['42["3"]'],
        "ab": ['42["1"]', '42["2"]', '42["3"]'],
    }


@pytest.mark.parametrize("compressed", [True, False])
async def test_compress(compressed: bool) -> None:
    lobby = Lobby(http_compression={"threshold": 10})
    poller = Poller(lobby.io)
    await poller.open()
    poller.headers = [("accept-encoding", "gzip")]
    lobby.io.compress(compressed).emit("x", "y" * 100)
    response = await poller.get()
    assert response.headers.get("content-encoding") == ("gzip" if compressed else None)
    body = gzip.decompress(response.body) if compressed else response.body
    assert body == b'42["x","' + b"y" * 100 + b'"]'


async def test_awaiting_waits_for_those_who_are_meant() -> None:
    crowd = Crowd()
    for name in ("b", "ab"):
        crowd.clients[name].carrier.room.clear()

    async def emit(operator: BroadcastOperator) -> None:
        await operator.emit("x")

    await emit(crowd.io.to("a").except_("b"))
    waiting = asyncio.ensure_future(emit(crowd.io.to("a")))
    await asyncio.sleep(0)
    assert not waiting.done()
    crowd.clients["ab"].carrier.room.set()
    async with asyncio.timeout(5):
        await waiting


# --- acknowledgements ---------------------------------------------------------------------------


async def test_everybody_answers() -> None:
    """A list, in the order in which the answers come; of several values the first."""
    crowd = Crowd()
    waiting = asyncio.ensure_future(crowd.io.timeout(5).emit_with_ack("x", 1))
    await crowd.asked()
    assert crowd.heard() == {name: ['420["x",1]'] for name in ("a", "b", "ab")}
    crowd.clients["b"].say('430["b"]')
    crowd.clients["ab"].say("430[]")
    assert not waiting.done()
    crowd.clients["a"].say('430["a","more"]')
    assert await waiting == ["b", None, "a"]
    assert all(len(socket.acks) == 0 for socket in crowd.sockets.values())


async def test_only_those_who_are_asked() -> None:
    crowd = Crowd()
    waiting = asyncio.ensure_future(crowd.io.to("b").except_("a").emit_with_ack("x", timeout=5))
    await crowd.clients["b"].hears('420["x"]')
    crowd.clients["a"].say('430["forged"]')
    crowd.clients["b"].say('430["b"]', '430["twice"]')
    assert await waiting == ["b"]


@pytest.mark.parametrize("timeout", [None, 5])
async def test_nobody_is_there(timeout: float | None) -> None:
    crowd = Crowd()
    assert await crowd.io.to("nowhere").emit_with_ack("x", timeout=timeout) == []


async def test_not_all_in_time() -> None:
    crowd = Crowd()
    waiting = asyncio.ensure_future(crowd.io.timeout(5).emit_with_ack("x"))
    await crowd.asked()
    crowd.clients["b"].say('430["b"]')
    lobby = crowd.lobby
    lobby.clock.advance(4.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    lobby.clock.advance(0.2)
    with pytest.raises(AckTimeout, match="operation has timed out") as caught:
        await waiting
    assert caught.value.responses == ["b"]
    crowd.clients["a"].say('430["too late"]')
    assert caught.value.responses == ["b"]
    assert all(len(socket.acks) == 0 for socket in crowd.sockets.values())


async def test_one_that_goes_counts_as_late() -> None:
    crowd = Crowd()
    waiting = asyncio.ensure_future(crowd.io.timeout(5).emit_with_ack("x"))
    await crowd.asked()
    crowd.clients["a"].vanish()
    crowd.clients["b"].say('430["b"]')
    crowd.clients["ab"].say('430["ab"]')
    crowd.lobby.clock.advance(5.1)
    with pytest.raises(AckTimeout) as caught:
        await waiting
    assert caught.value.responses == ["b", "ab"]


async def test_without_a_timeout_nobody_waits_for_one_that_goes() -> None:
    crowd = Crowd()
    waiting = asyncio.ensure_future(crowd.io.emit_with_ack("x"))
    await crowd.asked()
    crowd.clients["a"].say('430["a"]')
    crowd.clients["b"].say('430["b"]')
    await asyncio.sleep(0)
    assert not waiting.done()
    crowd.clients["ab"].vanish()
    assert await waiting == ["a", "b"]


async def test_one_that_breaks_while_the_others_are_being_asked() -> None:
    """The others' answers are still waited for."""
    crowd = Crowd()
    crowd.clients["a"].carrier.max_bytes = 1
    waiting = asyncio.ensure_future(crowd.io.emit_with_ack("x"))
    await crowd.asked()
    assert crowd.clients["a"].ended()
    await asyncio.sleep(0)
    assert not waiting.done()
    crowd.clients["b"].say('430["b"]')
    crowd.clients["ab"].say('430["ab"]')
    assert await waiting == ["b", "ab"]


async def test_one_that_comes_later_is_not_asked() -> None:
    crowd = Crowd("a")
    waiting = asyncio.ensure_future(crowd.io.timeout(5).emit_with_ack("x"))
    await crowd.asked()
    late, _ = crowd.lobby.connected()
    assert late.heard() == []
    crowd.clients["a"].say('430["a"]')
    assert await waiting == ["a"]


async def test_a_socket_asks_the_others() -> None:
    crowd = Crowd()
    waiting = asyncio.ensure_future(crowd.sockets["a"].broadcast.timeout(5).emit_with_ack("x"))
    await crowd.clients["ab"].hears('420["x"]')
    await crowd.clients["b"].hears('420["x"]')
    assert crowd.clients["a"].heard() == []
    for name in ("b", "ab"):
        crowd.clients[name].say(f'430["{name}"]')
    assert await waiting == ["b", "ab"]


async def test_cancelled_while_it_waits() -> None:
    crowd = Crowd()
    waiting = asyncio.ensure_future(crowd.io.timeout(5).emit_with_ack("x"))
    await crowd.asked()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert all(len(socket.acks) == 0 for socket in crowd.sockets.values())
    crowd.lobby.clock.advance(6)


async def test_one_counter_for_one_client_and_for_many() -> None:
    """Their answers come over the same connections: ids must not meet."""
    crowd = Crowd("a", "b")
    one = asyncio.ensure_future(crowd.sockets["a"].emit_with_ack("one", timeout=5))
    many = asyncio.ensure_future(crowd.io.emit_with_ack("many", timeout=5))
    await crowd.clients["a"].hears('420["one"]', '421["many"]')
    crowd.clients["a"].say('431["many a"]', '430["one a"]')
    crowd.clients["b"].say('431["many b"]')
    assert await one == "one a"
    assert await many == ["many a", "many b"]


@pytest.mark.parametrize("rooms", [5, None, ["a", 5], b"a", [["a"]], {"a": 1, 2: 3}])
async def test_rooms_that_are_none(rooms: Any) -> None:
    lobby = Lobby()
    _, socket = lobby.connected()
    socket.join("a")
    verbs = [socket.join, socket.to, socket.in_, socket.except_, lobby.io.to, lobby.io.except_]
    for verb in (*verbs, lobby.io.sockets_join, lobby.io.to("a").sockets_leave):
        with pytest.raises(
            UsageError, match="expected a room's name or several, got " + re.escape(repr(rooms))
        ):
            verb(rooms)
    with pytest.raises(UsageError, match="leave: expected a room's name, got " + re.escape(repr(rooms))):
        socket.leave(rooms)
    assert socket.rooms == {socket.id, "a"}
