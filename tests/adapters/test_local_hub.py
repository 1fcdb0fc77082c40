"""The hub: who gets what, what is no frame, and who does not read."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from socketeer.adapters import local_hub
from socketeer.adapters.local_frames import VERSION, Kind, encode
from socketeer.adapters.local_hub import Hub
from socketeer.errors import UsageError
from tests.adapters.local_nodes import joined, until


def mode(path: Path) -> int | None:
    return path.stat().st_mode & 0o777 if path.exists() else None


async def test_nobody_else_may_enter() -> None:
    hub = Hub()
    path = Path(await hub.start())
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    await hub.close()
    assert (mode(path), mode(path.parent)) == (None, None)


async def test_a_folder_with_a_long_name_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(local_hub.tempfile, "tempdir", str(long))  # type: ignore[attr-defined]
    hub = Hub()
    assert not (await hub.start()).startswith(str(long))
    assert not list(long.iterdir())
    await hub.close()
    monkeypatch.setattr(local_hub, "_MAX_PATH", 5)
    with pytest.raises(UsageError, match="no folder"):
        await hub.start()


async def test_who_has_gone_has_no_subscriptions() -> None:
    hub = Hub()
    path = await hub.start()
    (one, _), (other, _) = await joined(path), await joined(path)
    await other.close()
    while await one.subscribers("c") > 1:  # noqa: ASYNC110 - the hub hears of it
        await asyncio.sleep(0)
    await one.close()
    while hub._channels:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await hub.close()


# --- hostile bytes ------------------------------------------------------------------------------

HELLO = encode(Kind.HELLO, body=VERSION)

HOSTILE = {
    "nothing of ours": b"GET / HTTP/1.1\r\n\r\n",
    "another version": encode(Kind.HELLO, body=b"socketeer 0"),
    "no greeting": encode(Kind.SUBSCRIBE, b"c"),
    "a message before the greeting": encode(Kind.MESSAGE, b"c", b"x"),
    "two greetings": HELLO * 2,
    "too large": HELLO + b"\xff\xff\xff\xff\x01\x00\x00",
    "too small": HELLO + b"\x00\x00\x00\x02\x01\x00\x00",
    "an unknown kind": HELLO + encode(Kind.COUNTED, b"c"),
    "a name longer than the frame": HELLO + b"\x00\x00\x00\x04\x01\x00\x05x",
    "a name that is too long": HELLO + encode(Kind.SUBSCRIBE, b"x" * 513),
    "a question that is too long": HELLO + encode(Kind.PING, body=bytes(65)),
    "too many subscriptions": HELLO + b"".join(encode(Kind.SUBSCRIBE, b"%d" % each) for each in range(9)),
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("step", [1, 1 << 20])
async def test_hostile_bytes_at_the_hub(said: bytes, step: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever says them is cut off with one line, and nobody else is hurt."""
    hub = Hub(max_channels=8)
    path = await hub.start()
    (one, _), (other, heard) = await joined(path), await joined(path)
    reader, writer = await asyncio.open_unix_connection(path)
    with suppress(ConnectionError):
        for start in range(0, len(said), step):
            writer.write(said[start : start + step])
            await writer.drain()
        async with asyncio.timeout(20):
            await reader.read()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    assert hub.cut_off == 1
    assert len([each for each in caplog.records if "cut off" in each.message]) == 1
    await one.publish("c", b"still")
    await until(lambda: heard == [b"still"])
    for bus in (one, other):
        assert bus.health.reconnections == 0
        await bus.close()
    await hub.close()


async def test_a_node_that_does_not_read_is_cut_off_and_the_others_go_on() -> None:
    hub = Hub(max_waiting=1024 * 1024)
    path = await hub.start()
    (one, _), (other, heard) = await joined(path), await joined(path)
    reader, writer = await asyncio.open_unix_connection(path, limit=1024)
    writer.write(HELLO + encode(Kind.SUBSCRIBE, b"c") + encode(Kind.PING))
    await reader.readexactly(len(HELLO) + 7)
    sent = 0
    while not hub.cut_off:
        await one.publish("c", bytes(100_000))
        sent += 1
        assert sent < 1000
    await until(lambda: len(heard) == sent)
    assert await one.subscribers("c") == 2
    assert (one.health.lost, one.health.reconnections, other.health.reconnections) == (0, 0, 0)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    for bus in (one, other):
        await bus.close()
    await hub.close()
