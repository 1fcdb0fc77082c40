"""`io.serve` and `io.run`: what they tell, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from socketeer import Server
from tests.integrations.echo import echo_server, reasons
from tests.integrations.served import other
from tests.integrations.servers import listening
from tests.support.command import Command, command
from tests.support.peers import Polling, WebSocket
from tests.support.raw import (
    CLOSE,
    POLLING,
    WEBSOCKET,
    ConnectionEnded,
    Headers,
    Wire,
    fetch,
    frame,
    request,
)
from tests.support.serving import serving

# --- io.serve -----------------------------------------------------------------------------------


async def test_ready_is_told_where_it_listens() -> None:
    io = echo_server()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(io.serve(port=0, ready=url.set_result))
    async with asyncio.timeout(10):
        scheme, _, port = (await url).rpartition(":")
    assert scheme == "http://127.0.0.1"
    peer = await WebSocket.open(int(port))
    await peer.connect()
    assert await peer.echo(1) == [1]
    await peer.bye()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_ends_it() -> None:
    """Everybody is told, and the port is free again."""
    io = echo_server()
    async with serving(io) as port:
        websocket = await WebSocket.open(port)
        await websocket.connect()
        polling = await Polling.open(port)
        await polling.connect()
        poll = asyncio.ensure_future(polling.get())
        closed = asyncio.ensure_future(websocket.closed())
        assert await websocket_is_served(port)
    assert await closed == 1005
    assert (await poll).text == "1"
    assert sorted(reasons(io)) == ["client namespace disconnect", *["server shutting down"] * 2]
    with pytest.raises(OSError, match=r"refused|failed"):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize("offer", [[], [("Sec-WebSocket-Extensions", "permessage-deflate")]])
async def test_who_does_not_answer_is_cut_off(offer: Headers) -> None:
    """Long before the carrier itself would do so, whether the connection compresses or not."""
    async with serving(echo_server(per_message_deflate=True)) as port:
        peer = await WebSocket.open(port, headers=offer)
        assert (peer.response.header("sec-websocket-extensions") is not None) is bool(offer)
        await peer.connect()
    peer.wire.deadline = 2.0
    assert await peer.wire.rest() == frame(b"", CLOSE, mask=None)


async def test_cancelling_with_a_handshake_that_was_too_long() -> None:
    """Its peer stays; it has had its answer, and needs no second one."""
    io = echo_server()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(io.serve(port=0, ready=url.set_result))
    async with asyncio.timeout(10):
        port = int((await url).rpartition(":")[2])
    wire, response = await WebSocket.shake(port, headers=[("X-Long", "a" * 9_000)])
    assert response.status == 431
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wire.close()


async def websocket_is_served(port: int) -> bool:
    peer = await WebSocket.open(port)
    await peer.connect()
    served = await peer.echo("yes") == ["yes"]
    await peer.send("41")
    await peer.bye()
    return served


async def test_closing_where_the_other_application_ends() -> None:
    """Its own shutdown may close ours, which is closing already: nobody waits for the other."""
    io = echo_server()
    steps: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await io.close()
        steps.append("closed")

    async with serving(io, app=Starlette(lifespan=lifespan)) as port:
        assert await websocket_is_served(port)
    assert steps == ["closed"]


async def test_an_address_that_is_taken() -> None:
    async with serving(echo_server()) as port:
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            await Server().serve(port=port)


async def test_closing_ends_it() -> None:
    """`io.close()` ends what serves it, and returns once the port is free."""
    io = echo_server()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(io.serve(port=0, ready=url.set_result))
    async with asyncio.timeout(10):
        port = int((await url).rpartition(":")[2])
        peer = await WebSocket.open(port)
        await peer.connect()
        await io.close()
        assert await peer.closed() == 1005
        await task
    assert reasons(io) == ["server shutting down"]
    with pytest.raises(OSError, match=r"refused|failed"):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize("lifespan", ["auto", "off"])
async def test_served_again(lifespan: str) -> None:
    io = echo_server()
    for _ in range(2):
        async with serving(io, lifespan=lifespan) as port:
            assert await websocket_is_served(port)


async def test_beside_another_application() -> None:
    async with serving(echo_server(), app=other) as port:
        assert (await fetch(port, target="/page")).body == b"other"
        assert await websocket_is_served(port)


async def test_without_another_application() -> None:
    async with serving(echo_server()) as port:
        assert (await fetch(port, target="/page")).status == 404


async def test_uvicorns_settings() -> None:
    async with serving(echo_server(), headers=[("x-mine", "yes")]) as port:
        assert (await fetch(port)).header("x-mine") == "yes"
    with pytest.raises(TypeError, match="no_such_setting"):
        await Server().serve(port=0, no_such_setting=1)


async def test_an_application_that_cannot_start() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await asyncio.open_connection("127.0.0.1", 1)  # nothing listens there
        yield

    with pytest.raises(RuntimeError, match="the application did not start"):
        await Server().serve(port=0, app=Starlette(lifespan=lifespan))


async def test_a_unix_socket(tmp_path: Path) -> None:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    path = str(tmp_path / "sock")
    task = asyncio.create_task(echo_server().serve(uds=path, ready=url.set_result))
    async with asyncio.timeout(10):
        assert await url == f"unix:{path}"
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(request("GET", POLLING, 0))
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.close()
        await writer.wait_closed()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_first_subprotocol_is_taken() -> None:
    async with serving(echo_server()) as port:
        wire, response = await WebSocket.shake(port, headers=[("Sec-WebSocket-Protocol", "one, two")])
        assert (response.status, response.header("sec-websocket-protocol")) == (101, "one")
        wire.close()


async def test_bytes_before_our_answer() -> None:
    """No client sends frames before it knows that they are welcome: it is served, or cut off; nobody else is hurt."""
    key = ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
    headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"), key]
    async with serving(echo_server()) as port:
        for early in (frame(b"40"), frame(b"40") * 1000, b"\x00" * 10):
            wire = await Wire.open(port)
            await wire.send(request("GET", WEBSOCKET, port, headers=headers) + early)
            with contextlib.suppress(ConnectionEnded):
                await wire.response()
            wire.close()
        assert await websocket_is_served(port)


# --- the end of a process -----------------------------------------------------------------------


class Guests:
    """Clients of every kind that are there when the end comes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.ends: list[asyncio.Task[object]] = []

    async def come(self) -> None:
        """A WebSocket that answers, and one that does not; a poll that waits, and a connection that is idle."""
        answers = await WebSocket.open(self.port)
        await answers.connect()
        self.ends.append(asyncio.create_task(self._closed(answers)))
        silent = await WebSocket.open(self.port)
        await silent.connect()
        polling = await Polling.open(self.port)
        await polling.connect()
        self.ends.append(asyncio.create_task(self._polled(polling)))
        idle = await Wire.open(self.port)
        await idle.send(request("GET", POLLING, self.port))
        assert (await idle.response()).status == 200
        assert await answers_still(self.port)

    async def _closed(self, peer: WebSocket) -> None:
        assert await peer.closed() == 1005

    async def _polled(self, peer: Polling) -> None:
        assert (await peer.get()).text == "1"

    async def told(self) -> None:
        """Everybody who listened was told that this is the end."""
        async with asyncio.timeout(5):
            await asyncio.gather(*self.ends)


async def answers_still(port: int) -> bool:
    return (await fetch(port, target="/page")).body == b"other"


@contextlib.asynccontextmanager
async def full_house(name: str) -> AsyncIterator[tuple[Command, Guests]]:
    with listening(name) as (process, port):
        guests = Guests(port)
        await guests.come()
        try:
            yield process, guests
        finally:
            for end in guests.ends:
                end.cancel()
            await asyncio.gather(*guests.ends, return_exceptions=True)


async def stop(process: Command, number: int) -> float:
    """Send it a signal and wait for its end, while its clients go on; the seconds that it took."""
    return await asyncio.to_thread(process.stop, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("name", ["io.run", "asyncio.run(io.serve)"])
async def test_it_ends_within_a_second(name: str, number: signal.Signals) -> None:
    """With clients connected, without a traceback; on a busy machine one of three times."""
    times = []
    for _ in range(3):
        async with full_house(name) as (process, guests):
            times.append(await stop(process, number))
            await guests.told()
        assert process.out.count("lifespan.shutdown") == 1
        if name == "io.run" or number is signal.SIGTERM:  # asyncio.run raises KeyboardInterrupt, as always
            assert "Traceback" not in str(process)
        if times[-1] < 1:
            break
    assert min(times) < 1, times


async def test_a_program_goes_on_after_run() -> None:
    """Ctrl-C ends the server, not the program."""
    async with full_house("io.run") as (process, _):
        await stop(process, signal.SIGINT)
    assert process.out[-1] == "after the end"
    assert process.wait() == 0


async def test_an_impatient_user() -> None:
    """Ctrl-C twice."""
    async with full_house("io.run") as (process, _):
        await asyncio.gather(stop(process, signal.SIGINT), stop(process, signal.SIGINT))
    assert "Traceback" not in str(process)


async def test_a_client_that_vanishes_at_the_end() -> None:
    async with full_house("io.run") as (process, _):
        stopping = asyncio.ensure_future(stop(process, signal.SIGTERM))
        for wire in tuple(Wire.open_now):
            wire.reset()
        await stopping
    assert "Traceback" not in str(process)


@pytest.mark.parametrize("name", ["uvicorn with our class", "uvicorn with our class on asyncio"])
async def test_uvicorn_by_itself_ends_with_a_websocket_connected(name: str) -> None:
    """Without our own hosting: from Python 3.12 on asyncio waits for every connection that it has accepted."""
    with listening(name) as (process, port):
        peer = await WebSocket.open(port)
        await peer.connect()
        closed = asyncio.ensure_future(peer.closed())
        await stop(process, signal.SIGINT)
        assert await closed == 1005
    assert "Traceback" not in "\n".join(process.err).partition("KeyboardInterrupt")[0]


async def test_run_where_the_address_is_taken() -> None:
    async with serving(echo_server()) as port:
        with command("-c", f"from socketeer import Server; Server().run(port={port})") as process:
            process.wait_for(f"cannot listen on 127.0.0.1:{port}")
            assert process.wait() == 1
