"""Emitters, from ordinary code and from code on a loop, to servers over the real brokers."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from socketeer.adapters import NatsAdapter, RedisAdapter, ShardedRedisAdapter
from socketeer.adapters.emitter import Emitter, EmitterOperator
from socketeer.adapters.health import LinkState
from socketeer.errors import BrokerUnavailable, MessageTooLarge, OptionError, ReservedEventError, UsageError
from socketeer.server.server import BaseServer
from socketeer.testing.stage import Stage
from tests.adapters.nats_streams import jetstream, remove_streams
from tests.adapters.redis_nodes import prefix, streams
from tests.support import requirements

ENGINES: dict[str, Callable[[str], Any]] = {
    "classic": lambda key: RedisAdapter(requirements.redis(), key),
    "classic-specific": lambda key: RedisAdapter(
        requirements.redis(), key, publish_on_specific_response_channel=True
    ),
    "dynamic": lambda key: ShardedRedisAdapter(requirements.redis(), key),
    "static": lambda key: ShardedRedisAdapter(requirements.redis(), key, "static"),
    "streams": lambda key: streams(requirements.redis(), key),
    "nats": lambda key: NatsAdapter(requirements.nats(), key),
    "jetstream": jetstream,
}


class Scene:
    """Two servers, each with two clients, and an emitter."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        key = self.key = prefix()
        self.emitter = Emitter(make(key))
        self.stage = Stage([BaseServer(adapter=make(key)) for _ in range(2)], 10.0)


@pytest.fixture(params=ENGINES)
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    made = Scene(ENGINES[request.param])
    for node, io in enumerate(made.stage.servers):
        io.start()
        await io.adapter.ready()  # type: ignore[attr-defined]
        for room in "ab":
            made.stage.enter(node).socket.join(room)
        await io.adapter.ready()  # type: ignore[attr-defined]
    yield made
    await asyncio.to_thread(made.emitter.close)
    for io in made.stage.servers:
        await io.close()
    if ENGINES[request.param] is jetstream:
        await remove_streams(made.key)


async def test_events_reach_whom_they_are_for(scene: Scene) -> None:
    emitter, stage = scene.emitter, scene.stage
    for number, operator in enumerate(
        [emitter, emitter.to("a"), emitter.in_(["a", "b"]).except_("b"), emitter.volatile.compress(False)]
    ):
        await operator.emit("news", number, b"\x00\xff", {"n": None})
    await emitter.to(stage.actors[3].id).send("you")
    expected = {"a": [0, 1, 2, 3], "b": [0, 3]}

    def heard() -> bool:
        for actor in stage.actors:
            actor.listen()
        return [len(actor.events) for actor in stage.actors] == [4, 2, 4, 3]

    await stage.until(heard, "each client gets its events")
    for actor, room in zip(stage.actors[:3], "aba", strict=True):
        assert actor.events == [["news", number, b"\x00\xff", {"n": None}] for number in expected[room]]
    assert stage.actors[3].events[-1] == ["message", "you"]


async def test_sockets_are_moved_and_disconnected(scene: Scene) -> None:
    emitter, stage = scene.emitter, scene.stage
    first, others = stage.actors[0::2], stage.actors[1::2]
    await emitter.in_("a").sockets_join(["c", "d"])
    await stage.until(lambda: all({"c", "d"} <= each.socket.rooms for each in first), "they join")
    assert not any("c" in each.socket.rooms for each in others)
    await emitter.in_("c").sockets_leave("d")
    await stage.until(lambda: not any("d" in each.socket.rooms for each in first), "they leave")
    await emitter.in_("c").disconnect_sockets(close=True)
    await stage.until(lambda: all(each.client.ended() for each in first), "they are disconnected")
    assert all(each.socket.connected for each in others)


async def test_servers_are_told_in_each_namespace(scene: Scene) -> None:
    told: list[Any] = []
    for io in scene.stage.servers:
        io.on("hello", lambda *args: told.append(args))
        io.of("/chat").on("hello", lambda *args: told.append(("chat", *args)))
        await io.of("/chat").adapter.ready()  # type: ignore[attr-defined]
    await scene.emitter.server_side_emit("hello", 1, {"a": []})
    await scene.emitter.of("chat").server_side_emit("hello", 2)
    await scene.stage.until(lambda: len(told) == 4, "both servers are told twice")
    assert sorted(told, key=str) == [("chat", 2), ("chat", 2), (1, {"a": []}), (1, {"a": []})]


async def test_nobody_counts_an_emitter(scene: Scene) -> None:
    await scene.emitter.emit("news")
    assert await scene.stage.servers[0].adapter.server_count() == 2


def told_by(emitter: EmitterOperator, number: int) -> None:
    for each in range(number):
        emitter.emit("news", each)


async def test_from_ordinary_code_it_has_arrived_when_the_call_returns(scene: Scene) -> None:
    await asyncio.to_thread(told_by, scene.emitter, 50)
    assert scene.emitter._engine.bus.health.published == 50
    for events in await scene.stage.heard():
        assert [args[1] for args in events] == list(range(50))


async def test_what_cannot_be_sent_is_told_to_the_caller(scene: Scene) -> None:
    emitter, payload = scene.emitter, {"n": 1}
    with pytest.raises(ReservedEventError):
        emitter.emit("connect")
    with pytest.raises(ReservedEventError):
        emitter.server_side_emit("connection")
    with pytest.raises(UsageError, match="acknowledgements"):
        emitter.emit("news", print)
    with pytest.raises(UsageError, match="acknowledgements"):
        await emitter.emit_with_ack("news")
    with pytest.raises(TypeError, match="cannot send"):
        emitter.emit("news", object())
    with pytest.raises(MessageTooLarge, match="max_message_size"):
        emitter.emit("news", bytes(5_000_000))
    told = emitter.emit("news", payload)
    payload["n"] = 2
    await told
    assert (await scene.stage.heard())[0] == [["news", {"n": 1}]]


async def test_a_broker_that_is_not_there(unused_tcp_port: int) -> None:
    async with Emitter(RedisAdapter(f"redis://127.0.0.1:{unused_tcp_port}"), timeout=0.2) as emitter:
        waiting = emitter.emit("news")
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(emitter.emit, "news")
    with pytest.raises(BrokerUnavailable):
        await waiting
    assert emitter._engine.bus.health.state is LinkState.IDLE


def test_what_is_no_engine() -> None:
    with pytest.raises(OptionError, match="RedisAdapter"):
        Emitter("redis://localhost")  # type: ignore[arg-type]


def _in_a_child(emitter: Emitter, results: Any) -> None:
    try:
        emitter.emit("news")
    except UsageError as error:
        results.put(str(error))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here"
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_needs_one_of_its_own() -> None:
    """As in a worker of Celery: one that was not used before the fork may be used after it."""
    url, key = requirements.redis(), prefix()
    context = multiprocessing.get_context("fork")
    with Emitter(RedisAdapter(url, key)) as emitter:
        emitter.emit("news")
        results = context.Queue()
        child = context.Process(target=_in_a_child, args=(emitter, results))
        child.start()
        assert "make one in each process" in results.get(timeout=20)
        child.join(20)
    unused = Emitter(RedisAdapter(url, key))
    child = context.Process(target=_in_a_child, args=(unused, results))
    child.start()
    child.join(20)
    assert child.exitcode == 0
