"""What every adapter must do, as tests to subclass.

::

    class TestMyAdapter(AdapterContract):
        nodes = 3

        async def make_servers(self, count, **options):
            bus = MyBus()
            return [BaseServer(adapter=MyAdapter(bus), **options) for _ in range(count)]

The tests are plain ``async`` methods: run them by pytest with pytest-asyncio in its mode ``auto``, or
by unittest with ``IsolatedAsyncioTestCase`` as a second base. What an adapter does not offer (its
:class:`~socketeer.server.adapter.Capabilities`) is skipped. The clients are in the same process; the
servers are real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from unittest import SkipTest

from socketeer.errors import AckTimeout
from socketeer.messaging.handlers import Ack
from socketeer.server.adapter import ROOM_EVENTS, Room, Target
from socketeer.server.operators import RemoteSocket
from socketeer.server.server import BaseServer
from socketeer.testing.recovery import RecoveryCases
from socketeer.testing.stage import Actor, Stage, same

#: Rooms, excepted rooms, and the sockets that are meant.
_SELECTIONS: tuple[tuple[tuple[Room, ...], tuple[Room, ...], str], ...] = (
    ((), (), "1234"),
    (("a",), (), "12"),
    (("a", "b"), (), "123"),
    (("nowhere",), (), ""),
    ((), ("a",), "34"),
    (("a", "b"), ("1", "3"), "2"),
    ((), ("nowhere",), "1234"),
)


class AdapterContract(RecoveryCases):
    """The contract of :class:`~socketeer.server.adapter.Adapter`."""

    async def test_capabilities(self) -> None:
        async with self.stage() as stage:
            same(stage.servers[0].adapter.capabilities.cluster, self.nodes > 1, "capabilities.cluster")

    # --- membership -----------------------------------------------------------------------------

    async def test_membership(self) -> None:
        async with self.stage(0) as stage:
            adapter = stage.servers[0].adapter
            adapter.join("1", ["1", "a", "b"])
            adapter.join("2", ["2", "b"])
            adapter.join("2", ["b", "c"])
            same(set(adapter.socket_rooms("1")), {"1", "a", "b"}, "rooms of a socket")
            same(
                {room: set(ids) for room, ids in adapter.rooms.items()}["b"], {"1", "2"}, "members of a room"
            )
            adapter.leave("1", "b")
            adapter.leave("1", "b")
            adapter.leave("nobody", "b")
            adapter.leave_all("2")
            adapter.leave_all("2")
            same({room: set(ids) for room, ids in adapter.rooms.items()}, {"1": {"1"}, "a": {"1"}}, "rooms")
            same(list(adapter.socket_rooms("2")), [], "rooms of a socket that has left")

    async def test_select(self) -> None:
        async with self.stage(0) as stage:
            adapter = stage.servers[0].adapter
            for name, letters in {"1": "a", "2": "ab", "3": "b", "4": ""}.items():
                adapter.join(name, [name, *letters])
            for rooms, excepted, expected in _SELECTIONS:
                found = sorted(adapter.select(Target(rooms, excepted)))
                same(found, list(expected), f"select({rooms}, {excepted}), each once")

    async def test_room_events(self) -> None:
        async with self.stage(0) as stage:
            adapter, told = stage.servers[0].adapter, list[tuple[str, ...]]()

            def tell(event: str) -> Any:
                return lambda *args: told.append((event, *args))

            listeners = {event: adapter.on(event, tell(event)) for event in sorted(ROOM_EVENTS)}
            adapter.join("1", ["1", "a"])
            adapter.join("2", ["a", "a"])
            adapter.leave("1", "a")
            adapter.leave("1", "a")
            adapter.leave("2", "b")
            adapter.leave_all("1")
            adapter.leave_all("2")
            expected = [
                *(
                    ("create-room", "1"),
                    ("join-room", "1", "1"),
                    ("create-room", "a"),
                    ("join-room", "a", "1"),
                ),
                *(("join-room", "a", "2"), ("leave-room", "a", "1")),
                *(("leave-room", "1", "1"), ("delete-room", "1")),
                *(("leave-room", "a", "2"), ("delete-room", "a")),
            ]
            same(told, expected, "what is told of rooms")
            told.clear()
            adapter.once("join-room", tell("once"))
            for event, listener in listeners.items():
                adapter.off(event, listener)
            adapter.join("1", ["1", "a"])
            adapter.leave_all("1")
            same(told, [("once", "1", "1")], "what is told once, and to nobody else any more")
            same(dict(adapter.rooms), {}, "rooms")

    # --- broadcasts -----------------------------------------------------------------------------

    async def test_everybody_gets_it_once(self) -> None:
        async with self.stage(2) as stage:
            for node, io in enumerate(stage.servers):
                io.emit("news", node)
                heard = await stage.heard()
                same(heard, [[["news", node]]] * len(stage.actors), f"emitted on node {node}")

    async def test_rooms(self) -> None:
        async with self.stage(3) as stage:
            for number, actor in enumerate(stage.actors):
                actor.socket.join(["a", "ab", "b"][number % 3])
                actor.socket.join(["x", "a", "x"][number % 3])
            for io in stage.servers:
                io.to("a").emit("news", 1)
                io.to(["a", "ab"]).emit("news", 2)
                io.except_("a").emit("news", 3)
                io.to(["ab", "b"]).except_("x").emit("news", 4)
                io.to("nowhere").emit("news", 5)
                io.to("x").except_(["a", "nowhere"]).emit("news", 6)
                heard = [[args[1] for args in each] for each in await stage.heard()]
                same(heard, [[1, 2], [1, 2, 4], [3, 6]] * self.nodes, "numbers that each client gets")

    async def test_a_room_of_one_and_everybody_else(self) -> None:
        async with self.stage(2) as stage:
            for actor in stage.actors:
                stage.servers[0].to(actor.id).emit("news", 1)
                actor.socket.broadcast.emit("news", 2)
                actor.socket.to(actor.id).emit("news", 3)
                heard = [[args[1] for args in each] for each in await stage.heard()]
                same(heard, [[1] if each is actor else [2] for each in stage.actors], "numbers")

    async def test_leaving_a_room(self) -> None:
        async with self.stage() as stage:
            for actor in stage.actors:
                actor.socket.join("a")
                actor.socket.leave("a")
                stage.servers[0].to("a").emit("news")
            same(await stage.heard(), [[]] * self.nodes, "events for a room that all have left")

    async def test_local(self) -> None:
        async with self.stage() as stage:
            for node, io in enumerate(stage.servers):
                io.local.emit("news")
                expected = [[["news"]] if actor.node == node else [] for actor in stage.actors]
                same(await stage.heard(), expected, f"local on node {node}")

    async def test_volatile(self) -> None:
        async with self.stage(2) as stage:
            for actor in stage.actors[::2]:
                actor.client.carrier.busy = True
            for io in stage.servers:
                io.volatile.emit("news")
                expected = [[], [["news"]]] * self.nodes
                same(await stage.heard(), expected, "volatile: nothing where the transport is busy")

    async def test_binary_and_json(self) -> None:
        payload = {"n": None, "deep": [b"\x00\xff", {"text": "h\u00e9 \U0001f600", "b": b""}], "f": 1.5}
        async with self.stage() as stage:
            for io in stage.servers:
                io.emit("news", payload, b"\x01" * 1_000)
                heard = await stage.heard()
                same(heard, [[["news", payload, b"\x01" * 1_000]]] * self.nodes, "binary")

    async def test_order(self) -> None:
        """What one node emits to a socket comes in the order in which it was emitted, in whatever room."""
        async with self.stage() as stage:
            for actor in stage.actors:
                actor.socket.join("a")
            for io in stage.servers:
                for number in range(100):
                    (io if number % 3 else io.to("a")).emit("news", number, "x" * (number % 7) * 5_000, 0)
                for events in await stage.heard():
                    same([args[1] for args in events], list(range(100)), "the order")

    async def test_later_changes_do_not_travel(self) -> None:
        async with self.stage() as stage:
            payload = {"n": 1}
            stage.servers[0].emit("news", payload)
            payload["n"] = 2
            same(await stage.heard(), [[["news", {"n": 1}]]] * self.nodes, "as it was when it was emitted")

    async def test_namespaces_are_apart(self) -> None:
        async with self.stage() as stage:
            for io in stage.servers:
                io.of("/other")
            await stage.gather("/other")
            others = [stage.enter(node, "/other") for node in range(self.nodes)]
            stage.servers[0].of("/other").emit("news", 1)
            stage.servers[-1].emit("news", 2)
            expected = [[["news", 1]] if each in others else [["news", 2]] for each in stage.actors]
            same(await stage.heard(), expected, "events")

    # --- acknowledged broadcasts --------------------------------------------------------------------

    async def test_acknowledged(self) -> None:
        async with self.stage(2) as stage:
            stage.actors[0].socket.join("quiet")
            for io in stage.servers:
                asking = asyncio.create_task(io.except_("quiet").emit_with_ack("q", timeout=self.patience))
                await stage.answers(*stage.actors[1:])
                same(sorted(await asking), list(range(len(stage.actors) - 1)), "each answer once")

    async def test_acknowledged_by_nobody(self) -> None:
        async with self.stage() as stage:
            asking = stage.servers[0].to("nowhere").emit_with_ack("q", timeout=self.patience)
            same(await asking, [], "answers")

    async def test_acknowledged_in_part(self) -> None:
        async with self.stage(2) as stage:
            for io in stage.servers:
                asking = asyncio.create_task(io.emit_with_ack("q", timeout=self.brief))
                await stage.answers(*stage.actors[1:])
                try:
                    raise AssertionError(f"expected AckTimeout, got {await asking}")
                except AckTimeout as late:
                    same(sorted(late.responses), list(range(len(stage.actors) - 1)), "responses until then")
                stage.actors[0].answer("too late")

    async def test_questions_of_several_nodes_at_once(self) -> None:
        """Each answer goes to who asked, whatever the ids are."""
        async with self.stage() as stage:
            actor = stage.actors[0]
            asking = [
                asyncio.create_task(io.to(actor.id).emit_with_ack("q", node, timeout=self.patience))
                for node, io in enumerate(stage.servers)
            ]

            def answer() -> bool:
                actor.listen()
                return bool(actor.questions) and actor.answer(actor.questions[0].data[1])

            for _ in asking:
                await stage.until(answer, "a client is asked by each node")
            for node, task in enumerate(asking):
                same(await task, [node], f"what node {node} is answered")

    # --- the sockets of all nodes ---------------------------------------------------------------

    async def test_fetching(self) -> None:
        async with self.stage() as stage:
            stage.enter(0, auth={"name": "Ada"}).socket.data["n"] = 1
            stage.actors[-1].socket.join("a")
            for node, io in enumerate(stage.servers):
                found = {each.id: each for each in await io.fetch_sockets()}
                same(found.keys(), {actor.id for actor in stage.actors}, "ids")
                same(len(await io.fetch_sockets()), len(found), "each once")
                (ada,) = await io.in_("a").fetch_sockets()
                details = (ada.id, set(ada.rooms), ada.data, ada.handshake.auth)
                expected = (stage.actors[-1].id, {ada.id, "a"}, {"n": 1}, {"name": "Ada"})
                same(details, expected, "what is told of a socket")
                same(len(await io.except_("a").fetch_sockets()), len(found) - 1, "all but one")
                here = {actor.id for actor in stage.actors if actor.node == node}
                same({each.id for each in await io.local.fetch_sockets()}, here, "local ones")
                remote = {each.id for each in found.values() if isinstance(each, RemoteSocket)}
                same(remote, found.keys() - here, "those of other nodes are RemoteSockets")

    async def test_acting_on_what_was_fetched(self) -> None:
        async with self.stage() as stage:
            for io in stage.servers:
                actor = stage.enter(0)
                (found,) = await io.in_(actor.id).fetch_sockets()
                socket: Any = found
                socket.join(["a", "b"])
                await stage.until(lambda a=actor: a.socket.rooms == {a.id, "a", "b"}, "it is in two rooms")  # type: ignore[misc]
                socket.leave("a")
                await stage.until(lambda a=actor: a.socket.rooms == {a.id, "b"}, "it has left one")  # type: ignore[misc]
                socket.emit("news", 1)
                same(await stage.heard(actor), [[["news", 1]]], "emitted to it")
                asking = asyncio.create_task(socket.timeout(self.patience).emit_with_ack("q"))
                await stage.answers(actor)
                same(await asking, 0, "its acknowledgement")
                socket.disconnect()
                await stage.until(lambda a=actor: not a.socket.connected, "it is disconnected")  # type: ignore[misc]

    async def test_joining_and_leaving_from_afar(self) -> None:
        async with self.stage(2) as stage:
            for actor in stage.actors[::2]:
                actor.socket.join("a")
            for io in stage.servers:
                io.in_("a").sockets_join(["b", "c"])
                await stage.until(self._members(stage, "c", stage.actors[::2]), "members of a join b and c")
                io.in_("a").except_(stage.actors[0].id).sockets_leave("b")
                await stage.until(self._members(stage, "b", stage.actors[:1]), "all but one leave b")
                io.sockets_leave(["b", "c", "nowhere"])
                await stage.until(self._members(stage, "b", []), "all leave b")
                await stage.until(self._members(stage, "c", []), "all leave c")

    def _members(self, stage: Stage, room: str, expected: Sequence[Actor]) -> Any:
        return lambda: [actor for actor in stage.actors if room in actor.socket.rooms] == list(expected)

    async def test_disconnecting_from_afar(self) -> None:
        async with self.stage(3) as stage:
            for number, actor in enumerate(stage.actors):
                actor.socket.join("abc"[number % 3])
            io = stage.servers[0]
            io.in_("a").disconnect_sockets()
            await stage.until(self._connected(stage, [False, True, True]), "members of a are disconnected")
            assert not any(actor.client.ended() for actor in stage.actors), "their connections stay"
            io.in_("b").disconnect_sockets(close=True)
            await stage.until(self._connected(stage, [False, False, True]), "members of b are disconnected")
            same(
                [actor.client.ended() for actor in stage.actors], [False, True, False] * self.nodes, "closed"
            )

    def _connected(self, stage: Stage, expected: list[bool]) -> Any:
        return lambda: [actor.socket.connected for actor in stage.actors] == expected * self.nodes

    # --- the servers ----------------------------------------------------------------------------

    async def test_server_side_emit(self) -> None:
        async with self.stage(0) as stage:
            heard: list[list[Any]] = [[] for _ in stage.servers]
            for io, log in zip(stage.servers, heard, strict=True):
                io.on("hello", lambda *args, log=log: log.append(args))
                io.of("/other").on("hello", lambda log=log: log.append("elsewhere"))
            for node, io in enumerate(stage.servers):
                io.server_side_emit("hello", node, {"n": [1, None, "x"]})
                io.server_side_emit("hello", node, 2)
            story = [(node, each) for node in range(self.nodes) for each in ({"n": [1, None, "x"]}, 2)]
            for node, log in enumerate(heard):
                expected = [each for each in story if each[0] != node]
                await stage.until(lambda log=log, e=expected: len(log) >= len(e), f"node {node} is told")  # type: ignore[misc]
                same(
                    sorted(log, key=lambda args: args[0]),
                    expected,
                    f"what node {node} is told by others, in order",
                )

    async def test_server_side_emit_with_acknowledgement(self) -> None:
        async with self.stage(0) as stage:
            for node, io in enumerate(stage.servers):
                io.on("name?", lambda node=node: f"node {node}")
            for node, io in enumerate(stage.servers):
                answers = await io.server_side_emit_with_ack("name?", timeout=self.patience)
                others = [f"node {each}" for each in range(self.nodes) if each != node]
                same(sorted(answers), others, "the answers of the other nodes")

    async def test_server_side_emit_acknowledged_in_part(self) -> None:
        if self.nodes < 3:
            raise SkipTest("one answers and one does not: this needs three nodes")
        async with self.stage(0) as stage:

            def silent(ack: Ack) -> None:
                """Never answers."""

            stage.servers[1].on("name?", silent)
            for io in stage.servers[2:]:
                io.on("name?", lambda: "here")
            try:
                answers = await stage.servers[0].server_side_emit_with_ack("name?", timeout=self.brief)
                raise AssertionError(f"expected AckTimeout, got {answers}")
            except AckTimeout as late:
                same(late.responses, ["here"] * (self.nodes - 2), "responses until then")

    async def test_a_node_that_ends(self) -> None:
        """Nobody waits for it any more."""
        async with self.stage() as stage:
            io, *others = stage.servers[::-1]
            for other in others:
                other.on("name?", lambda: "here")
            await io.close()
            await io.adapter.close()
            for other in others:

                async def fewer(other: BaseServer = other) -> bool:
                    return await other.adapter.server_count() == self.nodes - 1

                await stage.until(fewer, "the others know of one node less")
                ids = {each.id for each in await other.fetch_sockets()}
                same(ids, {actor.id for actor in stage.actors[:-1]}, "sockets")
                answers = await other.server_side_emit_with_ack("name?", timeout=self.patience)
                same(answers, ["here"] * (self.nodes - 2), "answers")
