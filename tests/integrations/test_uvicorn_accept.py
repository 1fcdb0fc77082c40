"""Connections accepted into the native lane, and all those that the loop is to have as ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

import pytest

from socketeer import Server
from socketeer.engine.carriers.lane import BUILT
from socketeer.integrations import handover, uvicorn, uvicorn_accept
from socketeer.integrations.uvicorn_http import HttpProtocol
from tests.integrations.echo import echo_server, reasons
from tests.integrations.test_uvicorn_http import end, exchange, get, upgrade
from tests.support.certificates import Certificates
from tests.support.command import DEADLINE, command, port_of
from tests.support.peers import Polling, WebSocket
from tests.support.raw import CLOSE, Wire, fetch, frame
from tests.support.serving import serving

needs_lane = pytest.mark.skipif(not BUILT, reason="the native lane is not built here")
CARRIERS = ["lane", "picows"] if BUILT else ["picows"]
CLOSING = frame(b"\x03\xe8", CLOSE)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that have gone into the lane without a transport."""
    found: list[int] = []
    if BUILT:
        real = handover.take_accepted

        def counting(fd: int, *rest: Any) -> None:
            found.append(fd)
            real(fd, *rest)

        monkeypatch.setattr(uvicorn_accept, "take_accepted", counting)
    return found


def web_server(io: Server) -> Any:
    """The uvicorn that serves it."""
    (found,) = io._hosts
    return found


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not ready():  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.01)


@contextmanager
def peers(port: int, count: int, data: bytes) -> Iterator[list[socket.socket]]:
    """Clients that have sent this before the server, in this same thread, can accept the first."""
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            for _ in range(count)
        ]
        for each in made:
            each.sendall(data)
        yield made


async def rest(sock: socket.socket) -> bytes:
    """All that comes, to the end of the connection."""
    sock.setblocking(False)
    found = b""
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            while more := await asyncio.get_running_loop().sock_recv(sock, 65536):
                found += more
    return found


@needs_lane
async def test_a_handshake_needs_no_transport(taken: list[int]) -> None:
    io = echo_server()
    async with serving(io) as port:
        peer = await WebSocket.open(port)
        await peer.connect()
        assert await peer.echo("x") == ["x"]
        assert len(taken) == 1
        (connection,) = web_server(io).server_state.connections
        assert connection is next(iter(io.engine.sessions.values())).transport.carrier  # type: ignore[attr-defined]
        polling = await Polling.open(port)
        await polling.connect()
        await (await WebSocket.open(port, sid=polling.sid)).send("2probe")
        assert len(taken) == 2
        await peer.bye()
    assert "server shutting down" in reasons(io)


@needs_lane
async def test_what_goes_the_way_of_the_loop(taken: list[int]) -> None:
    io = Server(per_message_deflate=True)
    offer = upgrade("", b"Sec-WebSocket-Extensions: permessage-deflate")
    async with serving(io) as port:
        for data in (offer, upgrade("&sid=unknown"), upgrade(Sec_WebSocket_Key="AAAA"), get()):
            assert await exchange(port, data + CLOSING + b"GET / HTTP/1.0\r\n\r\n")
        io.engine.use(lambda app: app)
        await WebSocket.open(port)
    assert taken == []


class Watching(HttpProtocol):
    """Somebody's own, who wants to see each connection."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Watching.made += 1
        super().connection_made(transport)


@pytest.mark.parametrize(
    "settings",
    [
        {"http": Watching},
        {"http": "h11"},
        {"ws": "websockets-sansio"},
        {"limit_concurrency": 100},
        {"log_level": "trace"},
    ],
)
async def test_where_uvicorn_is_set_up_otherwise(settings: dict[str, Any], taken: list[int]) -> None:
    before = Watching.made
    io = echo_server()
    async with serving(io, **settings) as port:
        assert not any(isinstance(each, uvicorn_accept.Listener) for each in web_server(io).servers)
        peer = await WebSocket.open(port)
        await peer.connect()
        assert await peer.echo("x") == ["x"]
    assert taken == []
    assert (Watching.made > before) is (settings.get("http") is Watching)


async def test_where_there_is_no_lane(monkeypatch: pytest.MonkeyPatch, taken: list[int]) -> None:
    monkeypatch.setenv("SOCKETEER_CARRIER", "picows")
    io = echo_server()
    async with serving(io) as port:
        assert isinstance(web_server(io).servers[0], asyncio.AbstractServer)
        peer = await WebSocket.open(port)
        await peer.connect()
        assert await peer.echo("x") == ["x"]
    assert taken == []


def test_the_module_needs_no_lane() -> None:
    """As on systems where it cannot be built: the modules of the server can be imported, and it serves."""
    program = """
        import sys
        sys.modules["socketeer.engine.carriers.lane._lane"] = None
        import socketeer.engine.carriers.lane as lane
        lane.BUILT = False
        from socketeer.integrations import uvicorn_accept
        import socketeer
        socketeer.Server().run(port=0, ready=lambda url: print("listens on", url, flush=True))
    """
    with command("-c", re.sub("(?m)^ {8}", "", program)) as process:
        port = port_of(process.wait_for("listens on"))
        with peers(port, 1, upgrade() + CLOSING) as (peer,):
            found = b""
            while more := peer.recv(65536):
                found += more
        assert found.startswith(b"HTTP/1.1 101 ")
        process.stop()
        assert "Traceback" not in str(process)


async def test_a_descriptor_that_is_handed_in_is_left_to_the_loop(taken: list[int]) -> None:
    """uvicorn takes it for a Unix socket."""
    io = echo_server()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        async with serving(io, fd=sock.fileno()) as port:
            peer = await WebSocket.open(port)
            await peer.connect()
            assert await peer.echo("x") == ["x"]
    assert taken == []


async def test_tls_is_left_to_the_loop(tmp_path: Path, taken: list[int]) -> None:
    files = Certificates.make(tmp_path)
    io = echo_server()
    settings = {"ssl_certfile": str(files.certificate), "ssl_keyfile": str(files.key)}
    async with serving(io, **settings) as port:
        context = files.client()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(upgrade())
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
        writer.close()
    assert taken == []


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("at", [1, 30, len(upgrade()) - 1])
async def test_a_head_in_pieces(carrier: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKETEER_CARRIER", carrier)
    io = Server()
    async with serving(io) as port:
        wire = await Wire.open(port, deadline=20)
        await wire.send(upgrade()[:at])
        await until(lambda: len(web_server(io).server_state.connections) == 1)
        await wire.send(upgrade()[at:] + CLOSING)
        assert (await wire.response()).status == 101
        assert (await wire.frame()).payload.startswith(b"0{")
        assert (await wire.frame()).opcode == CLOSE


async def test_a_client_that_speaks_late() -> None:
    """Later than the system keeps it to itself: it is accepted, and nothing is there yet."""
    io = Server()
    async with serving(io) as port:
        wire = await Wire.open(port, deadline=20)
        await until(lambda: len(web_server(io).server_state.connections) == 1)
        await wire.send(upgrade())
        assert (await wire.response()).status == 101


async def test_what_comes_behind_the_handshake(taken: list[int]) -> None:
    io = echo_server()
    async with serving(io) as port:
        with peers(port, 1, upgrade() + frame(b"40") + frame(b'421["echo",1]') + CLOSING) as (peer,):
            found = await rest(peer)
        assert b"431[1]" in found
        assert len(taken) == BUILT


@pytest.mark.parametrize("data", [upgrade(), get(), upgrade()[:30], b""])
async def test_a_client_that_is_half_closed(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for carrier in CARRIERS:
        monkeypatch.setenv("SOCKETEER_CARRIER", carrier)
        async with serving(Server()) as port:
            with peers(port, 1, data) as (peer,):
                peer.shutdown(socket.SHUT_WR)
                answer = await rest(peer)
        found.append(
            re.sub(rb'"sid":"[^"]*"|date: [^\r]*', b"", answer.lower())
        )  # picows' upgrade is a small one
    assert len(set(found)) == 1


@pytest.mark.parametrize("data", [upgrade(), get(), upgrade()[:30], b""])
async def test_a_client_that_is_gone_before_it_is_accepted(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    io = echo_server()
    async with serving(io) as port:
        for _ in range(5):
            with peers(port, 1, data) as (peer,):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        polling = await Polling.open(port)
        await polling.connect()
        assert await polling.echo("x") == ["x"]
        await polling.bye()
        await until(lambda: not web_server(io).server_state.connections)
    assert caplog.text == ""


@needs_lane
async def test_many_at_once_leave_others_their_turn(
    taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    turns: list[int] = [0]

    def turn() -> None:
        turns.append(len(taken) - sum(turns))
        handle[0] = loop.call_soon(turn)

    io = Server()
    async with serving(io) as port:
        count = 3 * uvicorn_accept.AT_ONCE + 1
        with peers(port, count, upgrade() + CLOSING) as made:
            handle = [loop.call_soon(turn)]
            await until(lambda: len(taken) == count)
            handle[0].cancel()
            for each in made:
                assert (await rest(each)).startswith(b"HTTP/1.1 101 ")
    assert max(turns) <= 2 * uvicorn_accept.AT_ONCE


LEVEL: ContextVar[str] = ContextVar("LEVEL", default="outer")


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_context_variables_stay_with_their_connection(
    carrier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOCKETEER_CARRIER", carrier)
    seen: list[str] = []
    io = Server()

    @io.engine.on("initial_headers")
    def headers(_: object, request: Any) -> None:
        seen.append(LEVEL.get())
        LEVEL.set("inner")

    async with serving(io) as port:
        for _ in range(3):
            await exchange(port, upgrade() + CLOSING)
    assert seen == ["outer"] * 3


@needs_lane
async def test_an_answer_that_cannot_be_sent(taken: list[int], caplog: pytest.LogCaptureFixture) -> None:
    io = Server()

    @io.engine.on("headers")
    def headers(found: dict[str, str], request: Any) -> None:
        found["x-name"] = "\u20ac"

    async with serving(io) as port:
        assert await exchange(port, upgrade()) == b""
        (fd,) = taken
        assert not io.engine.sessions
        assert not web_server(io).server_state.connections
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    assert "a WebSocket handshake has failed" in caplog.text


@pytest.mark.parametrize("pieces", [1, 2])
async def test_nobody_is_counted_where_the_answer_cannot_be_sent(pieces: int) -> None:
    io = Server()

    @io.engine.on("headers")
    def headers(found: dict[str, str], request: Any) -> None:
        found["x-name"] = "\u20ac"

    async with serving(io) as port:
        for _ in range(3):
            await exchange(port, upgrade(), pieces)
        await until(lambda: not web_server(io).server_state.connections)


@needs_lane
@pytest.mark.parametrize("event", ["initial_headers", "connection"])
async def test_a_listener_that_is_cancelled_closes_its_connection_once(
    event: str, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may have the number of the descriptor again at once."""
    io = Server()

    @io.engine.on(event)
    def listener(*_: object) -> None:
        raise asyncio.CancelledError("of something else")

    told: list[BaseException | None] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(about.get("exception")))
    closed: list[int] = []
    real = os.close

    def close(fd: int) -> None:
        closed.append(fd)
        real(fd)

    async with serving(io) as port:
        monkeypatch.setattr(os, "close", close)
        assert b"websocket" not in await exchange(port, upgrade())
        monkeypatch.undo()
        await until(lambda: not web_server(io).server_state.connections)
    assert [str(each) for each in told] == ["of something else"]
    assert len(closed) == len(set(closed))


async def test_sockets_of_somebodys_own_stay_open() -> None:
    urls: list[str] = []
    config = uvicorn.make_config(Server().asgi(), "127.0.0.1", 0, access_log=False)
    server = uvicorn.Server(config, urls.extend)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        task = asyncio.create_task(server.serve(sockets=[sock]))
        await until(lambda: bool(urls))
        assert urls == [f"http://127.0.0.1:{sock.getsockname()[1]}"]
        assert (await exchange(sock.getsockname()[1], upgrade() + CLOSING)).startswith(b"HTTP/1.1 101 ")
        assert sock.fileno() >= 0
        server.should_exit = True
        await task


@needs_lane
async def test_a_defect_of_ours_costs_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise RuntimeError("a defect")

    told: list[BaseException | None] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(about.get("exception")))
    async with serving(Server()) as port:
        with monkeypatch.context() as patch:
            patch.setattr(uvicorn_accept, "let_in", defect)
            assert await exchange(port, upgrade()) == b""
        assert (await exchange(port, upgrade() + CLOSING)).startswith(b"HTTP/1.1 101 ")
    assert [str(each) for each in told] == ["a defect"]


class Broken(HttpProtocol):
    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("broken")


@needs_lane
async def test_a_connection_that_nobody_can_serve_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Server(), http=Broken) as port:
        with peers(port, 1, get()) as (peer,):
            assert await rest(peer) == b""
    assert "a connection could not be served" in caplog.text


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_the_address_of_version_6(carrier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKETEER_CARRIER", carrier)
    seen: list[Any] = []
    io = Server()
    io.engine.on("headers", lambda _, request: seen.append(request.scope["client"]))
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(io.serve(host="::1", port=0, ready=url.set_result))
    task.add_done_callback(lambda _: url.cancel())
    await asyncio.wait([url])
    if url.cancelled():
        pytest.skip("this machine has no IPv6")
    port = int(url.result().rpartition(":")[2])
    with socket.create_connection(("::1", port), timeout=10) as peer:
        peer.sendall(upgrade() + CLOSING)
        own = peer.getsockname()
        assert (await rest(peer)).startswith(b"HTTP/1.1 101 ")
    await io.close()
    await task
    assert seen == [own[:2]]


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_the_end_while_clients_come(carrier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is served and told of the end, or finds nobody; none is forgotten."""
    monkeypatch.setenv("SOCKETEER_CARRIER", carrier)
    io = Server()
    answers: list[bytes] = []

    async def come(port: int) -> None:
        while True:
            with contextlib.suppress(ConnectionResetError), peers(port, 1, upgrade()) as (peer,):
                answers.append(await rest(peer))

    clients = []
    async with serving(io) as port:
        server = web_server(io)
        clients = [asyncio.ensure_future(come(port)) for _ in range(10)]
        await until(lambda: len(io.engine.sessions) >= 10)
    async with asyncio.timeout(20):
        for each in clients:
            with pytest.raises(ConnectionRefusedError):
                await each
    assert sum(each.startswith(b"HTTP/1.1 101 ") for each in answers) >= 10
    assert not server.server_state.connections
    assert not io.engine.sessions


PROGRAM = """
    import resource, socketeer
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
    io = socketeer.Server()
    io.run(port=0, ready=lambda url: print("listens on", url, flush=True))
"""


@needs_lane
async def test_no_descriptors_left() -> None:
    """It says so once, does not burn the processor, and goes on when there are some again."""
    with command("-c", re.sub("(?m)^ {4}", "", PROGRAM)) as process:
        port = port_of(process.wait_for("listens on"))
        with peers(port, 100, upgrade()) as made:
            process.wait_for("no connections can be accepted for now: [Errno 24] Too many open files")
            before, began = cpu_seconds(process.pid), time.monotonic()
            assert (made[0].recv(100)).startswith(b"HTTP/1.1 101 ")
            while time.monotonic() < began + 2.5:  # two more attempts
                assert made[1].fileno() >= 0
                await asyncio.sleep(0.1)
            assert cpu_seconds(process.pid) - before < 0.5
        peer = await WebSocket.open(port)
        await peer.bye()
        assert str(process).count("no connections can be accepted") == 1
        with peers(port, 100, upgrade()):
            while str(process).count("no connections can be accepted") < 2:
                assert time.monotonic() < began + DEADLINE
                await asyncio.sleep(0.01)
        process.stop()
        assert "Traceback" not in str(process)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


SHARING = """
    import asyncio, os, socket, sys
    from socketeer import Server
    from socketeer.integrations.uvicorn import Server as WebServer, make_config

    io = Server()
    io.on("connection", lambda socket: socket.on("pid", os.getpid))
    config = make_config(io.asgi(), "127.0.0.1", 0, access_log=False)
    sock = socket.socket(fileno=int(sys.argv[1]))
    web = WebServer(config, lambda urls: print("listens", flush=True))
    asyncio.run(web.serve([sock]))
"""


def accepting_process(fd: int) -> subprocess.Popen[bytes]:
    source = re.sub("(?m)^ {4}", "", SHARING)
    return subprocess.Popen(
        [sys.executable, "-c", source, str(fd)],
        pass_fds=[fd],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@asynccontextmanager
async def two_processes(sock: socket.socket) -> AsyncIterator[list[int]]:
    """Two that accept from this one; each finds now and then that the other was quicker."""
    started = [accepting_process(sock.fileno()) for _ in range(2)]
    try:
        for each in started:
            out: IO[bytes] = each.stdout  # type: ignore[assignment]
            assert await asyncio.to_thread(out.readline) == b"listens\n"
        yield [each.pid for each in started]
        for each in started:
            each.terminate()
            _, said = await asyncio.to_thread(each.communicate, timeout=DEADLINE)
            assert said == b""
    finally:
        for each in started:
            each.kill()
            each.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="a socket is not handed down by its number")
async def test_two_processes_on_one_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        async with two_processes(sock) as pids:
            seen: set[int] = set()

            async def ask() -> None:
                peer = await WebSocket.open(port)
                await peer.connect()
                await peer.send('421["pid"]')
                answer = await peer.message()
                assert isinstance(answer, str)
                seen.add(int(answer[3:-1]))
                assert (await fetch(port)).status == 200
                await peer.bye()

            async with asyncio.timeout(60):
                while seen != set(pids):
                    await asyncio.gather(*(ask() for _ in range(20)))


async def test_who_never_speaks_is_let_go() -> None:
    io = Server()
    async with serving(io, http=type("Quick", (HttpProtocol,), {"header_timeout": 0.3})) as port:
        wire = await Wire.open(port, deadline=20)
        await end(wire)
        assert wire.received == b""
