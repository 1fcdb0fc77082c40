"""What anybody who can write to the broker may say to the nodes of a cluster: dropped, counted, and served on.

Messages are those that a real cluster has sent over Redis, and what becomes of them when they are bent.
"""

from __future__ import annotations

import asyncio
import copy
import json
import secrets
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import ormsgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from socketeer.adapters import RedisAdapter, ShardedRedisAdapter
from socketeer.adapters.health import Health
from socketeer.adapters.messages import RESPONSES
from socketeer.adapters.redis import RedisBus
from socketeer.server.adapter import AdapterFactory
from socketeer.server.server import BaseServer
from socketeer.testing.stage import Stage
from tests.support import requirements

MODES = ("classic", "classic-specific", "static", "dynamic", "dynamic-private")
EXAMPLES = 200

#: Of Hypothesis: what may be slow here is a machine that others use.
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


def adapter_for(mode: str, url: str, key: str) -> AdapterFactory:
    if mode.startswith("classic"):
        return RedisAdapter(url, key, publish_on_specific_response_channel=mode == "classic-specific")
    return ShardedRedisAdapter(url, key, mode)


class Scene:
    """Two nodes with a client each; whatever the first has heard of the second over Redis is kept."""

    def __init__(self, mode: str) -> None:
        url, self.key = requirements.redis(), f"test-{secrets.token_hex(8)}"
        self.servers = [BaseServer(adapter=adapter_for(mode, url, self.key)) for _ in range(2)]
        self.stage = Stage(self.servers, 20.0)
        self.heard: list[tuple[str, bytes]] = []

    @property
    def bus(self) -> Any:
        return self.servers[0].adapter.wire.bus  # type: ignore[attr-defined]

    @property
    def uid(self) -> str:
        return self.servers[0].adapter.uid  # type: ignore[attr-defined, no-any-return]

    @property
    def health(self) -> Health:
        return self.servers[0].adapter.health  # type: ignore[attr-defined, no-any-return]

    async def talk(self) -> None:
        """Both do everything that nodes tell each other."""
        received = self.bus.received

        def keep(channel: str, payload: bytes) -> None:
            self.heard.append((channel, payload))
            received(channel, payload)

        self.bus.received = keep
        near, far = (self.stage.enter(node) for node in range(2))
        for actor in (near, far):
            actor.socket.join("room")
        for io in self.servers:
            io.on("who", lambda *_: 1)
        await self.stage.until(self._counted, "both are there")
        for io in self.servers:
            await io.adapter.ready()  # type: ignore[attr-defined]
            io.emit("news", 1, {"a": ["é", None, 2.5]})
            io.to("room").emit("news", b"\x00\xff")
            io.to(["room", "other"]).except_("nobody").volatile.emit("news", "x" * 300)
            io.in_("room").sockets_join(["new", "newer"])
            io.in_("room").sockets_leave("newer")
            io.server_side_emit("who", 1)
            io.in_("nobody").disconnect_sockets(True)
            await io.server_side_emit_with_ack("who", b"\x01")
            await io.fetch_sockets()
            asking = asyncio.ensure_future(io.timeout(10).emit_with_ack("ask"))
            await self.stage.answers(near, far)
            await asking
        self.bus.received = received

    async def _counted(self) -> bool:
        return [await io.adapter.server_count() for io in self.servers] == [2, 2]

    async def serves(self) -> None:
        """Whatever has been said: new clients are served, and the nodes hear and answer each other."""
        first, second = self.servers
        near, far = (self.stage.enter(node) for node in range(2))
        word = secrets.token_hex(4)
        second.emit("served", word)
        first.emit("served", word)
        for actor in (near, far):
            await self.stage.until(lambda a=actor: _count(a, ["served", word]) >= 2, "both nodes are heard")  # type: ignore[misc]
        for io in self.servers:
            assert {near.id, far.id} <= {each.id for each in await io.fetch_sockets()}
        assert not first.adapter._inquiries  # type: ignore[attr-defined]


def _count(actor: Any, event: list[Any]) -> int:
    actor.listen()
    return int(actor.events.count(event))


@asynccontextmanager
async def scene_of(mode: str) -> AsyncIterator[Scene]:
    scene = Scene(mode)
    for io in scene.servers:
        io.start()
    try:
        await scene.talk()
        yield scene
    finally:
        for io in scene.servers:
            await io.close()


@pytest.fixture(params=MODES)
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with scene_of(request.param) as made:
        yield made


@pytest.fixture(autouse=True)
def no_storm(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """However much is dropped, the log has few lines, each of them one, and no traceback."""
    yield
    records = caplog.get_records("call")
    said = [record.getMessage() for record in records]
    assert len(said) <= 12, said
    assert all(line.isprintable() and len(line) < 1000 for line in said), said
    assert not any(record.exc_info for record in records), said


# --- bytes that are bent -------------------------------------------------------------------------------


def bent(payloads: list[bytes]) -> st.SearchStrategy[bytes]:
    """Cut off, drawn out, flipped, joined; or only noise."""
    whole = st.sampled_from(payloads)

    @st.composite
    def mutated(draw: Any) -> bytes:
        payload = bytearray(draw(whole))
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(payload)))
            kind = draw(st.integers(0, 4))
            if kind == 0:
                del payload[at:]
            elif kind == 1:
                payload[at:at] = draw(st.binary(max_size=9))
            elif kind == 2 and at < len(payload):
                payload[at] = draw(st.integers(0, 255))
            elif kind == 3:
                payload += draw(whole)[at:]
            else:
                del payload[at : at + draw(st.integers(1, 9))]
        return bytes(payload)

    return mutated() | st.binary(max_size=100)


async def test_bent_bytes(scene: Scene) -> None:
    channels = sorted({channel for channel, _ in scene.heard})
    payloads = sorted({payload for _, payload in scene.heard})

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=CHECKS)
    @given(st.sampled_from(channels), bent(payloads))
    def say(channel: str, payload: bytes) -> None:
        scene.bus.received(channel, payload)

    say()
    assert scene.health.rejected > 0
    await asyncio.sleep(0)
    await scene.serves()


# --- values that are bent ------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def values(uid: str) -> st.SearchStrategy[Any]:
    """What does not belong there."""
    odd: list[Any] = [
        None, True, False, -1, 0, 2**53, -(2**63), 2**64 - 1, 1.5, float("nan"), float("inf"), -float("inf"), "", "é" * 500,
        "\x00", "constructor", "__proto__", "connect", "../..", b"", b"\xff" * 100, [], {}, [[]], {"": None}, {"a": {}},
        ["room"] * 1000, list(range(1000)), {str(n): n for n in range(300)}, uid, "emitter", nested(20), nested(200), nested(900),
    ]  # fmt: skip
    return st.sampled_from(odd)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each key of each mapping and list in it."""
    if isinstance(value, dict):
        pairs: Any = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return
    for key, each in pairs:
        yield value, key
        yield from places(each)


def read(payload: bytes) -> Any:
    return json.loads(payload) if payload[:1] == b"{" else ormsgpack.unpackb(payload)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()  # as Python does it: NaN and Infinity stand in it


async def test_bent_values(scene: Scene) -> None:
    spoken = [(channel, read(payload)) for channel, payload in scene.heard]
    writers: list[Callable[[Any], bytes]] = [ormsgpack.packb, as_json]

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=CHECKS)
    @given(st.data())
    def say(data: st.DataObject) -> None:
        channel, value = data.draw(st.sampled_from(spoken))
        value = copy.deepcopy(value)
        for _ in range(data.draw(st.integers(1, 3))):
            holder, key = data.draw(st.sampled_from([*places(value)] or [(value, "type")]))
            if data.draw(st.booleans()) or not isinstance(holder, dict):
                holder[key] = data.draw(values(scene.uid))
            else:
                holder.pop(key, None)
        try:
            payload = data.draw(st.sampled_from(writers))(value)
        except (TypeError, ValueError):  # this one cannot say so
            return
        scene.bus.received(channel, payload)

    say()
    assert scene.health.rejected > 0
    await asyncio.sleep(0)
    await scene.serves()


# --- what is said on purpose ---------------------------------------------------------------------------


def event_of(scene: Scene, uid: str = "somebody", **packet: Any) -> tuple[str, Any]:
    """A broadcast of a node that is not there: the channel, and the message as a value."""
    packet = {"type": 2, "data": ["news"], "nsp": "/", **packet}
    opts: dict[str, Any] = {"rooms": [], "except": [], "flags": {}}
    bus_channel = next(iter(sorted(scene.bus._receivers)))
    if bus_channel.endswith("*"):
        return bus_channel, [uid, packet, opts]
    return bus_channel, {"type": 3, "uid": uid, "nsp": "/", "data": {"opts": opts, "packet": packet}}


@pytest.mark.parametrize("depth", [100, 200, 254, 255, 300, 500, 900, 1100, 5000])
async def test_values_that_are_nested_too_deep(scene: Scene, depth: int) -> None:
    marker = b"\xa4DEEP"
    channel, value = event_of(scene, data=["news", "DEEP"])
    payload = ormsgpack.packb(value).replace(marker, b"\x91" * depth + b"\x01")
    for _ in range(100):
        scene.bus.received(channel, payload)
    if not scene.key.startswith("classic"):
        text = json.dumps(value).replace('"DEEP"', "[" * depth + "]" * depth).encode()
        for _ in range(100):
            scene.bus.received(channel, text)
    await scene.serves()
    if depth > 1000:
        assert scene.health.rejected >= 100


LENGTHS = (
    b"\xdd\x06\x00\x00\x00",
    b"\xdf\x06\x00\x00\x00",
    b"\xdb\x06\x00\x00\x00",
    b"\xc6\x06\x00\x00\x00",
    b"\xc9\x06\x00\x00\x00\x00",
)


@pytest.mark.parametrize("head", LENGTHS, ids=["list", "map", "text", "binary", "extension"])
async def test_lengths_of_a_hundred_megabytes_that_are_only_said(scene: Scene, head: bytes) -> None:
    channel, value = event_of(scene, data=["news", "LONG"])
    payloads = [
        ormsgpack.packb(value).replace(b"\xa4LONG", head),
        head,
        head * 20,
        b"\x91" * 500 + head,
        b"\x93" + head,
    ]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for payload in payloads * 20:
            scene.bus.received(channel, payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 1_000_000
    assert scene.health.rejected == 20 * len(payloads)
    await scene.serves()


async def test_messages_far_above_the_limit(scene: Scene) -> None:
    channel, value = event_of(scene, data=["news", b"x" * 17_000_000])
    for _ in range(3):
        scene.bus.received(channel, ormsgpack.packb(value))
    assert scene.health.rejected == 3
    await scene.serves()


async def test_lists_of_very_many_rooms(scene: Scene) -> None:
    channel, value = event_of(scene)
    opts = value[2] if isinstance(value, list) else value["data"]["opts"]
    for key in ("rooms", "except"):
        opts[key] = [f"{number}" for number in range(200_000)]
    scene.bus.received(channel, ormsgpack.packb(value))
    opts["except"] = []
    scene.bus.received(channel, ormsgpack.packb(value))
    assert scene.health.rejected == 0
    await scene.serves()


async def test_messages_in_the_own_name_are_not_heard(scene: Scene) -> None:
    client = next(actor for actor in scene.stage.actors if actor.node == 0)
    await scene.serves()
    client.listen()
    client.events.clear()
    channel, value = event_of(scene, scene.uid)
    scene.bus.received(channel, ormsgpack.packb(value))
    channel, value = event_of(scene, "somebody", data=["end"])
    scene.bus.received(channel, ormsgpack.packb(value))
    client.listen()
    assert client.events == [["end"]]


def _is_answer(channel: str, payload: bytes) -> bool:
    return "-response#" in channel or (b"uid" in payload and read(payload)["type"] in RESPONSES)


async def test_answers_that_nobody_has_asked_for_and_answers_twice(scene: Scene) -> None:
    first, second = scene.servers
    answers = [each for each in scene.heard if _is_answer(*each)]
    assert len(answers) >= 4
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2000):
            channel, payload = answers[number % len(answers)]
            scene.bus.received(channel, payload)
        assert tracemalloc.get_traced_memory()[0] - before < 500_000
    finally:
        tracemalloc.stop()
    received = scene.bus.received

    def twice(channel: str, payload: bytes) -> None:
        received(channel, payload)
        received(channel, payload)

    scene.bus.received = twice
    assert await first.server_side_emit_with_ack("who", timeout=10) == [1]
    near, far = (scene.stage.enter(node) for node in range(2))
    for io in (first, second):
        others = [actor for actor in scene.stage.actors if actor not in (near, far)]
        asking = asyncio.ensure_future(io.timeout(10).emit_with_ack("ask"))
        await scene.stage.answers(*scene.stage.actors)
        assert len(await asking) <= 2 * (len(others) + 2)
    scene.bus.received = received
    await scene.serves()


@pytest.mark.parametrize("sharded", [False, True])
async def test_a_storm_over_redis(sharded: bool) -> None:
    """Noise on every channel, as any client of this Redis may send it."""
    scene = Scene("dynamic" if sharded else "classic")
    for io in scene.servers:
        io.start()
    await scene.talk()
    noise = RedisBus(requirements.redis(), sharded=sharded)
    noise.start()
    channels = [each.replace("*", "") for each in scene.bus._receivers]
    last = None
    for number in range(20_000):
        last = noise.publish(channels[number % len(channels)], b"\x93noise %d" % number)
        if number % 1000 == 0:
            await last
    assert last is not None
    await last
    await scene.serves()
    assert scene.health.rejected >= 20_000
    assert scene.health.ok
    await noise.close()
    for io in scene.servers:
        await io.close()
