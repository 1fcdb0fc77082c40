"""What is asked of JetStream, of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from socketeer.adapters.nats_api import JetStreamApi, Refusal
from socketeer.adapters.nats_link import NatsLink
from tests.adapters.redis_nodes import prefix
from tests.adapters.test_nats_link import PATIENCE, connected
from tests.support import requirements
from tests.support.nats_server import NatsServer


class Scene:
    def __init__(self, link: NatsLink) -> None:
        self.link, self.api, self.name = link, JetStreamApi(link), prefix()
        self.settings: dict[str, Any] = {
            "name": self.name,
            "subjects": [f"{self.name}.*"],
            "storage": "memory",
            "max_bytes": 2**26,
        }

    async def store(self, *payloads: bytes, name: str = "a") -> None:
        for payload in payloads:
            await self.link.ask(f"{self.name}.{name}", payload)  # JetStream answers what it has stored


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    link = NatsLink(lambda number, payload, headers: None)
    await link.open([requirements.nats()], {}, PATIENCE)
    await link.open_inbox()
    made = Scene(link)
    yield made
    await made.link.ask(f"$JS.API.STREAM.DELETE.{made.name}", b"")
    await link.abort()


async def test_a_stream_is_made_once(scene: Scene) -> None:
    made = await asyncio.gather(*(scene.api.stream(scene.settings, ("subjects",)) for _ in range(5)))
    assert len(set(made)) == 1
    larger = {**scene.settings, "max_bytes": 2**27}
    assert await scene.api.stream(larger, ("subjects",)) == made[0], "what is not essential may differ"
    with pytest.raises(Refusal, match="is for something else: max_bytes is"):
        await scene.api.stream(larger, ("subjects", "max_bytes"))


async def test_messages_are_found_and_taken_out_once(scene: Scene) -> None:
    api, name = scene.api, scene.name
    await api.stream(scene.settings, ())
    assert await api.bounds(name) in {(0, 0), (1, 0)}
    await scene.store(b"1", b"\x00\xff" * 1000)
    await scene.store(b"3", name="b")
    assert await api.bounds(name) == (1, 3)
    assert await api.at(name, 2) == (2, f"{name}.a", b"\x00\xff" * 1000)
    assert await api.last(name, f"{name}.a") == await api.at(name, 2)
    assert await api.last(name, f"{name}.c") is None
    assert await api.at(name, 99) is None
    assert sorted(await asyncio.gather(*(api.take_out(name, 2) for _ in range(5)))) == [False] * 4 + [True]
    assert await api.at(name, 2) is None
    assert await api.last(name, f"{name}.a") == (1, f"{name}.a", b"1")


async def test_reading_on_page_by_page(scene: Scene) -> None:
    api, name = scene.api, scene.name
    await api.stream(scene.settings, ())
    await asyncio.gather(*(scene.store(b"%d" % number) for number in range(300)))
    await scene.store(b"other", name="b")
    found: list[int] = []
    start, more = 1, True
    while more:
        reading = await api.read(name, f"{name}.a", start)
        found += [place for place, _ in reading.found]
        start, more = found[-1] + 1, reading.more
    assert found == list(range(1, 301))
    assert await api.read(name, f"{name}.a", 301) == ([], False)
    assert await api.read(name, f"{name}.b", 1) == ([(301, b"other")], False)
    assert await api.read(name, f"{name}.c", 1) == ([], False)


async def test_pages_are_bounded_by_their_bytes(scene: Scene) -> None:
    api, name = scene.api, scene.name
    await api.stream(scene.settings, ())
    size = scene.link.max_payload
    for _ in range(8):
        await scene.store(bytes(size))
    found: list[int] = []
    pages = 0
    more = True
    while more:
        reading = await api.read(name, f"{name}.a", len(found) + 1)
        found += [place for place, _ in reading.found]
        more, pages = reading.more, pages + 1
    assert found == list(range(1, 9))
    assert pages > 1


async def test_many_who_read_at_once_get_their_own(scene: Scene) -> None:
    api, name = scene.api, scene.name
    await api.stream(scene.settings, ())
    for each in "abcde":
        await scene.store(each.encode(), name=each)
    read = await asyncio.gather(*(api.read(name, f"{name}.{each}", 1) for each in "abcde" * 10))
    assert [reading.found[0][1].decode() for reading in read] == list("abcde" * 10)
    assert not scene.link._deliveries
    assert not scene.link._answers


async def test_without_jetstream_it_is_said(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, jetstream=False)
    server.start()
    try:
        link = await connected(server)
        await link.open_inbox()
        with pytest.raises(Exception, match=r"JetStream|nobody answers"):
            await JetStreamApi(link).stream({"name": "x", "subjects": ["x"]}, ())
        await link.abort()
    finally:
        server.stop()
