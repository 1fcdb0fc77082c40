"""A node above a log, over one in this process whose progress the test decides about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from socketeer.adapters import recovering
from socketeer.adapters.messages import Broadcast, EventPacket, Kind, Message, Opts
from socketeer.adapters.recovering import RecoveringClusterAdapter
from socketeer.options import Recovery
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from socketeer.testing.inprocess import MemoryCarrier, make_request
from socketeer.testing.stage import Actor, Stage
from tests.adapters.log import LogWire, SharedLog, log_nodes


class TestOverALog(AdapterContract):
    nodes = 3

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        return log_nodes(count, **options)


class Scene:
    """Two nodes over a log, with two clients on the first and one on the second."""

    def __init__(self, **recovery: Any) -> None:
        self.log = SharedLog()
        servers = log_nodes(2, self.log, 0.5, connection_state_recovery=Recovery(**recovery))
        self.stage = Stage(servers, 10.0)
        self.io, self.other = servers

    def start(self) -> None:
        for io in (self.io, self.other):
            io.start()
        self.ada, self.bob = self.stage.enter(0), self.stage.enter(0)
        self.eve = self.stage.enter(1)

    def wire(self, node: int = 0) -> LogWire:
        wire = self.adapter(node).wire
        assert isinstance(wire, LogWire)
        return wire

    def adapter(self, node: int = 0) -> RecoveringClusterAdapter:
        adapter = self.stage.servers[node].adapter
        assert isinstance(adapter, RecoveringClusterAdapter)
        return adapter

    def got(self, actor: Actor) -> list[Any]:
        """The events that have come, without their offsets."""
        actor.listen()
        events, actor.events = actor.events, []
        return [args[0] if len(args) == 1 else args for args in events]

    async def settled(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def leaves(self, actor: Actor) -> None:
        """Gets one event, so that it knows an offset, and goes."""
        self.stage.servers[actor.node].to(actor.id).emit("first", 0)
        await self.settled()
        assert self.got(actor) == [["first", 0]]
        actor.client.vanish()

    async def returns(self, actor: Actor, node: int) -> Actor:
        return await self.stage.reenter(node, auth={"pid": actor.pid, "offset": actor.offset})


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    made.start()
    yield made
    for io in made.stage.servers:
        await io.close()


# --- order, and what gets an offset -------------------------------------------------------------------


async def test_events_are_sent_when_they_come_by_with_the_same_offset_everywhere(scene: Scene) -> None:
    scene.wire().paused = True
    scene.io.emit("x", 1)
    await scene.settled()
    assert scene.got(scene.ada) == []
    assert scene.got(scene.eve) == [["x", 1]]
    scene.wire().resume()
    assert scene.got(scene.ada) == scene.got(scene.bob) == [["x", 1]]
    assert scene.ada.offset == scene.bob.offset == scene.eve.offset == "e0"


async def test_events_of_all_nodes_come_in_the_order_of_the_log(scene: Scene) -> None:
    scene.wire().paused = scene.wire(1).paused = True
    scene.other.emit("first")
    scene.io.emit("second")
    scene.other.emit("third")
    for node in (0, 1):
        scene.wire(node).resume()
    for actor in (scene.ada, scene.eve):
        actor.listen()
        assert actor.events == [["first", "e0"], ["second", "e1"], ["third", "e2"]] or [
            each[0] for each in actor.events
        ] == ["first", "second", "third"]


async def test_what_is_emitted_directly_queues_behind(scene: Scene) -> None:
    scene.wire().paused = True
    socket = scene.ada.socket
    asking = [asyncio.ensure_future(scene.io.local.emit_with_ack("all?", timeout=5))]
    await scene.settled()
    scene.bob.listen()
    assert len(scene.bob.questions) == 1, "nothing is on its way yet"
    scene.io.emit("x", 1)
    socket.volatile.emit("volatile")
    asking.append(asyncio.ensure_future(socket.emit_with_ack("q", timeout=5)))
    await scene.settled()
    scene.io.local.emit("local", 1)
    asking.append(asyncio.ensure_future(scene.io.to(scene.ada.id).emit_with_ack("r", timeout=5)))
    await scene.settled()
    scene.io.emit("y", 1)
    await scene.settled()
    scene.ada.listen()
    assert ([each.data[0] for each in scene.ada.questions], scene.got(scene.ada)) == (["all?"], [])
    scene.wire().resume()
    wire_text = [each for each in scene.ada.client.carrier.sent if isinstance(each, str)]
    order = [text[text.index('"') + 1 :].partition('"')[0] for text in wire_text]
    assert order == ["x", "volatile", "q", "local", "r", "y"]
    scene.ada.listen()
    for _ in range(3):
        scene.ada.answer("yes")
    scene.bob.answer("yes")
    assert [await each for each in asking] == [["yes", "yes"], "yes", ["yes"]]


async def test_acknowledgements_queue_behind(scene: Scene) -> None:
    scene.wire().paused = True

    @scene.ada.socket.on("hello")
    def hello() -> str:
        scene.ada.socket.emit("x", 1)
        return "done"

    scene.ada.client.say('420["hello"]')
    assert scene.ada.client.heard() == []
    scene.wire().resume()
    assert scene.ada.client.heard() == ['42["x",1,"e0"]', '430["done"]']


async def test_clients_of_version_2_get_all_in_order_and_without_offsets() -> None:
    log = SharedLog()
    (io,) = log_nodes(1, log, connection_state_recovery=True, allow_eio3=True)
    io.start()
    carrier = MemoryCarrier()
    io.engine.open_websocket(make_request(query_string="EIO=3&transport=websocket"), None, carrier)
    (socket,) = io.sockets.sockets.values()
    adapter: Any = io.adapter
    carrier.sent.clear()
    adapter.wire.paused = True
    io.emit("x", 1)
    socket.emit("y", 1)
    io.emit("z", 1)
    assert carrier.sent == []
    adapter.wire.resume()
    socket.emit("a", 1)
    assert carrier.sent == ['42["x",1]', '42["y",1]', '42["z",1]', '42["a",1]']
    await io.close()


async def test_it_goes_to_those_who_were_meant_when_it_was_emitted(scene: Scene) -> None:
    scene.wire().paused = True
    ada, bob = scene.ada.socket, scene.bob.socket
    ada.join("room")
    scene.io.to("room").emit("x", 1)
    ada.leave("room")
    bob.join("room")
    scene.io.to("room").emit("y", 1)
    late = scene.stage.enter(0)
    scene.wire().resume()
    assert [scene.got(each) for each in (scene.ada, scene.bob, late)] == [[["x", 1]], [["y", 1]], []]


async def test_who_is_disconnected_gets_first_what_is_on_its_way(scene: Scene) -> None:
    scene.wire().paused = True
    scene.io.emit("to all", 1)
    scene.ada.socket.emit("bye", 1)
    scene.ada.socket.disconnect()
    assert scene.ada.client.heard() == ['42["to all",1]', '42["bye",1]', "41"]
    scene.io.emit("bye all", 1)
    scene.io.disconnect_sockets()
    assert scene.bob.client.heard() == ['42["to all",1]', '42["bye all",1]', "41"]
    scene.wire().resume()
    assert scene.ada.client.heard() == scene.bob.client.heard() == []


async def test_volatile_events_have_no_offset(scene: Scene) -> None:
    scene.bob.client.carrier.busy = True
    scene.io.volatile.emit("x", 1)
    await scene.settled()
    assert [each.client.heard() for each in (scene.ada, scene.bob, scene.eve)] == [
        ['42["x",1]'],
        [],
        ['42["x",1]'],
    ]


async def test_catch_alls_hear_when_it_is_emitted_and_may_emit(scene: Scene) -> None:
    heard: list[Any] = []

    @scene.ada.socket.on_any_outgoing
    def outgoing(name: str, *_: Any) -> None:
        heard.append(name)
        if name == "outer":
            scene.ada.socket.emit("inner", 1)

    scene.io.emit("outer", 1)
    assert heard == ["outer", "inner"]
    await scene.settled()
    assert scene.got(scene.ada) == [["inner", 1], ["outer", 1]]
    scene.other.emit("from there", 1)
    await scene.settled()
    assert heard == ["outer", "inner", "from there"]


# --- without the broker --------------------------------------------------------------------------------


async def test_while_the_broker_is_away_events_go_at_once_and_without_offset(scene: Scene) -> None:
    scene.wire().paused = True
    scene.io.emit("on its way", 1)
    asking = asyncio.ensure_future(scene.io.local.emit_with_ack("q", timeout=5))
    await scene.settled()
    scene.wire().cut()
    assert scene.ada.client.heard() == ['42["on its way",1]', '420["q"]']
    scene.io.emit("away", 1)
    assert scene.ada.client.heard() == ['42["away",1]']
    scene.wire().bus.health.up()
    scene.io.emit("back", 1)
    assert scene.ada.client.heard() == []
    scene.wire().resume()
    assert scene.ada.client.heard() == ['42["back",1,"e2"]'], "and what had been sent is not sent again"
    await scene.settled()
    assert [each[0] for each in scene.got(scene.eve)] == ["on its way", "away", "back"]
    asking.cancel()


async def test_entries_that_got_lost_hold_nothing_up(scene: Scene) -> None:
    scene.wire().paused = True
    scene.io.emit("lost", 1)
    scene.io.emit("kept", 1)
    del scene.log.entries[0]
    scene.wire().resume()
    assert scene.ada.client.heard() == ['42["lost",1]', '42["kept",1,"e0"]']


async def test_not_more_than_so_many_wait(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovering, "_MAX_WAITING", 3)
    scene.wire().paused = True
    for number in range(5):
        scene.io.emit("x", number)
    assert scene.ada.client.heard() == [f'42["x",{number}]' for number in range(4)]
    scene.wire().resume()
    assert scene.ada.client.heard() == ['42["x",4,"e4"]']


async def test_a_forged_number_is_counted_and_changes_nothing(scene: Scene) -> None:
    scene.wire().paused = True
    scene.io.emit("x", 1)
    adapter, (mine, number) = scene.adapter(), scene.log.entries[0]
    data = Broadcast(opts=Opts(), packet=EventPacket(["forged"]))
    forged = Message(Kind.BROADCAST, "/", adapter.uid, data)
    scene.log.entries.clear()
    scene.log.add(forged, 10**9)
    scene.log.add(forged, 0)
    scene.log.entries.append((mine, number))
    scene.wire().resume()
    assert scene.ada.client.heard() == ['42["x",1,"e2"]']
    assert adapter.health.rejected == 1


# --- coming back ---------------------------------------------------------------------------------------


async def test_events_are_neither_missed_nor_doubled_wherever_they_are(scene: Scene) -> None:
    """In the log, on their way at this node, on their way at the other one, and emitted in between."""
    await scene.leaves(scene.ada)
    scene.io.emit("in the log", 1)
    scene.other.emit("in the log", 2)
    await scene.settled()
    taking = scene.wire(1).stuck = asyncio.Event()
    scene.wire(1).paused = True
    coming = asyncio.ensure_future(scene.returns(scene.ada, 1))
    await scene.settled()
    scene.io.emit("meanwhile", 3)
    scene.other.emit("meanwhile", 4)
    taking.set()
    await scene.settled()
    assert not coming.done(), "its node has not got so far"
    scene.other.emit("meanwhile", 5)
    scene.wire(1).resume()
    scene.wire(1).paused = True
    scene.other.emit("on its way", 6)
    back = await coming
    scene.other.emit("live", 7)
    scene.wire(1).resume()
    assert [each[1] for each in scene.got(back)] == [1, 2, 3, 4, 5, 6, 7]
    assert back.socket.recovered


@pytest.mark.parametrize("node", [0, 1])
async def test_a_node_that_has_just_started_reads_the_log_once(node: int) -> None:
    scene = Scene()
    scene.start()
    actors = [scene.stage.enter(node) for _ in range(10)]
    for each in actors:
        await scene.leaves(each)
    for number in range(20):
        scene.io.emit("x", number)
        scene.io.of("/other").emit("elsewhere", number)
    await scene.settled()
    (fresh,) = log_nodes(1, scene.log, connection_state_recovery=True)
    fresh.start()
    scene.stage.servers.append(fresh)
    found = await asyncio.gather(*(scene.returns(each, 2) for each in actors))
    assert all(each.socket.recovered for each in found)
    assert [[args[1] for args in scene.got(each)] for each in found] == [list(range(20))] * 10
    fresh.emit("live", 20)
    await scene.settled()
    assert [scene.got(each) for each in found] == [[["live", 20]]] * 10
    # The first that comes makes it read; one that left earlier, once more.
    assert scene.log.reads < 40
    for io in scene.stage.servers:
        await io.close()


async def test_one_session_is_restored_once(scene: Scene) -> None:
    await scene.leaves(scene.ada)
    found = await asyncio.gather(*(scene.returns(scene.ada, node) for node in (1, 0)))
    assert sorted(each.socket.recovered for each in found) == [False, True]
    assert len({each.id for each in found}) == 2


async def test_what_is_not_in_the_log_any_more_is_refused(scene: Scene) -> None:
    await scene.leaves(scene.ada)
    scene.io.emit("dropped", 1)
    await scene.settled()
    scene.log.trim()
    back = await scene.returns(scene.ada, 1)
    assert not back.socket.recovered
    assert back.id != scene.ada.id


async def test_too_much_is_refused() -> None:
    scene = Scene(max_packets=10)
    scene.start()
    await scene.leaves(scene.ada)
    for number in range(11):
        scene.io.emit("x", number)
    await scene.settled()
    assert not (await scene.returns(scene.ada, 0)).socket.recovered
    scene.eve.client.heard()
    await scene.leaves(scene.eve)
    for number in range(10):
        scene.io.emit("x", number)
    await scene.settled()
    assert (await scene.returns(scene.eve, 0)).socket.recovered
    for io in scene.stage.servers:
        await io.close()


async def test_over_a_break_nothing_is_restored(scene: Scene) -> None:
    """What was emitted meanwhile may have gone to those who were here, and nowhere else."""
    await scene.leaves(scene.ada)
    taking = scene.wire().stuck = asyncio.Event()
    coming = asyncio.ensure_future(scene.returns(scene.ada, 0))
    await scene.settled()
    scene.wire().cut()
    scene.wire().bus.health.up()
    taking.set()
    assert not (await coming).socket.recovered


async def test_a_break_while_a_client_is_in_the_middlewares() -> None:
    log = SharedLog()
    servers = log_nodes(1, log, connection_state_recovery=Recovery(skip_middlewares=False))
    scene = Scene()
    scene.stage, (scene.io,) = Stage(servers, 10.0), servers
    scene.io.start()
    gate, calls = asyncio.Event(), list[str]()
    ada = scene.stage.enter(0)
    await scene.leaves(ada)

    @scene.io.use
    async def wait(socket: Any) -> None:
        calls.append(socket.id)
        await gate.wait()

    coming = asyncio.ensure_future(scene.returns(ada, 0))
    await scene.stage.until(lambda: calls == [ada.id], "it is in the middlewares")
    scene.wire().cut()
    gate.set()
    await scene.stage.until(lambda: not scene.io.engine.sessions, "it is told to come again, and afresh")
    coming.cancel()
    assert not scene.log.sessions
    await scene.io.close()


async def test_away_or_too_slow_means_a_new_session(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await scene.leaves(scene.ada)
    scene.wire().stuck = asyncio.Event()
    assert not (await scene.returns(scene.ada, 0)).socket.recovered
    assert [each.getMessage() for each in caplog.records if "could not be restored" in each.getMessage()]
    scene.wire(1).bus.health.away("the test")
    assert not (await scene.returns(scene.ada, 1)).socket.recovered


async def test_a_client_that_goes_while_its_session_is_looked_for_may_try_again(scene: Scene) -> None:
    await scene.leaves(scene.ada)
    taking = scene.wire().stuck = asyncio.Event()
    coming = asyncio.ensure_future(scene.returns(scene.ada, 0))
    await scene.settled()
    hurried = scene.io.engine.sessions
    newest = list(hurried.values())[-1]
    newest.close()
    taking.set()
    await scene.settled()
    coming.cancel()
    assert scene.ada.pid in scene.log.sessions
    assert (await scene.returns(scene.ada, 1)).socket.recovered


async def test_a_client_that_a_middleware_refuses_may_try_again() -> None:
    scene = Scene(skip_middlewares=False)
    scene.start()
    await scene.leaves(scene.ada)
    refusing = [True]

    def refuse(socket: Any) -> None:
        if refusing:
            raise ValueError("not now")

    scene.io.use(refuse)
    coming = asyncio.ensure_future(scene.returns(scene.ada, 0))
    await scene.settled()
    coming.cancel()
    assert scene.ada.pid in scene.log.sessions
    refusing.clear()
    assert (await scene.returns(scene.ada, 0)).socket.recovered
    for io in scene.stage.servers:
        await io.close()


async def test_data_that_cannot_be_kept(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.ada.socket.data["odd"] = object()
    await scene.leaves(scene.ada)
    assert ["a session is not kept" in each.getMessage() for each in caplog.records] == [True]
    assert not (await scene.returns(scene.ada, 0)).socket.recovered


async def test_without_the_option_events_go_at_once() -> None:
    (io,) = log_nodes(1)
    io.start()
    stage = Stage([io], 5.0)
    actor = stage.enter(0)
    io.emit("x", 1)
    assert actor.client.heard() == ['42["x",1]']
    assert await io.adapter.restore_session("x" * 20, "0") is None
    assert io.adapter.persist_session(None) is None  # type: ignore[arg-type]
    await io.close()
