"""Entries 31 to 35: the upgrade from long-polling to WebSocket."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from tests.hostile.arena import Arena, until
from tests.hostile.conftest import Arenas
from tests.support.peers import Peer, Polling, WebSocket
from tests.support.raw import BINARY, CLOSE, TEXT, WEBSOCKET, frame

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def probed(arena: Arena, polling: Polling) -> WebSocket:
    """A probe that has been answered."""
    probe = await arena.probe(polling)
    await probe.send("2probe")
    assert await probe.packet() == "3probe"
    return probe


async def upgrades(arena: Arena, polling: Polling) -> WebSocket:
    """The session can still be upgraded."""
    probe = await probed(arena, polling)
    await probe.send("5")
    assert await probe.echo("upgraded") == ["upgraded"]
    return probe


async def numbers(peer: Peer, count: int) -> list[int]:
    """The arguments of the next `count` events `n`."""
    found: list[int] = []
    while len(found) < count:
        message = await peer.message()
        if isinstance(message, str) and message.startswith('2["n",'):
            found.append(json.loads(message[1:])[1])
    return found


@pytest.mark.parametrize("said", [[], ["2probe"]], ids=["silent", "half"])
async def test_probe_never_completed(arenas: Arenas, said: list[str]) -> None:
    """Entry 31: upgrade_timeout closes the probe; polling goes on, and can be upgraded later."""
    async with arenas(upgrade_timeout=0.3) as arena:
        polling = await arena.polling()
        probe = await arena.probe(polling)
        await probe.send(*said)
        await probe.closed()
        assert await polling.echo(31) == [31]
        await upgrades(arena, polling)


async def close_frame(probe: WebSocket) -> None:
    await probe.wire.send(frame(b"\x03\xe8", CLOSE))


async def cut(probe: WebSocket) -> None:
    probe.wire.close()


async def reset(probe: WebSocket) -> None:
    probe.wire.reset()


@pytest.mark.parametrize("leave", [close_frame, cut, reset])
@pytest.mark.parametrize("said", [[], ["2probe"]], ids=["before 2probe", "after 3probe"])
async def test_probe_closed(
    arena: Arena, said: list[str], leave: Callable[[WebSocket], Awaitable[None]]
) -> None:
    """Entry 32: a probe that leaves is forgotten: polling goes on, and another probe is welcome."""
    polling = await arena.polling()
    probe = await arena.probe(polling)
    if said:
        await probe.send(*said)
        assert await probe.packet() == "3probe"
    await leave(probe)
    assert await polling.echo(32) == [32]
    await probe.wire.rest()
    await upgrades(arena, polling)


PROBES = {
    "message": frame(b'42["echo",33]'),
    "ping": frame(b"2"),
    "another word": frame(b"2prob"),
    "pong": frame(b"3probe"),
    "close": frame(b"1"),
    "binary": frame(b"\x01\x02", BINARY),
    "base64": frame(b"bAQID"),
    "empty": frame(b""),
    "garbage": frame(b"x" * 100_000),
    "not UTF-8": frame(b"2\xff", TEXT),
}


@pytest.mark.parametrize("sent", PROBES.values(), ids=PROBES)
@pytest.mark.parametrize("after", [False, True], ids=["first", "after 3probe"])
async def test_probe_sends(arena: Arena, sent: bytes, after: bool) -> None:
    """Entry 33: anything but `2probe` and then `5` closes the probe alone."""
    polling = await arena.polling()
    probe = await (probed if after else Arena.probe)(arena, polling)
    await probe.wire.send(sent)
    await probe.closed()
    assert await polling.echo("alive") == ["alive"]
    assert ("echo", 33) not in arena.record.events
    await upgrades(arena, polling)


async def test_second_probe(arena: Arena) -> None:
    """Entry 34: a second probe beside a running one is refused; the first completes."""
    polling = await arena.polling()
    first = await probed(arena, polling)
    wire, response = await WebSocket.shake(arena.port, f"{WEBSOCKET}&sid={polling.sid}")
    if response.status == 101:
        assert (await wire.frame()).opcode == CLOSE
    else:
        assert response.status == 400
    wire.close()
    await first.send("5")
    assert await first.echo(34) == [34]


async def test_messages_during_the_upgrade(arena: Arena) -> None:
    """Entry 35: the waiting poll ends with one noop; what is sent meanwhile, either way, comes once and in order."""
    polling = await arena.polling()
    socket = arena.socket(polling)
    waiting = await polling.begin()
    probe = await probed(arena, polling)
    assert (await waiting.response()).body == b"6"
    waiting.close()
    for n in range(5):
        socket.emit("n", n)
    await polling.send(*(f'42["count",{n}]' for n in range(5)))
    await probe.send("5", *(f'42["count",{n}]' for n in range(5, 10)))
    assert await numbers(probe, 5) == [0, 1, 2, 3, 4]
    assert await probe.echo(35) == [35]
    assert arena.record.named("count") == [("count", n) for n in range(10)]
    assert (await polling.get()).status == 400


async def test_messages_to_a_poll_during_the_upgrade(arena: Arena) -> None:
    """Entry 35: a poll that waits during the upgrade may take messages; the rest comes over WebSocket."""
    polling = await arena.polling()
    socket = arena.socket(polling)
    waiting = await polling.begin()
    await polling.send("3")
    socket.emit("n", 0)
    probe = await probed(arena, polling)
    socket.emit("n", 1)
    first = (await waiting.response()).text
    waiting.close()
    socket.emit("n", 2)
    assert first.startswith('42["n",0]')
    await probe.send("5")
    left = [n for n in range(3) if f'["n",{n}]' not in first]
    assert await numbers(probe, len(left)) == left
    assert await probe.echo(35) == [35]


async def test_upgrade_with_a_poll_waiting(arena: Arena) -> None:
    """Entry 35: a client that sends `5` without waiting for its poll loses nothing; the poll is answered."""
    polling = await arena.polling()
    waiting = await polling.begin()
    await polling.send("3")
    probe = await arena.probe(polling)
    await probe.send("2probe", "5")
    assert await probe.packet() == "3probe"
    assert (await waiting.response()).status == 200
    waiting.close()
    arena.socket(polling).emit("n", 1)
    assert await numbers(probe, 1) == [1]
    assert await probe.echo(35) == [35]


async def test_post_across_the_upgrade(arena: Arena) -> None:
    """Entry 35: a POST whose body is still on its way when `5` comes is not processed out of order or twice."""
    polling = await arena.polling()
    body = b'42["count",1]'
    posting = await polling.begin("POST", headers=[("Content-Length", str(len(body)))], body=body[:5])
    probe = await probed(arena, polling)
    await probe.send("5", '42["count",2]')
    assert await probe.echo(35) == [35]
    await posting.send(body[5:])
    assert await probe.echo(36) == [36]
    counted = [n for _, n in arena.record.named("count")]
    assert counted in ([2], [1, 2], [2, 1])
    posting.close()


async def test_session_closed_during_the_upgrade(arena: Arena) -> None:
    """Entry 35: a session that closes takes its probe with it."""
    polling = await arena.polling()
    probe = await probed(arena, polling)
    await polling.send("1")
    await probe.closed()
    await arena.closes(polling, "transport close")


async def test_server_disconnects_during_the_upgrade(arena: Arena) -> None:
    """Entry 35: the server's own disconnection during an upgrade is told once."""
    polling = await arena.polling()
    probe = await probed(arena, polling)
    arena.socket(polling).disconnect(True)
    await polling.closed()
    await probe.closed()
    assert await arena.reasons(polling) == {"server namespace disconnect"}
    await until(lambda: arena.sessions == 0, "session gone")
