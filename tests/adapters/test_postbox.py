"""A bus that any thread may publish on."""

from __future__ import annotations

import asyncio
import threading

from socketeer.adapters.bus import Bus
from socketeer.adapters.postbox import Postbox
from socketeer.adapters.redis import RedisBus
from tests.adapters.redis_nodes import prefix
from tests.support import requirements


async def test_each_threads_messages_arrive_in_its_order() -> None:
    url, channel = requirements.redis(), prefix()
    listener, heard = RedisBus(url), list[bytes]()
    listener.subscribe(channel, heard.append)
    listener.start()
    await listener.settled()
    postbox = Postbox(RedisBus(url))

    def publish(letter: bytes) -> None:
        told = [postbox.publish(channel, letter + bytes([number])) for number in range(100)]
        told[-1].wait(10)

    threads = [threading.Thread(target=publish, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert await postbox_count(postbox, channel) == 1
    await asyncio.to_thread(postbox.end)
    async with asyncio.timeout(10):
        while len(heard) < 200:  # noqa: ASYNC110 - who listens is told nothing else
            await asyncio.sleep(0.005)
    for letter in (b"a", b"b"):
        assert [each for each in heard if each.startswith(letter)] == [
            letter + bytes([n]) for n in range(100)
        ]
    await listener.close()


async def postbox_count(postbox: Postbox, channel: str) -> int:
    thread = postbox._thread
    assert thread is not None
    return int(await asyncio.to_thread(thread.run, postbox.subscribers, channel))


async def test_it_hears_nothing_and_can_be_used_again_after_its_end() -> None:
    bus: Bus = Postbox(RedisBus(requirements.redis()))
    postbox = bus
    assert isinstance(postbox, Postbox)
    await asyncio.to_thread(postbox.end)
    heard: list[bytes] = []
    bus.subscribe("a", heard.append)
    bus.unsubscribe("a", heard.append)
    await bus.settled()
    for _ in range(2):
        await bus.publish(prefix(), b"")
        assert bus.health.ok
        await asyncio.to_thread(postbox.end)
        assert not bus.health.ok
